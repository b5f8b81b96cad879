// recurrent_general: RNN, GRU and LSTM with all that ONNX allows, one direction, weights real or integers. A block goes
// through time: its threads take a gate of one hidden number of one row each, wait for each other, then take a hidden
// number with its functions. A step reads all weights once: bound by that.
// Source: ONNX RNN, GRU and LSTM; ONNX Runtime's DynamicQuantizeLSTM; layouts are in kernels/packing_recurrent.py.
#pragma once

// An activation with what limits its argument.
struct GateFunction {
    int kind;
    float alpha, beta, limit;

    __device__ GateFunction(const word* words, float limit)
        : kind(static_cast<int>(words[0])), alpha(number(words + 1)), beta(number(words + 2)), limit(limit) {}

    __device__ float operator()(float argument) const {
        const float x = clip(argument, -limit, limit);
        switch (kind) {
            case GateActivation::RELU: return at_least(x, 0.0f);
            case GateActivation::TANH: return tanhf(x);
            case GateActivation::SIGMOID: return sigmoid(x);
            case GateActivation::AFFINE: return alpha * x + beta;
            case GateActivation::LEAKYRELU: return x < 0.0f ? alpha * x : x;
            case GateActivation::THRESHOLDEDRELU: return x < alpha ? 0.0f : x;
            case GateActivation::SCALEDTANH: return alpha * tanhf(beta * x);
            case GateActivation::HARDSIGMOID: return clip(alpha * x + beta, 0.0f, 1.0f);
            case GateActivation::ELU: return elu(x, alpha);
            case GateActivation::SOFTSIGN: return x / (1.0f + fabsf(x));
            default: return softplus(x);
        }
    }
};

// The real numbers that integers q of 0 .. 255 stand for: scale (q - zero).
struct ByteGrid {
    float scale, zero;

    // From the least to the greatest of `count` numbers and 0, without NaN.
    template <class Value>
    __device__ ByteGrid(int count, const Value& value, const Block& team) {
        __shared__ float leasts[1024 / WARP], greatests[1024 / WARP];
        float least = 0.0f, greatest = 0.0f;
        for (int index = team.rank; index < count; index += team.size) {
            least = fminf(least, value(index));
            greatest = fmaxf(greatest, value(index));
        }
        least = across_warp(least, [](float a, float b) { return fminf(a, b); });
        greatest = across_warp(greatest, [](float a, float b) { return fmaxf(a, b); });
        team.sync();  // all have read what the last grid left
        leasts[team.rank / WARP] = least, greatests[team.rank / WARP] = greatest;
        team.sync();
        for (int warp = 0; warp < team.size / WARP; ++warp) {
            least = fminf(least, leasts[warp]);
            greatest = fmaxf(greatest, greatests[warp]);
        }
        scale = greatest > least ? (greatest - least) / 255.0f : 1.0f;
        zero = limited(rintf(-least / scale));
    }

    // NaN becomes the least integer.
    __device__ static float limited(float x) { return fminf(fmaxf(x, 0.0f), 255.0f); }

    // x as an integer, without the zero point.
    __device__ float operator()(float x) const { return limited(rintf(x / scale) + zero) - zero; }
};

// Weights [inner, columns], columns by panels: of reals [panels, inner, PANEL]; of integers as much of each
// EXACT_PRODUCTS elements of the inner axis, whose products float32 adds up exactly.
struct GateWeights {
    const float *data, *scales, *bias;  // scales: null where they are real
    int inner, columns;

    __device__ GateWeights(const word* weights, const word* scales, const float* bias, int inner, int columns,
                           const Memory& memory)
        : data(pointer<const float>(weights, memory)),
          scales(pointer<const float>(scales, memory)),
          bias(bias),
          inner(inner),
          columns(columns) {}

    __device__ int width() const { return (columns + PANEL - 1) / PANEL * PANEL; }

    __device__ float part(const float* x, word step, int first, int count, int column, float sum) const {
        word at = word(first) * width() + word(column / PANEL) * count * PANEL + column % PANEL;
        for (int i = first; i < first + count; ++i, at += PANEL) sum += x[i * step] * data[at];
        return sum;
    }

    // One column of x W + bias.
    __device__ float real_product(const float* x, word step, int column) const {
        return part(x, step, 0, inner, column, bias[column]);
    }

    // The same of integers, dense, that stand for numbers of this scale.
    __device__ float integer_product(const float* x, int column, float scale) const {
        int sum = 0;
        for (int first = 0; first < inner; first += EXACT_PRODUCTS)
            sum += static_cast<int>(part(x, 1, first, min(int(EXACT_PRODUCTS), inner - first), column, 0.0f));
        return static_cast<float>(sum) * (scale * scales[column]) + bias[column];
    }
};

// A layer at work. Of each row, in scratch: its states h and c, the sums of its gates, of a GRU r * h and the hidden
// part of the candidate, and of x and h the integers, where weights are such.
struct GeneralLayer {
    using fields = operands::recurrent_general;
    const View<3> x, y;
    const View<1, const word> lengths;
    const float* peepholes;
    const int cell, batch, inner, hidden, columns;
    const bool reverse, linear_before_reset, input_forget;
    const GateFunction f, g, last;
    const GateWeights input, recurrent;
    float *const h, *const c, *const sums, *const reset, *const apart, *const integers;

    __device__ GeneralLayer(const word* words, const Memory& memory)
        : x(words + fields::x, memory),
          y(words + fields::y, memory),
          lengths(words + fields::lengths, memory),
          peepholes(pointer<const float>(words + fields::peepholes, memory)),
          cell(static_cast<int>(words[fields::cell])),
          batch(x.size[1]),
          inner(x.size[2]),
          hidden(y.size[2]),
          columns((cell == Cell::LSTM ? 4 : cell == Cell::GRU ? 3 : 1) * hidden),
          reverse(words[fields::reverse] != 0),
          linear_before_reset(words[fields::linear_before_reset] != 0),
          input_forget(words[fields::input_forget] != 0),
          f(words + fields::f, number(words + fields::clip)),
          g(words + fields::g, number(words + fields::clip)),
          last(words + fields::h, INFINITY),
          input(words + fields::input_weights, words + fields::input_scales,
                pointer<const float>(words + fields::bias, memory), inner, columns, memory),
          recurrent(words + fields::hidden_weights, words + fields::hidden_scales, input.bias + input.width(), hidden,
                    columns, memory),
          h(pointer<float>(words + fields::scratch, memory)),
          c(h + batch * hidden),
          sums(c + batch * hidden),
          reset(sums + batch * columns),
          apart(reset + batch * hidden),
          integers(apart + batch * hidden) {}

    __device__ int length(int row) const {
        const int time = x.size[0];
        return lengths ? static_cast<int>(max(word(0), min(word(time), lengths(row)))) : time;
    }
    __device__ int longest() const {
        int most = 0;
        for (int row = 0; row < batch; ++row) most = max(most, length(row));
        return most;
    }
    __device__ int at(int step, int row) const { return reverse ? length(row) - 1 - step : step; }
    __device__ bool candidate(int column) const { return cell == Cell::GRU && column >= 2 * hidden; }
    __device__ bool resets_first() const { return cell == Cell::GRU && !linear_before_reset; }

    __device__ void keep(int step, int row, int j, float value) const {
        h[row * hidden + j] = value;
        y(at(step, row), row, j) = value;
    }
};

// The sums that go into the gates, of rows that have this step.
__device__ inline void gate_sums(const GeneralLayer& layer, int step, const ByteGrid* of_x, const Block& team) {
    const int inner = layer.inner, hidden = layer.hidden;
    float scale = 1.0f;
    if (of_x) {
        const auto counted = [&](int index) {  // rows that had not ended before the last step
            return step <= layer.length(index / hidden) ? layer.h[index] : 0.0f;
        };
        const ByteGrid of_h(layer.batch * hidden, counted, team);
        scale = of_h.scale;
        for (int index = team.rank; index < layer.batch * (inner + hidden); index += team.size) {
            const int row = index / (inner + hidden), i = index % (inner + hidden);
            if (step >= layer.length(row)) continue;
            layer.integers[index] = i < inner ? (*of_x)(layer.x(layer.at(step, row), row, i))
                                              : of_h(layer.h[row * hidden + i - inner]);
        }
        team.sync();
    }
    for (int index = team.rank; index < layer.batch * layer.columns; index += team.size) {
        const int row = index / layer.columns, column = index % layer.columns;
        if (step >= layer.length(row)) continue;
        const float *state = layer.h + row * hidden, *both = layer.integers + row * (inner + hidden);
        const float* from = &layer.x(layer.at(step, row), row, 0);
        const float sum = of_x ? layer.input.integer_product(both, column, of_x->scale)
                               : layer.input.real_product(from, layer.x.stride[2], column);
        const bool candidate = layer.candidate(column);
        float more = 0.0f;  // what a candidate takes from the state when it is reset
        if (!candidate || layer.linear_before_reset)
            more = of_x ? layer.recurrent.integer_product(both + inner, column, scale)
                        : layer.recurrent.real_product(state, 1, column);
        layer.sums[index] = candidate ? sum : sum + more;
        if (candidate) layer.apart[row * hidden + column - 2 * hidden] = more;
    }
    team.sync();
}

__device__ inline void lstm_cell(const GeneralLayer& layer, int step, int row, int j) {
    const int hidden = layer.hidden;
    const float* sums = layer.sums + row * layer.columns + j;
    float i = sums[0], o = sums[hidden], forget = sums[2 * hidden], c = layer.c[row * hidden + j];
    if (layer.peepholes) i += layer.peepholes[j] * c, forget += layer.peepholes[2 * hidden + j] * c;
    i = layer.f(i);
    forget = layer.input_forget ? 1.0f - i : layer.f(forget);
    c = forget * c + i * layer.g(sums[3 * hidden]);
    if (layer.peepholes) o += layer.peepholes[hidden + j] * c;
    layer.c[row * hidden + j] = c;
    layer.keep(step, row, j, layer.f(o) * layer.last(c));
}

// A GRU that resets first leaves z where its sum was, and r * h, for `gru_candidate`.
__device__ inline void gru_cell(const GeneralLayer& layer, int step, int row, int j) {
    const int hidden = layer.hidden;
    float* sums = layer.sums + row * layer.columns + j;
    const float h = layer.h[row * hidden + j], z = layer.f(sums[0]), r = layer.f(sums[hidden]);
    if (layer.resets_first()) {
        sums[0] = z;
        layer.reset[row * hidden + j] = r * h;
    } else {
        const float n = layer.g(sums[2 * hidden] + r * layer.apart[row * hidden + j]);
        layer.keep(step, row, j, (1.0f - z) * n + z * h);
    }
}

__device__ inline void gru_candidate(const GeneralLayer& layer, int step, int row, int j) {
    const int hidden = layer.hidden;
    const float* sums = layer.sums + row * layer.columns + j;
    const float part = layer.recurrent.real_product(layer.reset + row * hidden, 1, 2 * hidden + j);
    const float n = layer.g(sums[2 * hidden] + part), z = sums[0];
    layer.keep(step, row, j, (1.0f - z) * n + z * layer.h[row * hidden + j]);
}

__device__ inline void cells(const GeneralLayer& layer, int step, const Block& team) {
    const int count = layer.batch * layer.hidden;
    for (int index = team.rank; index < count; index += team.size) {
        const int row = index / layer.hidden, j = index % layer.hidden;
        if (step >= layer.length(row)) continue;
        if (layer.cell == Cell::LSTM) lstm_cell(layer, step, row, j);
        else if (layer.cell == Cell::GRU) gru_cell(layer, step, row, j);
        else layer.keep(step, row, j, layer.f(layer.sums[index]));
    }
    team.sync();
    if (!layer.resets_first()) return;
    for (int index = team.rank; index < count; index += team.size)
        if (step < layer.length(index / layer.hidden))
            gru_candidate(layer, step, index / layer.hidden, index % layer.hidden);
    team.sync();
}

template <class Team>
__device__ void recurrent_general(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::recurrent_general;
    const GeneralLayer layer(words, memory);
    const View<2> initial_hidden(words + fields::initial_hidden, memory);
    const View<2> initial_cell(words + fields::initial_cell, memory);
    const View<2> last_hidden(words + fields::last_hidden, memory), last_cell(words + fields::last_cell, memory);
    const int hidden = layer.hidden, count = layer.batch * hidden, longest = layer.longest();
    for (int index = team.rank; index < count; index += team.size) {
        const int row = index / hidden, j = index % hidden;
        layer.h[index] = initial_hidden ? initial_hidden(row, j) : 0.0f;
        layer.c[index] = initial_cell ? initial_cell(row, j) : 0.0f;
        for (int t = layer.length(row); t < layer.y.size[0]; ++t) layer.y(t, row, j) = 0.0f;
    }
    team.sync();
    if (layer.input.scales) {
        const int inner = layer.inner, width = layer.batch * inner;
        const auto value = [&](int index) {
            return layer.x(index / width, index / inner % layer.batch, index % inner);
        };
        const ByteGrid of_x(longest * width, value, team);
        for (int step = 0; step < longest; ++step) gate_sums(layer, step, &of_x, team), cells(layer, step, team);
    } else {
        for (int step = 0; step < longest; ++step) gate_sums(layer, step, nullptr, team), cells(layer, step, team);
    }
    for (int index = team.rank; index < count; index += team.size) {
        const int row = index / hidden, j = index % hidden;
        const bool ran = layer.length(row) > 0;
        if (last_hidden) last_hidden(row, j) = ran ? layer.h[index] : 0.0f;
        if (last_cell) last_cell(row, j) = ran ? layer.c[index] : 0.0f;
    }
}
