// Pooling: a thread takes one number of the output and goes over its window. Bound by reading the input, which
// neighbours share through the first cache. Source: ONNX MaxPool and AveragePool.
#pragma once
#include "taps.cuh"
#include "window.cuh"

template <class fields, bool MAXIMUM, class Team>
__device__ void pool(const word* words, const Memory& memory, const Team& team) {
    const View<4> x(words + fields::x, memory), y(words + fields::y, memory);
    const Window3 window = Window3::of_image(words, fields());
    const int bottom = int(words[fields::pad_bottom]), right = int(words[fields::pad_right]);
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const Place<4> at(index, y.size);
        const int top = at[2] * window.stride[1] - window.pad[1], left = at[3] * window.stride[2] - window.pad[2];
        const Taps rows(top, window.kernel[1], window.dilation[1], x.size[2]);
        const Taps columns(left, window.kernel[2], window.dilation[2], x.size[3]);
        float most = -INFINITY, sum = 0.0f;
        for (int i = rows.first; i < rows.end; ++i) {
            for (int j = columns.first; j < columns.end; ++j) {
                const float value = x(at[0], at[1], top + i * window.dilation[1], left + j * window.dilation[2]);
                most = larger(most, value);
                sum += value;
            }
        }
        if constexpr (MAXIMUM) {
            y[at] = most;
        } else if (words[fields::count_include_pad] != 0) {
            const int above = window.pad[1], before = window.pad[2];
            const int height = above + x.size[2] + bottom, width = before + x.size[3] + right;
            const Taps padded_rows(top + above, window.kernel[1], window.dilation[1], height);
            const Taps padded_columns(left + before, window.kernel[2], window.dilation[2], width);
            y[at] = sum / (padded_rows.count() * padded_columns.count());
        } else {
            y[at] = sum / (rows.count() * columns.count());
        }
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
