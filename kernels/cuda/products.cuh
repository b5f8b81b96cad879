// Matrix products whose rows are few. By itself, or in the interpreter, a lane's thread takes one number of the result:
// weights are read once a row, by 16 neighbours at a time (a panel's 64 bytes); of a step of a stream they are all there
// is to read, and bound it. All lanes together go by row_tiles.cuh: weights are read once for 16 rows.
#pragma once
#include "row_tiles.cuh"

constexpr int DENSE_QUADS = DENSE_COLUMNS / 4;

template <class fields, class Weights, class Team>
__device__ void dense_of(const word* words, const Memory& memory, const Team& team) {
    const View<2> x(words + fields::x, memory), y(words + fields::y, memory);
    const Weights weights(words + fields::weights, memory);
    const float* bias = pointer<const float>(words + fields::bias, memory);
    const Activate activate(words, memory, fields());
    const int inner = x.size[1], columns = y.size[1];
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const int column = index % columns, row = index / columns;
        const float* from = &x(row, 0);
        const word first = word(column / PANEL) * inner * PANEL + column % PANEL;
        float sum = bias ? bias[column] : 0.0f;
        for (int i = 0; i < inner; ++i) sum += from[i * x.stride[1]] * weights[first + word(i) * PANEL];
        y(row, column) = activate(sum, column);
    }
}

struct DenseMemory {
    alignas(16) float slab[SLAB_FLOATS];
    const float* x[MOST_ROWS];
    float* y[MOST_ROWS];
};
static_assert(sizeof(DenseMemory) <= LANES_BYTES, "what a launch gives a block");

// All lanes together: a block takes 32 columns of up to 16 rows. Grid: tiles of the columns x groups of rows.
template <class fields, class Weights>
struct DenseOfLanes {
    template <int ROWS>
    __device__ static void run(const word* words, const Spaces& spaces, const RowGroup& group, DenseMemory& memory) {
        const int of_lane = int(words[fields::x + 1]), inner = int(words[fields::x + 2]);
        const int columns = int(words[fields::y + 2]);
        const Weights weights(words + fields::weights, spaces.of(0));
        const float* bias = pointer<const float>(words + fields::bias, spaces.of(0));
        const Activate activate(words, spaces.of(0), fields());
        for (int row = threadIdx.x; row < ROWS; row += blockDim.x) {
            const int number = group.first + min(row, group.count - 1), of_batch = number % of_lane;
            const Memory lane = spaces.of(number / of_lane);
            memory.x[row] = pointer<const float>(words + fields::x, lane) + of_batch * words[fields::x + 3];
            memory.y[row] = pointer<float>(words + fields::y, lane) + of_batch * words[fields::y + 3];
        }
        RowTile<Weights, ROWS> tile(memory.slab, DENSE_QUADS);
        const int first_column = 4 * DENSE_QUADS * group.part, own = first_column + 4 * tile.quad;
        const word y_step = words[fields::y + 4];
        const auto* packed = weights.packed(word(own / PANEL) * inner * PANEL + own % PANEL);
        tile.add({memory.x, 0, words[fields::x + 4]}, inner, own < columns ? packed : nullptr, PANEL / 4);
        tile.finish([&](int row, int of_tile, float sum) {
            const int column = first_column + of_tile;
            if (row < group.count && column < columns)
                memory.y[row][column * y_step] = activate(bias ? sum + bias[column] : sum, column);
        });
    }

    __device__ static void run(const word* words, const Spaces& spaces) {
        SHARED_ARENA(tile);
        DenseMemory& memory = *reinterpret_cast<DenseMemory*>(tile);
        const RowGroup group(spaces, words[fields::x + 1]);
        if (group.count <= 0) return;
        if (group.room == 1) run<1>(words, spaces, group, memory);
        else if (group.room == 4) run<4>(words, spaces, group, memory);
        else if (group.room == 8) run<8>(words, spaces, group, memory);
        else run<MOST_ROWS>(words, spaces, group, memory);
    }
};

template <class Team>
__device__ void dense(const word* words, const Memory& memory, const Team& team) {
    dense_of<operands::dense, Whole>(words, memory, team);
}

template <class Team>
__device__ void dense_half(const word* words, const Memory& memory, const Team& team) {
    dense_of<operands::dense_half, Half>(words, memory, team);
}

__device__ inline void dense(const word* words, const Spaces& spaces, const Lanes&) {
    DenseOfLanes<operands::dense, Whole>::run(words, spaces);
}

__device__ inline void dense_half(const word* words, const Spaces& spaces, const Lanes&) {
    DenseOfLanes<operands::dense_half, Half>::run(words, spaces);
}

template <class Team>
__device__ void matmul(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::matmul;
    const View<4> a(words + fields::a, memory), b(words + fields::b, memory), y(words + fields::y, memory);
    const int inner = a.size[3];
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const int column = index % y.size[3], rest = index / y.size[3];
        const int row = rest % y.size[2], batch = rest / y.size[2];
        const int first = batch / y.size[1], second = batch % y.size[1];
        float sum = 0.0f;
        for (int i = 0; i < inner; ++i) sum += a(first, second, row, i) * b(first, second, i, column);
        y(first, second, row, column) = sum;
    }
}
