// Gathers and scatters at positions that arrive; what lies outside its axis touches nothing. Bound by the bytes moved,
// or by jumping among them.
// flat_positions, gather_at: a thread takes one number of the output.
// scatter_at: a thread takes a column of y, or a part of one where there are fewer columns than threads, and goes over
// all positions in order: of updates for one element none overtakes another.
// non_zero: one block a lane, whose threads count together.
// Source: ONNX Gather, GatherElements, GatherND, ScatterElements, ScatterND, NonZero.
#pragma once
#include "elements.cuh"
#include "orders.cuh"

// A position from the start of an axis; below 0 if it is outside.
__device__ inline word counted(word index, word size) {
    if (index < 0) index += size;
    return index < size ? index : -1;
}

template <class Team>
__device__ void flat_positions(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::flat_positions;
    const View<2, const word> indices(words + fields::indices, memory);
    const View<1, const int> sizes(words + fields::sizes, memory);
    const View<1, word> y(words + fields::y, memory);
    for (int i = team.rank; i < y.size[0]; i += team.size) {
        word number = 0;
        for (int axis = 0; axis < sizes.size[0]; ++axis) {
            const word place = counted(indices(i, axis), sizes.data[axis]);
            number = number < 0 || place < 0 ? NOWHERE : number * sizes.data[axis] + place;
        }
        y(i) = number;
    }
}

struct GatherAt {
    template <class T, class Team>
    __device__ static void of(const word* words, const Memory& memory, const Team& team) {
        using fields = operands::gather_at;
        const View<HEADS + 2, const T> x(words + fields::x, memory);
        const View<HEADS + 1, const word> indices(words + fields::indices, memory);
        const View<HEADS + 2, T> y(words + fields::y, memory);
        for (int index = team.rank, count = y.count(); index < count; index += team.size) {
            const Place<HEADS + 2> at(index, y.size);
            const word from = counted(indices(at[0], at[1], at[2], at[3], at[4]), x.size[HEADS]);
            y[at] = from < 0 ? T(0) : x(at[0], at[1], at[2], at[3], from, at[5]);
        }
    }
};

template <class Team>
__device__ void gather_at(const word* words, const Memory& memory, const Team& team) {
    by_element<GatherAt>(operands::gather_at::x, words, memory, team);
}

// In what an integer wraps.
template <class T>
struct Wrapping {
    using type = T;
};
template <>
struct Wrapping<word> {
    using type = unsigned long long;
};

template <class T>
__device__ T scattered(int reduction, T old, T update) {
    using number = typename Wrapping<T>::type;
    switch (reduction) {
        case Scatter::ADD: return static_cast<T>(number(old) + number(update));
        case Scatter::MUL: return static_cast<T>(number(old) * number(update));
        case Scatter::MAX: return update > old || update != update ? update : old;
        case Scatter::MIN: return update < old || update != update ? update : old;
    }
    return update;
}

struct ScatterAt {
    template <class T, class Team>
    __device__ static void of(const word* words, const Memory& memory, const Team& team) {
        using fields = operands::scatter_at;
        const int reduction = static_cast<int>(words[fields::reduction]);
        const View<HEADS + 1, const word> indices(words + fields::indices, memory);
        const View<HEADS + 2, const T> updates(words + fields::updates, memory);
        const View<HEADS + 2, T> y(words + fields::y, memory);
        const int size = y.size[HEADS], inner = y.size[HEADS + 1], columns = y.count(HEADS) * inner;
        const int parts = max(1, min(size, team.size / max(columns, 1))), rows = (size + parts - 1) / parts;
        const int shape[HEADS + 2] = {y.size[0], y.size[1], y.size[2], y.size[3], parts, inner};
        for (int index = team.rank; index < columns * parts; index += team.size) {
            const Place<HEADS + 2> at(index, shape);
            const int first = at[4] * rows, end = min(first + rows, size);
            const word* places = &indices(at[0], at[1], at[2], at[3], 0);
            const T* source = &updates(at[0], at[1], at[2], at[3], 0, at[5]);
            T* target = &y(at[0], at[1], at[2], at[3], 0, at[5]);
            for (int i = 0; i < updates.size[HEADS]; ++i) {
                const word row = counted(places[i * indices.stride[HEADS]], size);
                if (row < first || row >= end) continue;
                T& element = target[row * y.stride[HEADS]];
                element = scattered(reduction, element, source[i * updates.stride[HEADS]]);
            }
        }
    }
};

template <class Team>
__device__ void scatter_at(const word* words, const Memory& memory, const Team& team) {
    by_element<ScatterAt>(operands::scatter_at::y, words, memory, team);
}

struct NonZero {
    template <class T, class Team>
    __device__ static void of(const word* words, const Memory& memory, const Team& team) {
        using fields = operands::non_zero;
        const View<1, const T> x(words + fields::x, memory);
        const View<1, word> y(words + fields::y, memory), count(words + fields::count, memory);
        int found = 0;
        for (int first = 0; first < x.size[0]; first += team.size) {
            const int i = first + team.rank;
            const bool chosen = i < x.size[0] && x(i) != T(0);
            const Chosen among(chosen, team);
            if (chosen) y(found + among.before) = i;
            found += among.all;
        }
        for (int i = found + team.rank; i < y.size[0]; i += team.size) y(i) = NOWHERE;
        if (team.rank == 0) count(0) = found;
    }
};

template <class Team>
__device__ void non_zero(const word* words, const Memory& memory, const Team& team) {
    by_element<NonZero>(operands::non_zero::x, words, memory, team);
}
