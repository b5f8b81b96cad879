// Reductions, softmax and normalisation: a warp takes a result (or a row), its threads every 32nd element, and what
// they have is combined across the warp in a fixed order: the same bits on every machine. Sums are in float64, which
// costs little beside the reading of the elements that bounds these kernels.
#pragma once

__device__ inline double combined(int operation, double sum, double x) {
    switch (operation) {
        case Reduce::MAX: return sum != sum || x < sum ? sum : x;
        case Reduce::MIN: return sum != sum || x > sum ? sum : x;
        case Reduce::PROD: return sum * x;
        default: return sum + x;
    }
}

template <class Team>
__device__ void reduce(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::reduce;
    const View<6> x(words + fields::x, memory);
    const View<3> y(words + fields::y, memory);
    const int operation = static_cast<int>(words[fields::operator_]);
    const int inner = x.size[3] * x.size[4] * x.size[5], outer = y.count();
    const double start = operation == Reduce::PROD ? 1.0
                         : operation == Reduce::MAX ? -INFINITY
                         : operation == Reduce::MIN ? INFINITY
                                                    : 0.0;
    for (int result = team.rank / WARP; result < outer; result += team.size / WARP) {
        const int k2 = result % y.size[2], k01 = result / y.size[2];
        const float* row = &x(k01 / y.size[1], k01 % y.size[1], k2, 0, 0, 0);
        double sum = start;
        for (int index = team.rank % WARP; index < inner; index += WARP) {
            const int last = index % x.size[5], rest = index / x.size[5];
            double value = row[rest / x.size[4] * x.stride[3] + rest % x.size[4] * x.stride[4] + last * x.stride[5]];
            if (operation == Reduce::SUM_SQUARE || operation == Reduce::L2) value *= value;
            if (operation == Reduce::L1) value = fabs(value);
            sum = combined(operation, sum, value);
        }
        sum = across_warp(sum, [=](double a, double b) { return combined(operation, a, b); });
        if (operation == Reduce::MEAN) sum /= inner;
        if (operation == Reduce::L2) sum = sqrt(sum);
        if (team.rank % WARP == 0) y(k01 / y.size[1], k01 % y.size[1], k2) = static_cast<float>(sum);
    }
}

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
        double sum = 0.0;
        for (int index = lane; index < length; index += WARP) sum += exp(double(from[index * x.stride[1]]) - most);
        sum = across_warp(sum, [](double a, double b) { return a + b; });
        const double shift = logarithm ? log(sum) : 0.0, factor = 1.0 / sum;
        for (int index = lane; index < length; index += WARP) {
            const double value = double(from[index * x.stride[1]]) - most;
            to[index * y.stride[1]] = static_cast<float>(logarithm ? value - shift : exp(value) * factor);
        }
    }
}

// Mean and variance of the last two axes of each pair of kept ones. Source: ONNX LayerNormalization and its kin.
template <class Team>
__device__ void normalize(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::normalize;
    const View<4> x(words + fields::x, memory), y(words + fields::y, memory);
    const View<4> scale(words + fields::scale, memory), bias(words + fields::bias, memory);
    const View<2> mean(words + fields::mean, memory), inverse(words + fields::inverse, memory);
    const double epsilon = __longlong_as_double(words[fields::epsilon]);
    const bool centred = words[fields::centred] != 0;
    const int inner = x.size[2] * x.size[3], outer = x.size[0] * x.size[1], lane = team.rank % WARP;
    const auto plus = [](double a, double b) { return a + b; };
    for (int row = team.rank / WARP; row < outer; row += team.size / WARP) {
        const int first = row / x.size[1], second = row % x.size[1];
        double middle = 0.0, squares = 0.0;
        if (centred) {
            for (int index = lane; index < inner; index += WARP)
                middle += x(first, second, index / x.size[3], index % x.size[3]);
            middle = across_warp(middle, plus) / inner;
        }
        for (int index = lane; index < inner; index += WARP) {
            const double apart = x(first, second, index / x.size[3], index % x.size[3]) - middle;
            squares += apart * apart;
        }
        const double factor = 1.0 / sqrt(across_warp(squares, plus) / inner + epsilon);
        for (int index = lane; index < inner; index += WARP) {
            const int third = index / x.size[3], fourth = index % x.size[3];
            double value = (x(first, second, third, fourth) - middle) * factor;
            if (scale) value *= scale(first, second, third, fourth);
            if (bias) value += bias(first, second, third, fourth);
            y(first, second, third, fourth) = static_cast<float>(value);
        }
        if (lane == 0) {
            if (mean) mean(first, second) = static_cast<float>(middle);
            if (inverse) inverse(first, second) = static_cast<float>(factor);
        }
    }
}
