// LSTM and GRU, one direction: a block goes through time, its threads take one hidden number of one row each, all of
// its gates at once, and wait for each other after every step. A step of a stream reads all weights once: bound by that.
// Source: ONNX LSTM and GRU; the layouts are in kernels/packing_recurrent.py.
#pragma once
#include "products.cuh"

// [ceil(hidden / PANEL), inner, GATES, PANEL]: adds x W to COUNT gates, from FIRST on, of one hidden number.
template <int GATES, int FIRST, int COUNT, class Weights>
__device__ void add_product(float* sums, const float* x, word step, int inner, const Weights& weights, int j) {
    word at = (word(j / PANEL) * inner * GATES + FIRST) * PANEL + j % PANEL;
    for (int i = 0; i < inner; ++i, at += GATES * PANEL) {
        const float value = x[i * step];
#pragma unroll
        for (int gate = 0; gate < COUNT; ++gate) sums[gate] += value * weights[at + gate * PANEL];
    }
}

// [2, ceil(hidden / PANEL), GATES, PANEL]: Wb, or Rb, of one gate of one hidden number.
template <int GATES>
__device__ float gate_bias(const float* bias, int hidden, int part, int gate, int j) {
    const int panels = (hidden + PANEL - 1) / PANEL;
    return bias[((part * panels + j / PANEL) * GATES + gate) * PANEL + j % PANEL];
}

// The sequence of a layer and where its state begins and ends.
template <class fields>
struct Sequence {
    View<3> x, y;
    View<2> initial_hidden, last_hidden;
    const float* bias;
    float* scratch;
    int time, batch, inner, hidden;
    bool reverse;

    __device__ Sequence(const word* words, const Memory& memory)
        : x(words + fields::x, memory),
          y(words + fields::y, memory),
          initial_hidden(words + fields::initial_hidden, memory),
          last_hidden(words + fields::last_hidden, memory),
          bias(pointer<const float>(words + fields::bias, memory)),
          scratch(pointer<float>(words + fields::scratch, memory)),
          time(x.size[0]),
          batch(x.size[1]),
          inner(x.size[2]),
          hidden(y.size[2]),
          reverse(words[fields::reverse] != 0) {}

    __device__ int cells() const { return batch * hidden; }
    __device__ int at(int step) const { return reverse ? time - 1 - step : step; }

    // Put a state, or zeros, where the steps expect it: [batch, hidden], dense.
    template <class Team>
    __device__ void begin(float* state, const View<2>& initial, const Team& team) const {
        for (int cell = team.rank; cell < cells(); cell += team.size)
            state[cell] = initial ? initial(cell / hidden, cell % hidden) : 0.0f;
    }

    template <class Team>
    __device__ void end(const float* state, const View<2>& last, const Team& team) const {
        if (!last) return;
        for (int cell = team.rank; cell < cells(); cell += team.size)
            last(cell / hidden, cell % hidden) = state[cell];
    }
};

template <class fields, class Weights, class Team>
__device__ void lstm_of(const word* words, const Memory& memory, const Team& team) {
    const Sequence<fields> layer(words, memory);
    const Weights input_weights(words + fields::input_weights, memory);
    const Weights hidden_weights(words + fields::hidden_weights, memory);
    const View<2> initial_cell(words + fields::initial_cell, memory), last_cell(words + fields::last_cell, memory);
    const int hidden = layer.hidden, cells = layer.cells();
    // Steps write the hidden state beside the one that they read.
    float *before = layer.scratch, *after = before + cells, *cell_state = after + cells;
    layer.begin(before, layer.initial_hidden, team);
    layer.begin(cell_state, initial_cell, team);
    team.sync();
    for (int step = 0; step < layer.time; ++step) {
        const int t = layer.at(step);
        for (int cell = team.rank; cell < cells; cell += team.size) {
            const int row = cell / hidden, j = cell % hidden;
            float gates[4];
#pragma unroll
            for (int gate = 0; gate < 4; ++gate)
                gates[gate] = gate_bias<4>(layer.bias, hidden, 0, gate, j) + gate_bias<4>(layer.bias, hidden, 1, gate, j);
            add_product<4, 0, 4>(gates, &layer.x(t, row, 0), layer.x.stride[2], layer.inner, input_weights, j);
            add_product<4, 0, 4>(gates, before + row * hidden, 1, hidden, hidden_weights, j);
            const float c = sigmoid(gates[2]) * cell_state[cell] + sigmoid(gates[0]) * tanhf(gates[3]);
            const float h = sigmoid(gates[1]) * tanhf(c);
            cell_state[cell] = c;
            after[cell] = h;
            layer.y(t, row, j) = h;
        }
        team.sync();
        float* const read = before;
        before = after, after = read;
    }
    layer.end(before, layer.last_hidden, team);
    layer.end(cell_state, last_cell, team);
}

template <class fields, class Weights, class Team>
__device__ void gru_of(const word* words, const Memory& memory, const Team& team) {
    const Sequence<fields> layer(words, memory);
    const Weights input_weights(words + fields::input_weights, memory);
    const Weights hidden_weights(words + fields::hidden_weights, memory);
    const bool linear_before_reset = words[fields::linear_before_reset] != 0;
    const bool relu = words[fields::candidate] == Activation::RELU;
    const int hidden = layer.hidden, cells = layer.cells();
    // What the candidate's second product reads lies behind the two states: r * h, and the gates that are done.
    float *before = layer.scratch, *after = before + cells, *reset = after + cells, *update = reset + cells;
    layer.begin(before, layer.initial_hidden, team);
    team.sync();
    for (int step = 0; step < layer.time; ++step) {
        const int t = layer.at(step);
        for (int cell = team.rank; cell < cells; cell += team.size) {
            const int row = cell / hidden, j = cell % hidden;
            float from_input[3], from_hidden[3];
#pragma unroll
            for (int gate = 0; gate < 3; ++gate) {
                from_input[gate] = gate_bias<3>(layer.bias, hidden, 0, gate, j);
                from_hidden[gate] = gate_bias<3>(layer.bias, hidden, 1, gate, j);
            }
            add_product<3, 0, 3>(from_input, &layer.x(t, row, 0), layer.x.stride[2], layer.inner, input_weights, j);
            const float* state = before + row * hidden;
            if (linear_before_reset) add_product<3, 0, 3>(from_hidden, state, 1, hidden, hidden_weights, j);
            else add_product<3, 0, 2>(from_hidden, state, 1, hidden, hidden_weights, j);
            const float z = sigmoid(from_input[0] + from_hidden[0]), r = sigmoid(from_input[1] + from_hidden[1]);
            if (linear_before_reset) {
                const float total = from_input[2] + r * from_hidden[2];
                const float n = relu ? at_least(total, 0.0f) : tanhf(total);
                const float h = (1.0f - z) * n + z * before[cell];
                after[cell] = h;
                layer.y(t, row, j) = h;
            } else {
                reset[cell] = r * before[cell];
                update[cell] = z;
                after[cell] = from_input[2] + from_hidden[2];
            }
        }
        if (!linear_before_reset) {
            team.sync();  // r * h of all hidden numbers is there
            for (int cell = team.rank; cell < cells; cell += team.size) {
                const int row = cell / hidden, j = cell % hidden;
                float total = after[cell];
                add_product<3, 2, 1>(&total, reset + row * hidden, 1, hidden, hidden_weights, j);
                const float n = relu ? at_least(total, 0.0f) : tanhf(total);
                const float h = (1.0f - update[cell]) * n + update[cell] * before[cell];
                after[cell] = h;
                layer.y(t, row, j) = h;
            }
        }
        team.sync();
        float* const read = before;
        before = after, after = read;
    }
    layer.end(before, layer.last_hidden, team);
}

template <class Team>
__device__ void lstm(const word* words, const Memory& memory, const Team& team) {
    lstm_of<operands::lstm, Whole>(words, memory, team);
}

template <class Team>
__device__ void lstm_half(const word* words, const Memory& memory, const Team& team) {
    lstm_of<operands::lstm_half, Half>(words, memory, team);
}

template <class Team>
__device__ void gru(const word* words, const Memory& memory, const Team& team) {
    gru_of<operands::gru, Whole>(words, memory, team);
}

template <class Team>
__device__ void gru_half(const word* words, const Memory& memory, const Team& team) {
    gru_of<operands::gru_half, Half>(words, memory, team);
}
