// How threads share rows whose elements they combine.
#pragma once

// Each row has one thread, a warp or a whole block, its elements going to them in turn. That follows from the shape and
// the layout of the tensor, so that rows are combined in the same order however many blocks there are.
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

// What the threads of a row have, combined in the same order whatever the machine: every one of them gets it, the same
// bits where `combine` does not mind which side is which.
template <class T, class Combine>
__device__ T across_row(const RowSharing& sharing, T value, Combine combine) {
    if (sharing.members == 1) return value;
    value = across_warp(value, combine);
    if (sharing.members == WARP) return value;
    static_assert(sizeof(T) <= sizeof(double), "a number of each warp");
    __shared__ double of_warps[1024 / WARP];
    T* values = reinterpret_cast<T*>(of_warps);
    if (sharing.lane % WARP == 0) values[sharing.lane / WARP] = value;
    __syncthreads();
    value = values[0];
    for (int warp = 1; warp < sharing.members / WARP; ++warp) value = combine(value, values[warp]);
    __syncthreads();
    return value;
}
