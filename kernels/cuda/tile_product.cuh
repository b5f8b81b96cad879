// Products of small tiles by tensor cores: 16 x 8 sums of a warp, float32, of operands that were rounded before
// (kernels/rounding.py), so that the hardware finds nothing to round in them. Words of 32 bits hold one TF32 number, or
// two float16 or bfloat16 ones, the first in the low bits. The hardware adds the products of 8 words to a sum in an order
// and with digits of its own; without it (before sm_80, and on processors) they are added one after the other.
// Source: PTX ISA, "mma.sync.aligned.m16n8k8" (.tf32) and "m16n8k16" (.f16, .bf16): which thread has which numbers.
#pragma once

constexpr int PRODUCT_WORDS = 8;  // of the inner axis
constexpr int PRODUCT_ROWS = 16;
constexpr int PRODUCT_COLUMNS = 8;

// The nearest number of `24 - DROPPED` significant bits, halves to even.
template <int DROPPED>
__device__ unsigned nearest(float x) {
    const unsigned bits = __float_as_uint(x);
    if ((bits & 0x7f800000u) == 0x7f800000u) return bits;
    return (bits + ((1u << (DROPPED - 1)) - 1) + (bits >> DROPPED & 1)) & ~0u << DROPPED;
}

struct Tf32 {
    static constexpr int NUMBERS = 1;  // in a word
    __device__ static unsigned word_of(const float* x, int) { return nearest<13>(x[0]); }
    __device__ static float number(unsigned word, int) { return __uint_as_float(word); }
};

struct Bfloat16 {
    static constexpr int NUMBERS = 2;
    __device__ static unsigned word_of(const float* x, int apart) {
        return nearest<16>(x[0]) >> 16 | nearest<16>(x[apart]);
    }
    __device__ static float number(unsigned word, int index) {
        return __uint_as_float(index ? word & 0xffff0000u : word << 16);
    }
};

struct Float16 {
    static constexpr int NUMBERS = 2;
    __device__ static unsigned word_of(const float* x, int apart) {
#ifdef __CUDACC__
        unsigned word;
        asm("{.reg .b16 low, high; cvt.rn.f16.f32 low, %1; cvt.rn.f16.f32 high, %2; mov.b32 %0, {low, high};}"
            : "=r"(word)
            : "f"(x[0]), "f"(x[apart]));
        return word;
#else
        return host::float16_bits(x[0]) | host::float16_bits(x[apart]) << 16;
#endif
    }
    __device__ static float number(unsigned word, int index) {
        return float16_number(index ? word >> 16 : word & 0xffffu);
    }
};

// The row and column of a thread's sum 0 .. 3 in the tile.
__device__ inline int product_row(int lane, int sum) { return lane / 4 + sum / 2 * 8; }
__device__ inline int product_column(int lane, int sum) { return lane % 4 * 2 + sum % 2; }

// The words of a and of b that the hardware wants of each thread.
struct Fragments {
    unsigned a[4], b[2];

    __device__ Fragments(const unsigned* left, int a_step, const unsigned* right, int b_step, int lane) {
#pragma unroll
        for (int i = 0; i < 4; ++i) a[i] = left[(lane % 4 + i / 2 * 4) * a_step + lane / 4 + i % 2 * 8];
#pragma unroll
        for (int i = 0; i < 2; ++i) b[i] = right[(lane % 4 + i * 4) * b_step + lane / 4];
    }
};

#if __CUDA_ARCH__ >= 800
#define MULTIPLY_FRAGMENTS(Operand, shape, type)                                                                  \
    __device__ inline void multiply_fragments(float (&sums)[4], const Fragments& f, Operand) {                     \
        asm("mma.sync.aligned." shape ".row.col.f32." type "." type ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "    \
            "{%8, %9}, {%0, %1, %2, %3};"                                                                          \
            : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])                                           \
            : "r"(f.a[0]), "r"(f.a[1]), "r"(f.a[2]), "r"(f.a[3]), "r"(f.b[0]), "r"(f.b[1]));                       \
    }
MULTIPLY_FRAGMENTS(Tf32, "m16n8k8", "tf32")
MULTIPLY_FRAGMENTS(Float16, "m16n8k16", "f16")
MULTIPLY_FRAGMENTS(Bfloat16, "m16n8k16", "bf16")
#endif

// sums += a b for a warp: a [PRODUCT_WORDS, rows] and b [PRODUCT_WORDS, columns], words in shared memory with these many
// from one row to the next (8 modulo 32: no two threads meet in a bank).
template <class Operand>
__device__ void multiply_tile(float (&sums)[4], const unsigned* a, int a_step, const unsigned* b, int b_step, int lane) {
#if __CUDA_ARCH__ >= 800
    multiply_fragments(sums, Fragments(a, a_step, b, b_step, lane), Operand());
#else
#pragma unroll 1
    for (int word = 0; word < PRODUCT_WORDS; ++word, a += a_step, b += b_step)
#pragma unroll
        for (int sum = 0; sum < 4; ++sum)
            for (int i = 0; i < Operand::NUMBERS; ++i)
                sums[sum] = fmaf(Operand::number(b[product_column(lane, sum)], i),
                                 Operand::number(a[product_row(lane, sum)], i), sums[sum]);
#endif
}
