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

#if defined(__CUDACC__) && __CUDA_ARCH__ >= 800
__device__ inline void multiply_fragments(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2], Tf32) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ inline void multiply_fragments(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2], Float16) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ inline void multiply_fragments(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2], Bfloat16) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

// The row and column of a thread's sum 0 .. 3 in the tile.
__device__ inline int product_row(int lane, int sum) { return lane / 4 + sum / 2 * 8; }
__device__ inline int product_column(int lane, int sum) { return lane % 4 * 2 + sum % 2; }

// sums += a b for a warp: a [PRODUCT_WORDS, rows] and b [PRODUCT_WORDS, columns], words in shared memory with these many
// from one row to the next (8 modulo 32: no two threads meet in a bank).
template <class Operand>
__device__ void multiply_tile(float (&sums)[4], const unsigned* a, int a_step, const unsigned* b, int b_step, int lane) {
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 800
    const int group = lane / 4, own = lane % 4;
    const unsigned* left = a + own * a_step + group;
    const unsigned* right = b + own * b_step + group;
    const unsigned as[4] = {left[0], left[8], left[4 * a_step], left[4 * a_step + 8]};
    const unsigned bs[2] = {right[0], right[4 * b_step]};
    multiply_fragments(sums, as, bs, Operand());
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
