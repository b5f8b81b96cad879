// non_max_suppression: one block a lane goes through the classes one after the other. Its threads list the boxes whose
// score is large enough, sort them, and of each that stays strike out those behind it that overlap it. Bound by the
// overlaps: boxes that stay times those that are listed. Source: ONNX NonMaxSuppression.
#pragma once
#include "orders.cuh"

// NaN goes through.
__device__ inline float lower_of(float a, float b) { return a < b || a != a ? a : b; }
__device__ inline float upper_of(float a, float b) { return a > b || a != a ? a : b; }

// A box along its two axes.
struct Box {
    float low[2], high[2];

    __device__ Box(const float* numbers, word step, bool center_point_box) {
#pragma unroll
        for (int axis = 0; axis < 2; ++axis) {
            const float a = numbers[axis * step], b = numbers[(axis + 2) * step];
            low[axis] = center_point_box ? a - b / 2.0f : lower_of(a, b);
            high[axis] = center_point_box ? a + b / 2.0f : upper_of(a, b);
        }
    }

    __device__ float area() const { return __fmul_rn(high[0] - low[0], high[1] - low[1]); }
};

// Intersection over union; 0 if a box, or the intersection, is empty.
__device__ inline float overlap(const Box& a, const Box& b) {
    const float height = lower_of(a.high[0], b.high[0]) - upper_of(a.low[0], b.low[0]);
    const float width = lower_of(a.high[1], b.high[1]) - upper_of(a.low[1], b.low[1]);
    const float intersection = __fmul_rn(height, width);
    if (height <= 0.0f || width <= 0.0f || a.area() <= 0.0f || b.area() <= 0.0f || intersection <= 0.0f) return 0.0f;
    return intersection / (a.area() + b.area() - intersection);
}

// order = the boxes of a class whose score is larger than the threshold, the best first, of equals the first one.
__device__ inline int list_boxes(const float* scores, word step, int count, float threshold, word* order,
                                 const Block& block) {
    int listed = 0;
    for (int turn = 0; turn < count; turn += block.size) {
        const int box = turn + block.rank;
        const bool chosen = box < count && scores[box * step] > threshold;
        const Chosen among(chosen, block);
        if (chosen) order[listed + among.before] = box;
        listed += among.all;
    }
    block.sync();
    const auto precedes = [=](word i, word j) {
        const float a = scores[i * step], b = scores[j * step];
        return a > b || (a == b && i < j);
    };
    sort(order, listed, precedes, block);
    return listed;
}

template <class Team>
__device__ void non_max_suppression(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::non_max_suppression;
    const bool center_point_box = words[fields::center_point_box] != 0;
    const View<3> boxes(words + fields::boxes, memory), scores(words + fields::scores, memory);
    const float most_overlap = *pointer<const float>(words + fields::iou_threshold, memory);
    const float threshold = *pointer<const float>(words + fields::score_threshold, memory);
    const View<2, word> y(words + fields::y, memory);
    word* order = pointer<word>(words + fields::scratch, memory);
    int rows = 0;
    for (int number = 0; number < scores.count(2); ++number) {
        const int batch = number / scores.size[1], of_class = number % scores.size[1];
        const auto box = [&](word place) {
            return Box(&boxes(batch, order[place], 0), boxes.stride[2], center_point_box);
        };
        const float* first_score = &scores(batch, of_class, 0);
        const int listed = list_boxes(first_score, scores.stride[2], scores.size[2], threshold, order, team);
        word stay = 0;
        for (int i = 0; i < listed && stay < words[fields::most]; ++i) {
            if (order[i] < 0) continue;
            if (team.rank == 0) y(rows, 0) = batch, y(rows, 1) = of_class, y(rows, 2) = order[i];
            ++rows, ++stay;
            const Box better = box(i);
            for (int j = i + 1 + team.rank; j < listed; j += team.size)
                if (order[j] >= 0 && overlap(box(j), better) > most_overlap) order[j] = -1;
            team.sync();
        }
        team.sync();
    }
    for (int index = 3 * rows + team.rank; index < y.count(); index += team.size) y(index / 3, index % 3) = 0;
    if (team.rank == 0) *pointer<word>(words + fields::count, memory) = rows;
}
