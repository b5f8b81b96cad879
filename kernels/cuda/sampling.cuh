// Values between elements. A thread takes a point and up to four channels: what surrounds the point is worked out once
// for all of them. Neighbours take points side by side. Bound by the scattered reads of x.
// Coordinates are rounded after every operation, as the definition does it: which element is the nearest is the same.
// Source: ONNX GridSample; R. Keys, IEEE Trans. ASSP 29 (1981).
#pragma once

constexpr float FARTHEST = 16777216.0f;  // float32 has no fractions there, and it fits every integer

// An index mapped into an axis as `beyond` says; zeros leave it outside.
__device__ inline float bring_back(float at, int size, float low, float high, int beyond) {
    if (beyond == Beyond::ZEROS || (at >= low && at <= high)) return at;
    if (beyond == Beyond::BORDER) return clip(at, 0.0f, size - 1.0f);
    const float span = high - low;
    if (span <= 0.0f) return 0.0f;
    const bool below = at < low;
    const float past = below ? low - at : at - high;
    const int times = static_cast<int>(past / span);
    const float rest = __fsub_rn(past, __fmul_rn(times, span));
    return (times % 2 == 0) == below ? low + rest : high - rest;
}

// Where a coordinate of the grid lies among the elements of an axis.
__device__ inline float among_elements(float at, int size, int coordinates) {
    if (at != at) at = -1.0f;
    if (coordinates == Coordinates::CENTRES) at = (at + 1.0f) / 2.0f * (size - 1);
    if (coordinates == Coordinates::EDGES) at = __fsub_rn(__fmul_rn(at + 1.0f, size), 1.0f) / 2.0f;
    return clip(at, -FARTHEST, FARTHEST);
}

// The weights of the elements at -1, 0, 1 and 2 from the one before a point.
__device__ inline float cubic(float t, int tap) {
    constexpr float A = -0.75f;
    if (tap >= 2) t = 1.0f - t;
    if (tap == 1 || tap == 2) return ((A + 2.0f) * t - (A + 3.0f)) * t * t + 1.0f;
    t += 1.0f;
    return ((A * t - 5.0f * A) * t + 8.0f * A) * t - 4.0f * A;
}

// The elements around a point along one axis, -1 for none, and their weights; of an axis that the grid lacks the first.
struct Surroundings {
    int count = 1, element[4] = {0, 0, 0, 0};
    float weight[4] = {1.0f, 0.0f, 0.0f, 0.0f};

    __device__ void list(float at, int size, int interpolation, int beyond, int coordinates) {
        at = among_elements(at, size, coordinates);
        if (interpolation == Interpolation::NEAREST) at = rintf(at);
        const float low = coordinates == Coordinates::CENTRES ? 0.0f : -0.5f, high = size - 1 - low;
        if (interpolation != Interpolation::CUBIC) at = bring_back(at, size, low, high, beyond);
        const float first = floorf(at), rest = at - first;
        const int start = interpolation == Interpolation::CUBIC ? -1 : 0;
        count = interpolation == Interpolation::CUBIC ? 4 : interpolation == Interpolation::LINEAR ? 2 : 1;
#pragma unroll
        for (int tap = 0; tap < 4; ++tap) {
            if (tap >= count) break;
            const float place = bring_back(first + (start + tap), size, low, high, beyond);
            element[tap] = place >= 0.0f && place < size ? static_cast<int>(place) : -1;
            if (interpolation == Interpolation::CUBIC) weight[tap] = cubic(rest, tap);
            if (interpolation == Interpolation::LINEAR) weight[tap] = tap == 0 ? 1.0f - rest : rest;
        }
    }
};

template <class Team>
__device__ void sample(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::sample;
    constexpr int CHANNELS = 4;  // of a thread
    const View<5> x(words + fields::x, memory);
    const View<3> grid(words + fields::grid, memory), y(words + fields::y, memory);
    const int interpolation = static_cast<int>(words[fields::interpolation]);
    const int beyond = static_cast<int>(words[fields::beyond]);
    const int coordinates = static_cast<int>(words[fields::coordinates]);
    const int groups = (y.size[1] + CHANNELS - 1) / CHANNELS;
    for (int index = team.rank, count = y.size[0] * groups * y.size[2]; index < count; index += team.size) {
        const int point = index % y.size[2], group = index / y.size[2] % groups, batch = index / (y.size[2] * groups);
        Surroundings around[3];  // along the width, the height, the depth
#pragma unroll
        for (int axis = 0; axis < 3; ++axis)
            if (axis < grid.size[2])
                around[axis].list(grid(batch, point, axis), x.size[4 - axis], interpolation, beyond, coordinates);
        const int first = group * CHANNELS, channels = min(CHANNELS, y.size[1] - first);
        float sums[CHANNELS] = {};
        for (int i = 0; i < around[2].count; ++i) {
            for (int j = 0; j < around[1].count; ++j) {
                for (int k = 0; k < around[0].count; ++k) {
                    const int plane = around[2].element[i], row = around[1].element[j], column = around[0].element[k];
                    if (plane < 0 || row < 0 || column < 0) continue;
                    const float weight = around[2].weight[i] * around[1].weight[j] * around[0].weight[k];
                    const float* value = &x(batch, first, plane, row, column);
#pragma unroll
                    for (int channel = 0; channel < CHANNELS; ++channel)
                        if (channel < channels) sums[channel] += weight * value[channel * x.stride[1]];
                }
            }
        }
#pragma unroll
        for (int channel = 0; channel < CHANNELS; ++channel)
            if (channel < channels) y(batch, first + channel, point) = sums[channel];
    }
}
