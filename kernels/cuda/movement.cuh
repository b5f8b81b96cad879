// Data movement: copy, copy_wide, fill, gather. Every element is read once and written once: bound by the bytes moved.
// Threads go over the output in C order, so that what they write side by side lies side by side where it is dense.
#pragma once

// Behind the last element of a tensor; strides are not negative.
__device__ inline const float* end(const View<6>& tensor) {
    word last = 0;
#pragma unroll
    for (int axis = 0; axis < 6; ++axis) last += (tensor.size[axis] - 1) * tensor.stride[axis];
    return tensor.data + last + 1;
}

// What a stream keeps moves up within its own memory: y lies before x there, and no element is written before all
// threads have read those of their turn. Only threads that can wait for each other are given such a copy.
template <class Team>
__device__ void copy_in_order(const View<6>& x, const View<6>& y, const Team& team) {
    const int count = y.count();
    for (int first = 0; first < count; first += team.size) {
        const int index = first + team.rank;
        const Places<6, 2> at(min(index, count - 1), y, x);
        const float value = x.data[at.offset[1]];
        team.sync();
        if (index < count) y.data[at.offset[0]] = value;
    }
}

// Threads that have several elements read some before they write the first, so that they wait for all of them at once.
template <class T, class Team>
__device__ void copy_elements(const View<6, T>& x, const View<6, T>& y, const Team& team) {
    constexpr int TURNS = 4;
    for (int first = team.rank, count = y.count(); first < count; first += TURNS * team.size) {
        T values[TURNS];
        word to[TURNS];
#pragma unroll
        for (int turn = 0; turn < TURNS; ++turn) {
            const int index = first + turn * team.size;
            if (index >= count) break;
            const Places<6, 2> at(index, y, x);
            values[turn] = x.data[at.offset[1]];
            to[turn] = at.offset[0];
        }
#pragma unroll
        for (int turn = 0; turn < TURNS; ++turn)
            if (first + turn * team.size < count) y.data[to[turn]] = values[turn];
    }
}

template <class Team>
__device__ void copy(const word* words, const Memory& memory, const Team& team) {
    const View<6> x(words + operands::copy::x, memory), y(words + operands::copy::y, memory);
    if constexpr (Team::CAN_WAIT) {
        if (y.data < x.data && x.data < end(y)) {
            copy_in_order(x, y, team);
            return;
        }
    }
    copy_elements(x, y, team);
}

template <class Team>
__device__ void copy_wide(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::copy_wide;
    copy_elements(View<6, word>(words + fields::x, memory), View<6, word>(words + fields::y, memory), team);
}

template <class Team>
__device__ void fill(const word* words, const Memory& memory, const Team& team) {
    const View<6> y(words + operands::fill::y, memory);
    const float value = number(words + operands::fill::value);
    for (int index = team.rank, count = y.count(); index < count; index += team.size)
        y.data[Places<6, 1>(index, y).offset[0]] = value;
}

template <class Team>
__device__ void gather(const word* words, const Memory& memory, const Team& team) {
    const View<3> x(words + operands::gather::x, memory), y(words + operands::gather::y, memory);
    const View<1, int> indices(words + operands::gather::indices, memory);
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const Place<3> at(index, y.size);
        const int from = indices(at[1]);
        y[at] = from < 0 ? 0.0f : x(at[0], from, at[2]);
    }
}
