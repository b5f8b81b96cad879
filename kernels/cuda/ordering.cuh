// Order along an axis. NaN counts as larger than every number; of equals the first one comes first.
// arg_reduce: a thread takes a result, or a warp where the axis is long and what lies beside it is not; bound by the
// bytes read. top_k: a thread takes an element and counts those that come before it, until they are too many; bound by
// comparisons, as many as elements times the length of the axis at most. unique: one block a lane sorts in scratch.
// Source: ONNX ArgMax, ArgMin, TopK, Unique.
#pragma once
#include "elements.cuh"
#include "orders.cuh"

template <class T>
struct Best {
    T value;
    int place;  // -1: none so far

    __device__ void take(T other, int where, bool largest, bool last) {
        if (where < 0) return;
        const bool alike = !comes_before(other, value, largest) && !comes_before(value, other, largest);
        if (place < 0 || comes_before(other, value, largest) || (alike && (last ? where > place : where < place)))
            value = other, place = where;
    }
};

struct ArgReduce {
    template <class T, class Team>
    __device__ static void of(const word* words, const Memory& memory, const Team& team) {
        using fields = operands::arg_reduce;
        const bool largest = words[fields::largest] != 0, last = words[fields::last] != 0;
        const View<3, const T> x(words + fields::x, memory);
        const View<2, word> y(words + fields::y, memory);
        const bool together = x.size[1] >= WARP && x.size[2] < WARP;
        const int members = together ? WARP : 1;  // threads that share a result
        for (int result = team.rank / members; result < y.count(); result += team.size / members) {
            const int outer = result / y.size[1], inner = result % y.size[1];
            Best<T> best{T(0), -1};
            for (int i = team.rank % members; i < x.size[1]; i += members)
                best.take(x(outer, i, inner), i, largest, last);
            for (int apart = members / 2; apart > 0; apart /= 2) {
                const T value = __shfl_xor_sync(0xffffffffu, best.value, apart);
                best.take(value, __shfl_xor_sync(0xffffffffu, best.place, apart), largest, last);
            }
            if (team.rank % members == 0) y(outer, inner) = best.place;
        }
    }
};

template <class Team>
__device__ void arg_reduce(const word* words, const Memory& memory, const Team& team) {
    by_element<ArgReduce>(operands::arg_reduce::x, words, memory, team);
}

struct TopK {
    template <class T, class Team>
    __device__ static void of(const word* words, const Memory& memory, const Team& team) {
        using fields = operands::top_k;
        constexpr int TURNS = 8;  // between two looks whether they are too many
        const bool largest = words[fields::largest] != 0;
        const View<3, const T> x(words + fields::x, memory);
        const View<3, T> values(words + fields::values, memory);
        const View<3, word> indices(words + fields::indices, memory);
        const int length = x.size[1], kept = values.size[1];
        for (int index = team.rank, count = x.count(); index < count; index += team.size) {
            const int i = index % length, inner = index / length % x.size[2], outer = index / length / x.size[2];
            const T value = x(outer, i, inner);
            int rank = 0;
            for (int first = 0; first < length && rank < kept; first += TURNS) {
    #pragma unroll
                for (int j = first; j < first + TURNS; ++j) {
                    if (j >= length) break;
                    const T other = x(outer, j, inner);
                    rank += j < i ? !comes_before(value, other, largest) : comes_before(other, value, largest);
                }
            }
            if (rank < kept) values(outer, rank, inner) = value, indices(outer, rank, inner) = i;
        }
    }
};

template <class Team>
__device__ void top_k(const word* words, const Memory& memory, const Team& team) {
    by_element<TopK>(operands::top_k::x, words, memory, team);
}

// Rows of a tensor, compared by their elements from the first on.
template <class T>
struct Rows {
    View<2, const T> x;

    __device__ bool precede(word i, word j) const {
        for (int n = 0; n < x.size[1]; ++n) {
            const T a = x(i, n), b = x(j, n);
            if (comes_before(a, b, false)) return true;
            if (comes_before(b, a, false)) return false;
        }
        return i < j;
    }

    __device__ bool alike(word i, word j) const {
        for (int n = 0; n < x.size[1]; ++n) {
            const T a = x(i, n), b = x(j, n);
            if (a != b && (a == a || b == b)) return false;
        }
        return true;
    }
};

// Sorted, rows that are alike lie side by side, the first of them in front. Its number gives way, in scratch, to the
// place of the group in the result, as -1 - place.
struct Unique {
    template <class T, class Team>
    __device__ static void of(const word* words, const Memory& memory, const Team& team) {
        using fields = operands::unique;
        const bool ordered = words[fields::ordered] != 0;
        const Rows<T> x{View<2, const T>(words + fields::x, memory)};
        const View<2, T> y(words + fields::y, memory);
        const View<1, word> first(words + fields::first, memory), inverse(words + fields::inverse, memory);
        const View<1, word> counts(words + fields::counts, memory), count(words + fields::count, memory);
        const int rows = y.size[0], width = y.size[1];
        word* order = pointer<word>(words + fields::scratch, memory);
        word *starts = order + rows, *group = starts + rows;  // of each group; of each row
        for (int i = team.rank; i < rows; i += team.size) order[i] = i;
        team.sync();
        sort(order, rows, [&](word i, word j) { return x.precede(i, j); }, team);
        int groups = 0;
        for (int turn = 0; turn < rows; turn += team.size) {
            const int i = turn + team.rank;
            const bool leads = i < rows && (i == 0 || !x.alike(order[i - 1], order[i]));
            const Chosen leaders(leads, team);
            if (leads) starts[groups + leaders.before] = i;
            if (i < rows) group[order[i]] = groups + leaders.before + leads - 1;
            groups += leaders.all;
        }
        team.sync();
        int found = 0;
        for (int turn = 0; turn < rows; turn += team.size) {
            const int i = turn + team.rank;
            const word own = i < rows ? group[i] : 0;
            const bool leads = i < rows && order[starts[own]] == i;
            const Chosen leaders(leads, team);
            if (leads) {
                const word place = ordered ? own : found + leaders.before;
                first(place) = i;
                counts(place) = (own + 1 < groups ? starts[own + 1] : rows) - starts[own];
                for (int n = 0; n < width; ++n) y(place, n) = x.x(i, n);
                order[starts[own]] = -1 - place;
            }
            found += leaders.all;
        }
        team.sync();
        for (int i = team.rank; i < rows; i += team.size) {
            inverse(i) = -1 - order[starts[group[i]]];
            if (i < groups) continue;
            first(i) = counts(i) = 0;
            for (int n = 0; n < width; ++n) y(i, n) = T(0);
        }
        if (team.rank == 0) count(0) = groups;
    }
};

template <class Team>
__device__ void unique(const word* words, const Memory& memory, const Team& team) {
    by_element<Unique>(operands::unique::x, words, memory, team);
}
