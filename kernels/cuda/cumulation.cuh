// cumulate: running sums and products along an axis; floats are worked out in float64. A thread takes a line of the
// axis; where the axis is long and what lies beside it is short, a warp does, which scans 32 elements at a time. Bound
// by reading the elements, or by one addition after the other. Source: ONNX CumSum and CumProd; W. Hillis, G. Steele,
// Data Parallel Algorithms (1986), for the scan.
#pragma once
#include "carriers.cuh"

template <class T>
struct RunningTotal {
    using type = double;
};
template <>
struct RunningTotal<word> {
    using type = unsigned_word;  // which wraps
};

struct Cumulation {
    template <class T, class Team>
    __device__ static void of(const word* words, const Memory& memory, const Team& team) {
        using fields = operands::cumulate;
        using Total = typename RunningTotal<T>::type;
        const View<3, const T> x(words + fields::x, memory);
        const View<3, T> y(words + fields::y, memory);
        const bool product = words[fields::operator_] == Cumulate::PROD, exclusive = words[fields::exclusive] != 0;
        const bool together = x.size[1] >= WARP && x.size[2] < WARP;
        const int members = together ? WARP : 1, lane = team.rank % members;  // of the threads that share a line
        const auto joined = [=](Total a, Total b) { return product ? a * b : a + b; };
        const Total neutral = product ? 1 : 0;
        for (int line = team.rank / members; line < x.size[0] * x.size[2]; line += team.size / members) {
            const int outer = line / x.size[2], inner = line % x.size[2];
            Total before = neutral;
            for (int first = 0; first < x.size[1]; first += members) {
                const int i = first + lane;
                Total total = i < x.size[1] ? static_cast<Total>(x(outer, i, inner)) : neutral, without = before;
                for (int apart = 1; apart < members; apart *= 2) {
                    const Total other = __shfl_up_sync(0xffffffffu, total, apart);
                    if (lane >= apart) total = joined(other, total);
                }
                total = joined(before, total);
                before = total;
                if (together) {
                    const Total other = __shfl_up_sync(0xffffffffu, total, 1);
                    if (lane > 0) without = other;
                    before = __shfl_sync(0xffffffffu, total, WARP - 1);
                }
                if (i < x.size[1]) y(outer, i, inner) = static_cast<T>(exclusive ? without : total);
            }
        }
    }
};

template <class Team>
__device__ void cumulate(const word* words, const Memory& memory, const Team& team) {
    by_element<Cumulation>(operands::cumulate::x, words, memory, team);
}
