// Reductions, softmax and normalisation: a thread, a warp or a block takes a result (or a row), see rows.cuh. float32
// is added as a `Sum`; reduce_general works in the type of its elements, int64, uint64 or float64. Bound by reading
// them.
// Source: ONNX ReduceSum and its kin, Softmax, LogSoftmax; LayerNormalization and its kin.
#pragma once
#include "carriers.cuh"
#include "rows.cuh"
#include "sums.cuh"

// One more element, or what another thread has; NaN stays.
template <class T>
__device__ T combined(int operation, T total, T x) {
    switch (operation) {
        case Reduce::MAX: return total != total || x < total ? total : x;
        case Reduce::MIN: return total != total || x > total ? total : x;
        case Reduce::PROD: return total * x;
        default: return total + x;
    }
}

// What comes of nothing. The limits of floats; integers have none beyond all others, and are given an element.
template <class T>
__device__ T neutral(int operation, T element) {
    if (operation == Reduce::PROD) return T(1);
    if (operation != Reduce::MAX && operation != Reduce::MIN) return T(0);
    if constexpr (IS_WHOLE<T>) return element;
    else return T(operation == Reduce::MAX ? -INFINITY : INFINITY);
}

template <class T>
__device__ T finished(int operation, T total, int count) {
    if (operation == Reduce::MEAN) return total / T(count);
    return operation == Reduce::L2 ? static_cast<T>(sqrt(static_cast<double>(total))) : total;
}

__device__ inline Sum combined(int, const Sum& total, const Sum& x) { return total + x; }
__device__ inline Sum neutral(int, const Sum&) { return Sum(); }
__device__ inline float finished(int operation, const Sum& total, int count) {
    if (operation == Reduce::MEAN) return total.value() / count;
    return operation == Reduce::L2 ? sqrtf(total.value()) : total.value();
}

// The reduction of x [3 kept, 3 reduced], whose elements are loaded as an `Element` and combined as a `Total`.
template <class Total, class Element, class Team>
__device__ void reduce_as(int operation, const Carried<6>& x, const Carried<3>& y, const Team& team) {
    const int shape[3] = {x.size[3], x.size[4], x.size[5]}, length = shape[0] * shape[1] * shape[2];
    const int results = y.count();
    const RowSharing sharing(team, results, length, x.stride[2] == 1 && x.size[2] >= WARP);
    for (int result = sharing.first; result < results; result += sharing.step) {
        const Place<3> kept(result, y.size);
        const word row = kept.offset(x.stride);
        const Total start = neutral(operation, Total(x.template load<Element>(row)));
        const auto combine = [=](const Total& a, const Total& b) { return combined(operation, a, b); };
        const auto take = [&](Total& total, int index) {
            Element value = x.template load<Element>(row + Place<3>(index, shape).offset(x.stride + 3));
            if (operation == Reduce::SUM_SQUARE || operation == Reduce::L2) value *= value;
            if (operation == Reduce::L1 && is_negative(value)) value = -value;
            total = combined(operation, total, Total(value));
        };
        const Total total = over_row(sharing, length, start, take, combine);
        if (sharing.lane == 0) y.store(kept.offset(y.stride), finished(operation, total, length));
    }
}

template <class Team>
__device__ void reduce(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::reduce;
    const Carried<6> x(words + fields::x, memory);
    const Carried<3> y(words + fields::y, memory);
    const int operation = static_cast<int>(words[fields::operator_]);
    if (operation == Reduce::PROD) reduce_as<double, float>(operation, x, y, team);
    else if (operation == Reduce::MAX || operation == Reduce::MIN) reduce_as<float, float>(operation, x, y, team);
    else reduce_as<Sum, float>(operation, x, y, team);
}

template <class Team>
__device__ void reduce_general(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::reduce_general;
    const Carried<6> x(words + fields::x, memory);
    const Carried<3> y(words + fields::y, memory);
    const int operation = static_cast<int>(words[fields::operator_]);
    if (x.element != ElementType::INT64) reduce_as<double, double>(operation, x, y, team);
    else if (words[fields::unsigned_] != 0) reduce_as<unsigned_word, unsigned_word>(operation, x, y, team);
    else reduce_as<word, word>(operation, x, y, team);
}

__device__ inline Sum plus(const Sum& a, const Sum& b) { return a + b; }

template <class Team>
__device__ void softmax(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::softmax;
    const View<3> x(words + fields::x, memory), y(words + fields::y, memory);
    const bool logarithm = words[fields::logarithm] != 0;
    const int length = x.size[1], rows = x.size[0] * x.size[2];
    const RowSharing sharing(team, rows, length, x.stride[2] == 1 && x.size[2] >= WARP);
    for (int row = sharing.first; row < rows; row += sharing.step) {
        const float* from = &x(row / x.size[2], 0, row % x.size[2]);
        float* to = &y(row / x.size[2], 0, row % x.size[2]);
        const auto take_larger = [&](float& most, int index) { most = larger(most, from[index * x.stride[1]]); };
        const float most = over_row(sharing, length, -INFINITY, take_larger, larger);
        const auto add = [&](Sum& sum, int index) { sum += Sum(expf(from[index * x.stride[1]] - most)); };
        const float sum = over_row(sharing, length, Sum(), add, plus).value(), shift = logarithm ? logf(sum) : 0.0f;
        for (int index = sharing.lane; index < length; index += sharing.members) {
            const float value = from[index * x.stride[1]] - most;
            to[index * y.stride[1]] = logarithm ? value - shift : expf(value) / sum;
        }
    }
}

// What lies about a mean.
struct Moments {
    Sum first, second;
};

__device__ inline Moments plus_moments(const Moments& a, const Moments& b) {
    return {a.first + b.first, a.second + b.second};
}

__device__ inline Moments from_thread_across(const Moments& moments, int apart) {
    return {from_thread_across(moments.first, apart), from_thread_across(moments.second, apart)};
}

// Mean and variance of the last two axes of each pair of kept ones. How far the mean lies beside its own float32 comes
// of what lies about that. Source: T. Chan, G. Golub, R. LeVeque, Algorithms for Computing the Sample Variance (1983).
template <class Team>
__device__ void normalize(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::normalize;
    const View<4> x(words + fields::x, memory), y(words + fields::y, memory);
    const View<4> scale(words + fields::scale, memory), bias(words + fields::bias, memory);
    const View<2> mean(words + fields::mean, memory), inverse(words + fields::inverse, memory);
    const float epsilon = number(words + fields::epsilon);
    const bool centred = words[fields::centred] != 0;
    const int shape[2] = {x.size[2], x.size[3]}, length = shape[0] * shape[1], rows = x.size[0] * x.size[1];
    const RowSharing sharing(team, rows, length, x.stride[1] == 1 && x.size[1] >= WARP);
    for (int row = sharing.first; row < rows; row += sharing.step) {
        const int first = row / x.size[1], second = row % x.size[1];
        const auto at = [&](const View<4>& tensor, const Place<2>& place) -> float& {
            return tensor(first, second, place[0], place[1]);
        };
        const auto add = [&](Sum& sum, int index) { sum += Sum(at(x, Place<2>(index, shape))); };
        const float middle = centred ? over_row(sharing, length, Sum(), add, plus).value() / length : 0.0f;
        const auto add_moments = [&](Moments& moments, int index) {
            const float apart = at(x, Place<2>(index, shape)) - middle;
            moments.first += Sum(apart);
            moments.second += Sum(apart * apart);
        };
        const Moments moments = over_row(sharing, length, Moments(), add_moments, plus_moments);
        const float beside = centred ? moments.first.value() / length : 0.0f;
        const float variance = at_least(moments.second.value() / length - beside * beside, 0.0f);
        const float factor = 1.0f / sqrtf(variance + epsilon);
        for (int index = sharing.lane; index < length; index += sharing.members) {
            const Place<2> place(index, shape);
            float value = (at(x, place) - middle - beside) * factor;
            if (scale) value *= at(scale, place);
            if (bias) value += at(bias, place);
            at(y, place) = value;
        }
        if (sharing.lane == 0) {
            if (mean) mean(first, second) = middle + beside;
            if (inverse) inverse(first, second) = factor;
        }
    }
}
