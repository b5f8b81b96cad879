// Pooling over regions that arrive: a thread takes one number of the output, a bin of a channel, and goes over the
// elements or samples in it. Bound by reading x, which neighbours share through the first cache.
// Coordinates are rounded after every operation, as the definition does it: bins end at the same elements.
// Source: ONNX RoiAlign; K. He et al., "Mask R-CNN" (2017); ONNX MaxRoiPool; R. Girshick, "Fast R-CNN" (2015).
#pragma once
#include "sampling.cuh"

constexpr int MOST_SAMPLES = 4096;  // along a side of a bin, whatever size a region claims to have

// The samples of one bin along one axis.
struct BinSamples {
    float start, length;
    int count, size;

    // Bin `bin` of `bins` between two coordinates; of each `samples`, or as many as it has elements.
    __device__ BinSamples(float from, float to, bool at_least_one, int bin, int bins, int samples, int size)
        : size(size) {
        float whole = to - from;
        if (at_least_one) whole = at_least(whole, 1.0f);
        length = whole / bins;
        start = __fadd_rn(from, __fmul_rn(bin, length));
        const float elements = ceilf(length);
        count = samples > 0 ? samples : elements >= MOST_SAMPLES ? MOST_SAMPLES : elements > 0.0f ? int(elements) : 0;
    }

    __device__ float operator[](int index) const { return __fadd_rn(start, (index + 0.5f) * length / count); }

    __device__ bool near(float at) const { return at >= -1.0f && at <= size; }
};

// The elements before and behind a point along one axis, and how far behind the first it lies.
struct Neighbours {
    int before, behind;
    float apart;

    __device__ Neighbours(float at, int size) {
        at = at_least(at, 0.0f);
        before = min(static_cast<int>(at), size - 1);
        apart = before == size - 1 ? 0.0f : at - before;
        behind = min(before + 1, size - 1);
    }
};

template <class Team>
__device__ void roi_align(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::roi_align;
    const View<4> x(words + fields::x, memory), y(words + fields::y, memory);
    const View<2> regions(words + fields::regions, memory);
    const View<1, const word> images(words + fields::images, memory);
    const float scale = number(words + fields::scale), offset = number(words + fields::offset);
    const int samples = static_cast<int>(words[fields::samples]);
    const bool largest = words[fields::largest] != 0;
    const auto coordinate = [&](int region, int side) {
        return __fsub_rn(__fmul_rn(regions(region, side), scale), offset);
    };
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const Place<4> at(index, y.size);
        const word image = images(at[0]);
        if (image < 0 || image >= x.size[0]) {
            y[at] = NAN;
            continue;
        }
        const bool whole = offset == 0.0f;
        const float top = coordinate(at[0], 1), bottom = coordinate(at[0], 3);
        const float left_side = coordinate(at[0], 0), right_side = coordinate(at[0], 2);
        const BinSamples rows(top, bottom, whole, at[2], y.size[2], samples, x.size[2]);
        const BinSamples columns(left_side, right_side, whole, at[3], y.size[3], samples, x.size[3]);
        float sum = 0.0f, most = -INFINITY;
        for (int i = 0; i < rows.count; ++i) {
            for (int j = 0; j < columns.count; ++j) {
                const float line = rows[i], place = columns[j];
                if (!rows.near(line) || !columns.near(place)) {
                    most = larger(most, 0.0f);
                    continue;
                }
                const Neighbours down(line, x.size[2]), across(place, x.size[3]);
                const float* above = &x(image, at[1], down.before, 0);
                const float* below = &x(image, at[1], down.behind, 0);
                const word left = across.before * x.stride[3], right = across.behind * x.stride[3];
                const float a = (1.0f - down.apart) * (1.0f - across.apart) * above[left];
                const float b = (1.0f - down.apart) * across.apart * above[right];
                const float c = down.apart * (1.0f - across.apart) * below[left];
                const float d = down.apart * across.apart * below[right];
                sum += a + b + c + d;
                most = larger(larger(larger(larger(most, a), b), c), d);
            }
        }
        const int taken = rows.count * columns.count;
        y[at] = taken == 0 ? 0.0f : largest ? most : sum / taken;
    }
}

// A coordinate as a whole number, halves away from zero.
__device__ inline int whole_coordinate(float at, float scale) {
    const float scaled = __fmul_rn(at, scale);
    return scaled == scaled ? static_cast<int>(roundf(clip(scaled, -FARTHEST, FARTHEST))) : 0;
}

// The elements of one bin along one axis: from `first` to before `end`.
struct BinElements {
    int first, end;

    __device__ BinElements(int from, int to, int bin, int bins, int size) {
        const float length = static_cast<float>(max(to - from + 1, 1)) / bins;
        first = min(max(static_cast<int>(floorf(bin * length)) + from, 0), size);
        end = min(max(static_cast<int>(ceilf((bin + 1) * length)) + from, 0), size);
    }
};

template <class Team>
__device__ void max_roi_pool(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::max_roi_pool;
    const View<4> x(words + fields::x, memory), y(words + fields::y, memory);
    const View<2> regions(words + fields::regions, memory);
    const float scale = number(words + fields::scale);
    const auto coordinate = [&](int region, int side) { return whole_coordinate(regions(region, side), scale); };
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const Place<4> at(index, y.size);
        const float image = regions(at[0], 0);
        if (!(image > -1.0f && image < x.size[0])) {
            y[at] = NAN;
            continue;
        }
        const BinElements rows(coordinate(at[0], 2), coordinate(at[0], 4), at[2], y.size[2], x.size[2]);
        const BinElements columns(coordinate(at[0], 1), coordinate(at[0], 3), at[3], y.size[3], x.size[3]);
        float most = rows.first < rows.end && columns.first < columns.end ? -INFINITY : 0.0f;
        for (int row = rows.first; row < rows.end; ++row)
            for (int column = columns.first; column < columns.end; ++column)
                most = larger(most, x(static_cast<int>(image), at[1], row, column));
        y[at] = most;
    }
}
