// GRUs of up to PANEL hidden numbers, side by side: groups with an input of their own, one or both directions. A thread
// takes one hidden number of one row of one sequence, and waits for the others after every step.
// Source: ONNX GRU; the layout is in kernels/packing_recurrent.py, `small_gate_weights`.
#pragma once

constexpr int SMALL_CELLS = 512;

// What one thread works on: hidden number `j` of row `row` of direction `direction` of `group`.
struct SmallCell {
    int group, direction, row, j, column;

    __device__ SmallCell(int cell, const View<5>& y) {
        const int directions = y.size[1], batch = y.size[3], hidden = y.size[4];
        j = cell % hidden, row = cell / hidden % batch;
        direction = cell / (hidden * batch) % directions, group = cell / (hidden * batch * directions);
        const int block = hidden <= 4 ? 4 : hidden <= 8 ? 8 : PANEL;
        column = (group * directions + direction) * block + j;
    }
};

// Sum over i of x[i] W[i, gate, column].
__device__ inline float small_product(const float* x, word step, int inner, const float* weights, int gate, int column) {
    float sum = 0.0f;
    for (int i = 0; i < inner; ++i) sum += x[i * step] * weights[(i * 3 + gate) * PANEL + column];
    return sum;
}

template <class Team>
__device__ void gru_small(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::gru_small;
    const View<4> x(words + fields::x, memory), initial_hidden(words + fields::initial_hidden, memory);
    const View<5> y(words + fields::y, memory);
    const View<4> last_hidden(words + fields::last_hidden, memory);
    const float* input_weights = pointer<const float>(words + fields::input_weights, memory);
    const float* hidden_weights = pointer<const float>(words + fields::hidden_weights, memory);
    const float* bias = pointer<const float>(words + fields::bias, memory);
    const bool linear_before_reset = words[fields::linear_before_reset] != 0;
    const bool relu = words[fields::candidate] == Activation::RELU;
    const bool backwards = words[fields::direction] == Direction::REVERSE;
    const int time = x.size[1], inner = x.size[3], hidden = y.size[4];
    const int cells = y.size[0] * y.size[1] * y.size[3] * hidden;
    __shared__ float states[3][SMALL_CELLS];
    // Rows do not look at each other: as many whole ones as there is room for go through time together.
    const int at_once = SMALL_CELLS / hidden * hidden;
    for (int first = 0; first < cells; first += at_once) {
        const int count = min(at_once, cells - first);
        float *before = states[0], *after = states[1], *const reset = states[2];
        for (int cell = team.rank; cell < count; cell += team.size) {
            const SmallCell own(first + cell, y);
            before[cell] = initial_hidden ? initial_hidden(own.group, own.direction, own.row, own.j) : 0.0f;
        }
        team.sync();
        for (int step = 0; step < time; ++step) {
            const auto input = [&](const SmallCell& own, int gate) {
                const int t = backwards || own.direction == 1 ? time - 1 - step : step;
                return small_product(&x(own.group, t, own.row, 0), x.stride[3], inner, input_weights, gate, own.column);
            };
            const auto recurrent = [&](const float* row, const SmallCell& own, int gate) {
                return small_product(row, 1, hidden, hidden_weights, gate, own.column);
            };
            for (int cell = team.rank; cell < count; cell += team.size) {
                const SmallCell own(first + cell, y);
                const float* row = before + cell - own.j;
                const float r = sigmoid(bias[PANEL + own.column] + input(own, 1) + recurrent(row, own, 1));
                reset[cell] = linear_before_reset ? r : r * row[own.j];
            }
            team.sync();  // r * h of the whole row is there
            for (int cell = team.rank; cell < count; cell += team.size) {
                const SmallCell own(first + cell, y);
                const float* row = before + cell - own.j;
                const float z = sigmoid(bias[own.column] + input(own, 0) + recurrent(row, own, 0));
                const float rb = bias[3 * PANEL + own.column];
                const float hidden_part = linear_before_reset ? reset[cell] * (rb + recurrent(row, own, 2))
                                                              : rb + recurrent(reset + cell - own.j, own, 2);
                const float total = bias[2 * PANEL + own.column] + input(own, 2) + hidden_part;
                const float n = relu ? at_least(total, 0.0f) : tanhf(total);
                const float h = (1.0f - z) * n + z * row[own.j];
                after[cell] = h;
                y(own.group, own.direction, backwards || own.direction == 1 ? time - 1 - step : step, own.row, own.j) = h;
            }
            team.sync();
            float* const read = before;
            before = after, after = read;
        }
        for (int cell = team.rank; last_hidden && cell < count; cell += team.size) {
            const SmallCell own(first + cell, y);
            last_hidden(own.group, own.direction, own.row, own.j) = before[cell];
        }
        team.sync();
    }
}
