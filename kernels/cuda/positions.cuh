// Pooling that keeps where its values came from, and its inverse.
// max_pool_positions: a thread takes one number of the output and goes over its window; bound by reading the input,
// which neighbours share through the first cache. place: one block a lane, whose threads wait for each other; bound by
// its jumps through y. Source: ONNX MaxPool with its output Indices, ONNX MaxUnpool.
#pragma once
#include "taps.cuh"
#include "window.cuh"

template <class Team>
__device__ void max_pool_positions(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::max_pool_positions;
    const View<5> x(words + fields::x, memory), y(words + fields::y, memory);
    const View<5, word> positions(words + fields::positions, memory);
    const Window3 window = Window3::of_volume(words, fields());
    const bool column_major = words[fields::column_major] != 0;
    const word depth = x.size[2], height = x.size[3], width = x.size[4];
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const Place<5> at(index, y.size);
        const int front = at[2] * window.stride[0] - window.pad[0], top = at[3] * window.stride[1] - window.pad[1];
        const int left = at[4] * window.stride[2] - window.pad[2];
        const Taps planes(front, window.kernel[0], window.dilation[0], x.size[2]);
        const Taps rows(top, window.kernel[1], window.dilation[1], x.size[3]);
        const Taps columns(left, window.kernel[2], window.dilation[2], x.size[4]);
        float most = -INFINITY;
        word found = -1;
        for (int i = planes.first; i < planes.end; ++i) {
            for (int j = rows.first; j < rows.end; ++j) {
                for (int k = columns.first; k < columns.end; ++k) {
                    const int plane = front + i * window.dilation[0], row = top + j * window.dilation[1];
                    const int column = left + k * window.dilation[2];
                    const float value = x(at[0], at[1], plane, row, column);
                    if (found >= 0 && !(value > most) && (value == value || most != most)) continue;
                    most = value;
                    found = column_major ? (column * height + row) * depth + plane
                                         : (plane * height + row) * width + column;
                }
            }
        }
        y[at] = most;
        positions[at] = found < 0 ? -1 : (word(at[0]) * x.size[1] + at[1]) * depth * height * width + found;
    }
}

// Of several elements for one place the last one stays. Each puts forward its number, in the place itself; the largest
// wins. Those that lose come before the winner, so that they see in their turn that they have lost: it fills the place
// later.
template <class Team>
__device__ void place(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::place;
    constexpr int TURNS = 8;  // between two waits
    const View<1> x(words + fields::x, memory), y(words + fields::y, memory);
    const word* positions = pointer<const word>(words + fields::positions, memory);
    unsigned* claims = reinterpret_cast<unsigned*>(y.data);
    const int count = x.size[0];
    const auto inside = [&](int i) { return i < count && positions[i] >= 0 && positions[i] < y.size[0]; };
    for (int i = team.rank; i < count; i += team.size)
        if (inside(i)) claims[positions[i]] = 0;
    team.sync();
    for (int i = team.rank; i < count; i += team.size)
        if (inside(i)) atomicMax(&claims[positions[i]], i + 1u);
    team.sync();
    for (int first = 0; first < count; first += TURNS * team.size) {
        bool wins[TURNS];
#pragma unroll
        for (int turn = 0; turn < TURNS; ++turn) {
            const int i = first + turn * team.size + team.rank;
            wins[turn] = inside(i) && claims[positions[i]] == i + 1u;
        }
        team.sync();
#pragma unroll
        for (int turn = 0; turn < TURNS; ++turn) {
            const int i = first + turn * team.size + team.rank;
            if (wins[turn]) y.data[positions[i]] = x.data[i];
        }
    }
}
