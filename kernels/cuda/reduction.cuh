// Reductions, softmax and normalisation: a warp takes a result (or a row), its threads every 32nd element, and what
// they have is combined across the warp in a fixed order: the same bits on every machine. float32 is added as a `Sum`;
// reduce_general works in the type of its elements, int64, uint64 or float64. Bound by reading the elements.
// Source: ONNX ReduceSum and its kin, Softmax, LogSoftmax; LayerNormalization and its kin.
#pragma once
#include "carriers.cuh"
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
    const int inner = x.size[3] * x.size[4] * x.size[5], outer = y.count(), lane = team.rank % WARP;
    for (int result = team.rank / WARP; result < outer; result += team.size / WARP) {
        const int k2 = result % y.size[2], k01 = result / y.size[2], k1 = k01 % y.size[1], k0 = k01 / y.size[1];
        const word row = x.offset(k0, k1, k2, 0, 0, 0);
        Total total = neutral(operation, Total(x.template load<Element>(row)));
        for (int index = lane; index < inner; index += WARP) {
            const int last = index % x.size[5], rest = index / x.size[5];
            const word place = rest / x.size[4] * x.stride[3] + rest % x.size[4] * x.stride[4] + last * x.stride[5];
            Element value = x.template load<Element>(row + place);
            if (operation == Reduce::SUM_SQUARE || operation == Reduce::L2) value *= value;
            if (operation == Reduce::L1 && is_negative(value)) value = -value;
            total = combined(operation, total, Total(value));
        }
        total = across_warp(total, [=](const Total& a, const Total& b) { return combined(operation, a, b); });
        if (lane == 0) y.store(y.offset(k0, k1, k2), finished(operation, total, inner));
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
    const int length = x.size[1], rows = x.size[0] * x.size[2], lane = team.rank % WARP;
    for (int row = team.rank / WARP; row < rows; row += team.size / WARP) {
        const float* from = &x(row / x.size[2], 0, row % x.size[2]);
        float* to = &y(row / x.size[2], 0, row % x.size[2]);
        float most = -INFINITY;
        for (int index = lane; index < length; index += WARP) most = larger(most, from[index * x.stride[1]]);
        most = across_warp(most, larger);
        Sum parts;
        for (int index = lane; index < length; index += WARP) parts += Sum(expf(from[index * x.stride[1]] - most));
        const float sum = across_warp(parts, plus).value(), shift = logarithm ? logf(sum) : 0.0f;
        for (int index = lane; index < length; index += WARP) {
            const float value = from[index * x.stride[1]] - most;
            to[index * y.stride[1]] = logarithm ? value - shift : expf(value) / sum;
        }
    }
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
    const int inner = x.size[2] * x.size[3], outer = x.size[0] * x.size[1], lane = team.rank % WARP;
    for (int row = team.rank / WARP; row < outer; row += team.size / WARP) {
        const int first = row / x.size[1], second = row % x.size[1];
        const auto at = [&](const View<4>& tensor, int index) {
            return tensor(first, second, index / x.size[3], index % x.size[3]);
        };
        float middle = 0.0f, beside = 0.0f;
        Sum sum, squares;
        if (centred) {
            for (int index = lane; index < inner; index += WARP) sum += Sum(at(x, index));
            middle = across_warp(sum, plus).value() / inner;
            sum = Sum();
        }
        for (int index = lane; index < inner; index += WARP) {
            const float apart = at(x, index) - middle;
            sum += Sum(apart);
            squares += Sum(apart * apart);
        }
        if (centred) beside = across_warp(sum, plus).value() / inner;
        const float variance = at_least(across_warp(squares, plus).value() / inner - beside * beside, 0.0f);
        const float factor = 1.0f / sqrtf(variance + epsilon);
        for (int index = lane; index < inner; index += WARP) {
            float value = (at(x, index) - middle - beside) * factor;
            if (scale) value *= at(scale, index);
            if (bias) value += at(bias, index);
            y(first, second, index / x.size[3], index % x.size[3]) = value;
        }
        if (lane == 0) {
            if (mean) mean(first, second) = middle + beside;
            if (inverse) inverse(first, second) = factor;
        }
    }
}
