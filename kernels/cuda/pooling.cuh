// Pooling: a thread takes one number of the output and goes over its window. Bound by reading the input, which
// neighbours share through the first cache. Source: ONNX MaxPool and AveragePool.
#pragma once
#include "convolution.cuh"

// The taps of a window along one axis that lie inside: the first one, and how many there are; and how many `counted`
// ones lie inside or in the padding.
struct Taps {
    int first, count, counted;

    __device__ Taps(int start, int kernel, int dilation, int before, int size, int after)
        : first(kernel), count(0), counted(0) {
        for (int tap = 0; tap < kernel; ++tap) {
            const int at = start + tap * dilation;
            if (at >= -before && at < size + after) ++counted;
            if (at >= 0 && at < size) {
                if (count == 0) first = tap;
                ++count;
            }
        }
    }
};

template <class fields, bool MAXIMUM, class Team>
__device__ void pool(const word* words, const Memory& memory, const Team& team) {
    const View<4> x(words + fields::x, memory), y(words + fields::y, memory);
    const Window3 window = Window3::of_image(words, fields());
    const int bottom = int(words[fields::pad_bottom]), right = int(words[fields::pad_right]);
    const bool count_include_pad = words[fields::count_include_pad] != 0;
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const int column = index % y.size[3], row = index / y.size[3] % y.size[2];
        const int channel = index / (y.size[3] * y.size[2]) % y.size[1];
        const int batch = index / (y.size[3] * y.size[2] * y.size[1]);
        const int top = row * window.stride[1] - window.pad[1], left = column * window.stride[2] - window.pad[2];
        const Taps rows(top, window.kernel[1], window.dilation[1], window.pad[1], x.size[2], bottom);
        const Taps columns(left, window.kernel[2], window.dilation[2], window.pad[2], x.size[3], right);
        float most = -INFINITY, sum = 0.0f;
        for (int i = rows.first; i < rows.first + rows.count; ++i) {
            for (int j = columns.first; j < columns.first + columns.count; ++j) {
                const float value = x(batch, channel, top + i * window.dilation[1], left + j * window.dilation[2]);
                most = value > most || value != value ? value : most;  // NaN stays
                sum += value;
            }
        }
        const int taps = count_include_pad ? rows.counted * columns.counted : rows.count * columns.count;
        y(batch, channel, row, column) = MAXIMUM ? most : sum / taps;
    }
}

template <class Team>
__device__ void max_pool(const word* words, const Memory& memory, const Team& team) {
    pool<operands::max_pool, true>(words, memory, team);
}

template <class Team>
__device__ void average_pool(const word* words, const Memory& memory, const Team& team) {
    pool<operands::average_pool, false>(words, memory, team);
}
