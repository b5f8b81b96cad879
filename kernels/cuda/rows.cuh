// How threads share rows whose elements they combine.
#pragma once

// Each row has one thread, a warp or a whole block. That follows from the shape and the layout of the tensor.
struct RowSharing {
    int members;      // threads of a row
    int lane;         // the number of this thread among them
    int first, step;  // the first row of this thread, and from each to the next

    // `beside`: whether rows lie beside each other in memory, rather than their elements.
    template <class Team>
    __device__ RowSharing(const Team& team, int rows, int length, bool beside) : members(WARP) {
        constexpr int FEW_ROWS = 4, MANY_ROWS = 4096;
        if (length < WARP / 2 || (beside && rows >= MANY_ROWS)) members = 1;
        else if (rows <= FEW_ROWS ? length >= 4 * WARP : rows < MANY_ROWS && length >= MANY_ROWS) members = blockDim.x;
        lane = team.rank % members;
        first = team.rank / members;
        step = team.size / members;
    }
};

// What a block combines of a row: the parts of 32 warps, whether it has as many or fewer that take several parts each.
template <class T, class Take, class Combine>
__device__ T over_row_by_block(int length, const T& start, const Take& take, const Combine& combine) {
    __shared__ double memory[WARP * sizeof(T) / sizeof(double) + 1];
    T* parts = reinterpret_cast<T*>(memory);
    const int lane = threadIdx.x % WARP;
    for (int part = threadIdx.x / WARP; part < WARP; part += blockDim.x / WARP) {
        T total = start;
        if (part * WARP < length) {
            for (int index = part * WARP + lane; index < length; index += WARP * WARP) take(total, index);
            total = across_warp(total, combine);
        }
        if (lane == 0) parts[part] = total;
    }
    __syncthreads();
    const T total = across_warp(parts[lane], combine);
    __syncthreads();
    return total;
}

// The elements of a row, each of which `take(total, index)` adds to a total that begins as `start`, and these totals
// combined, in the same order whatever the machine and the size of its blocks. Every thread of the row gets the result,
// the same bits where `combine` does not mind which side is which.
template <class T, class Take, class Combine>
__device__ T over_row(const RowSharing& sharing, int length, const T& start, const Take& take, const Combine& combine) {
    if (sharing.members > WARP) return over_row_by_block(length, start, take, combine);
    T total = start;
    for (int index = sharing.lane; index < length; index += sharing.members) take(total, index);
    return sharing.members == 1 ? total : across_warp(total, combine);
}
