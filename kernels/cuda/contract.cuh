// What every kernel of this folder is made of: the memory of one lane, views of tensors, and the threads that share
// an instruction. The words of an instruction are laid out by its schema (kernels/contract.py); their positions and the
// numbers of operators are generated from there, so that neither is written twice.
#pragma once

// NVRTC has no <math.h>.
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif
#ifndef NAN
#define NAN __int_as_float(0x7fc00000)
#endif

typedef long long word;

[[maybe_unused]] constexpr int WARP = 32;  // threads of a block that can exchange registers

// The spaces of one lane, by the number of each in `Space`.
struct Memory {
    char* spaces[3];

    // Chosen, not indexed, so that the addresses stay in registers.
    __device__ char* operator[](word space) const {
        return space == Space::WEIGHTS ? spaces[Space::WEIGHTS]
               : space == Space::ARENA ? spaces[Space::ARENA]
                                       : spaces[Space::STATE];
    }
};

// The memories of all lanes, as a launch gets them: see `Context` in kernels/contract.py.
struct Spaces {
    char *weights, *arena, *state;
    word arena_stride, state_stride;  // bytes from one lane, or slot, to the next
    const word* slots;                // of each lane
    unsigned* arrivals;               // of blocks at places that others wait for: zeros, before a launch and behind it
    word lanes;

    __device__ Memory of(int lane) const {
        return {{weights, arena + lane * arena_stride, state + slots[lane] * state_stride}};
    }
};

// Where a port lies in every lane's arena and in its window, in bytes.
struct Port {
    word arena, window, size;
};

// The ports of one direction, and where the host has them: page-locked memory that the device reads and writes itself.
struct Windows {
    const Port* ports;
    word count;
    char* memory;
    word stride;  // bytes from one lane to the next

    // From a lane's window into its arena (TO_ARENA), or back. Ports are whole words of 4 bytes.
    template <bool TO_ARENA, class Team>
    __device__ void move(int lane, char* arena, const Team& team) const {
        for (int port = 0; port < count; ++port) {
            int* inside = reinterpret_cast<int*>(arena + ports[port].arena);
            int* outside = reinterpret_cast<int*>(memory + lane * stride + ports[port].window);
            const int words = static_cast<int>(ports[port].size / 4);
            for (int index = team.rank; index < words; index += team.size)
                (TO_ARENA ? inside : outside)[index] = (TO_ARENA ? outside : inside)[index];
        }
    }
};

// What the resident interpreter has beside memories: the table, the ports, and an arena in the block's shared memory
// where `shared_bytes` is not 0. It is filled with NaN first if `poisoned`.
struct Walk {
    const word *kernels, *starts, *words;
    word instructions;
    Windows inputs, outputs;
    word shared_bytes, poisoned;
};

// Shared memory of a block, and how much its launch gives it; tests bring their own.
#ifndef SHARED_ARENA
#define SHARED_ARENA(name) extern __shared__ __align__(16) char name[]
__device__ inline unsigned dynamic_shared_bytes() {
    unsigned bytes;
    asm("mov.u32 %0, %%dynamic_smem_size;" : "=r"(bytes));
    return bytes;
}
#endif

// Threads that work on one instruction of one lane. `sync` waits for all of them; threads of several blocks can not
// wait for each other, so that a kernel which calls it runs in one block a lane.
struct Block {
    static constexpr bool CAN_WAIT = true;
    int rank, size;
    __device__ Block() : rank(threadIdx.x), size(blockDim.x) {}
    __device__ void sync() const { __syncthreads(); }
};

struct Grid {
    static constexpr bool CAN_WAIT = false;
    int rank, size;
    __device__ Grid() : rank(blockIdx.x * blockDim.x + threadIdx.x), size(gridDim.x * blockDim.x) {}
};

// Blocks that share an instruction of one lane, each a part by itself: the threads of one block wait for each other.
struct Tiles {
    static constexpr bool CAN_WAIT = false;
    int rank, block, blocks;
    __device__ Tiles() : rank(threadIdx.x), block(blockIdx.x), blocks(gridDim.x) {}
    __device__ void sync() const { __syncthreads(); }
};

// The blocks of a launch share an instruction of all lanes: what is the same for several lanes is read once.
struct Lanes {};

// What a thread reads or writes at a time at best.
struct alignas(16) Quad {
    float v[4];
};

// The address in a word, or null where the operand is absent.
template <class T>
__device__ T* pointer(const word* words, const Memory& memory) {
    word address = words[0];
    if (address == -1) return nullptr;
    return reinterpret_cast<T*>(memory[address >> SPACE_SHIFT & SPACE_MASK] + (address & OFFSET_MASK));
}

// The place of element `index`, counted in C order. Axes of one element, of which tensors that are filled up with them
// have many, cost no division.
template <int RANK>
struct Place {
    int at[RANK];

    __device__ Place(int index, const int (&size)[RANK]) {
#pragma unroll
        for (int axis = RANK - 1; axis >= 0; --axis) {
            at[axis] = 0;
            if (size[axis] == 1) continue;
            const int rest = index / size[axis];
            at[axis] = index - rest * size[axis];
            index = rest;
        }
    }

    __device__ int operator[](int axis) const { return at[axis]; }

    // How far that is from the first element of a tensor with such strides.
    __device__ word offset(const word* stride) const {
        word sum = 0;
#pragma unroll
        for (int axis = 0; axis < RANK; ++axis) sum += at[axis] * stride[axis];
        return sum;
    }
};

// A tensor operand; sizes and strides count elements.
template <int RANK, class T = float>
struct View {
    T* data;
    int size[RANK];
    word stride[RANK];

    __device__ View(const word* words, const Memory& memory) : data(pointer<T>(words, memory)) {
#pragma unroll
        for (int axis = 0; axis < RANK; ++axis) {
            size[axis] = static_cast<int>(words[1 + axis]);
            stride[axis] = words[1 + RANK + axis];
        }
    }

    __device__ explicit operator bool() const { return data != nullptr; }

    __device__ T& operator[](const Place<RANK>& place) const { return data[place.offset(stride)]; }

    // How many elements the first `axes` axes have together.
    __device__ int count(int axes = RANK) const {
        int product = 1;
#pragma unroll
        for (int axis = 0; axis < RANK; ++axis)
            if (axis < axes) product *= size[axis];
        return product;
    }

    // How many elements on from the first one a place is.
    template <class... Places>
    __device__ word offset(Places... places) const {
        static_assert(sizeof...(Places) == RANK, "one place an axis");
        const word at[RANK] = {places...};
        word sum = 0;
#pragma unroll
        for (int axis = 0; axis < RANK; ++axis) sum += at[axis] * stride[axis];
        return sum;
    }

    template <class... Places>
    __device__ T& operator()(Places... places) const {
        return data[offset(places...)];
    }
};

// Where element `index`, counted in C order over the shape of `like`, lies in each of several tensors of that shape.
template <int RANK, int TENSORS>
struct Places {
    word offset[TENSORS];

    template <class First, class... Others>
    __device__ Places(int index, const First& like, const Others&... others) {
        const word* strides[TENSORS] = {like.stride, others.stride...};
        const Place<RANK> place(index, like.size);
#pragma unroll
        for (int tensor = 0; tensor < TENSORS; ++tensor) offset[tensor] = place.offset(strides[tensor]);
    }
};

// A floating-point operand, rounded to float32.
__device__ inline float number(const word* words) {
    return static_cast<float>(__longlong_as_double(words[0]));
}

template <class T>
__device__ T from_thread_across(T value, int apart) {
    return __shfl_xor_sync(0xffffffffu, value, apart);
}

// What the threads of a warp have, combined in the same order whatever the machine: every thread gets it, the same bits
// where `combine` does not mind which side is which.
template <class T, class Combine>
__device__ T across_warp(T value, Combine combine) {
    for (int apart = WARP / 2; apart > 0; apart /= 2) value = combine(value, from_thread_across(value, apart));
    return value;
}
