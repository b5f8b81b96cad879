// LSTM and GRU (reset behind the product) of all lanes together: a block takes some hidden numbers, with all of their
// gates, of up to 16 rows, which may be rows of several lanes. Grid: tiles of the hidden axis x groups of rows.
//
// A step reads each weight once for a group of rows: 4 gates x hidden x (input + hidden) x 4 bytes, 33.6 MB at 1024,
// which an H100's second cache (some 5.5 TB/s) gives in 6 us. It is bound by that: the 8.4 M multiply-adds of a row take
// 0.25 us of the card's float32 units, those of 16 rows 4 us. float16 weights halve the bytes. Nothing waits but the
// last block of a group, which puts the new state where the old one may have been.
//
// Many steps in one launch: all blocks run at the same time, hold their part of R in shared memory where it fits
// (LSTM, 1024 hidden: 128 KiB a block, 8 hidden numbers in each of 128), hand each other the state through y, and wait
// for each other once a step, about 1 us by two trips to the second cache. Beside that a step reads 128 KiB of its
// shared memory at 128 bytes a clock: 1000 clocks, 0.6 us, and multiplies for 250 clocks a row. What x adds is computed
// before, 64 steps at a time, 16 pairs of step and row with each read of W. None of these times is measured yet.
// A thread has at most 128 registers, none spilled, so that blocks of 512 run; a block has 42 KiB of shared memory and
// the weights that it holds.
// Source: ONNX LSTM and GRU; Diamos et al., "Persistent RNNs: Stashing Recurrent Weights On-Chip", ICML 2016.
#pragma once
#include "recurrent.cuh"
#include "row_tiles.cuh"

constexpr int MOST_UNITS = 16;
constexpr int STEPS_AHEAD = int(RECURRENT_STEPS);  // for which there is scratch
constexpr int SLOTS = 4;  // sums of a hidden number

// Gates in their slots, and what becomes of them; `kept`: what a cell has from its last step.
struct LstmCell {
    static constexpr int GATES = 4;
    __device__ static int gate(int slot) { return slot; }
    __device__ static bool of_input(int) { return true; }
    __device__ static bool of_hidden(int) { return true; }
    __device__ static float next(const float (&gates)[SLOTS], float& kept, bool) {
        kept = sigmoid(gates[2]) * kept + sigmoid(gates[0]) * tanhf(gates[3]);
        return sigmoid(gates[1]) * tanhf(kept);
    }
};

struct GruCell {
    static constexpr int GATES = 3;
    // z, r, what x adds to the candidate, and what h does.
    __device__ static int gate(int slot) { return min(slot, 2); }
    __device__ static bool of_input(int slot) { return slot != 3; }
    __device__ static bool of_hidden(int slot) { return slot != 2; }
    __device__ static float next(const float (&gates)[SLOTS], float& kept, bool relu) {
        const float z = sigmoid(gates[0]), total = gates[2] + sigmoid(gates[1]) * gates[3];
        const float n = relu ? at_least(total, 0.0f) : tanhf(total);
        return kept = (1.0f - z) * n + z * kept;
    }
};

// Of each row, which is one of the batch of a lane.
struct LayerRows {
    const float *x[MOST_ROWS], *initial_hidden[MOST_ROWS], *initial_cell[MOST_ROWS];  // the states may be absent
    float *y[MOST_ROWS], *last_hidden[MOST_ROWS], *last_cell[MOST_ROWS], *from_input[MOST_ROWS];
};

// What a block works on. In shared memory, too: registers are for sums.
struct LayerPart {
    int time, batch, inner, hidden, units, first_unit, blocks, count, room;
    word x_time, x_step, y_time, y_step;
    bool reverse, relu;
    unsigned *arrived, *left;  // blocks of this group of rows

    template <class fields>
    __device__ void read(const word* words, const Spaces& spaces, const RowGroup& group, fields) {
        time = int(words[fields::x + 1]), batch = int(words[fields::x + 2]), inner = int(words[fields::x + 3]);
        hidden = int(words[fields::y + 3]);
        units = 4;  // 4, 8 or 16, by the launch
        while (units * group.parts < hidden) units *= 2;
        first_unit = group.part * units, blocks = group.parts, count = group.count, room = group.room;
        x_time = words[fields::x + 4], x_step = words[fields::x + 6];
        y_time = words[fields::y + 4], y_step = words[fields::y + 6];
        reverse = words[fields::reverse] != 0, relu = false;
        arrived = spaces.arrivals + 2 * group.number, left = arrived + 1;
    }
};

// In shared memory; behind it, from LANES_BYTES on, the weights that are held.
struct LayerMemory {
    alignas(16) float slab[SLAB_FLOATS];  // four at a time
    LayerPart part;
    float gates[SLOTS * MOST_UNITS * MOST_ROWS], inputs[SLOTS * MOST_UNITS * MOST_ROWS];  // [slot, unit, row]
    float kept[MOST_UNITS * MOST_ROWS];
    float bias[SLOTS * MOST_UNITS];
    LayerRows rows;
    const float* pairs[MOST_ROWS];  // x of a step and a row
    bool last;
};
static_assert(sizeof(LayerMemory) <= LANES_BYTES, "what a launch gives a block");

template <class fields, class Cell, class Weights>
class LayerTile {
    static constexpr int GATES = Cell::GATES;
    using Packed = typename Weights::Packed;

    LayerMemory& memory;
    const LayerPart& part;
    Packed* const held;  // [hidden, GATES, units / 4], or null
    const Weights input_weights, hidden_weights;

   public:
    __device__ LayerTile(const word* words, const Spaces& spaces, const RowGroup& group, char* shared)
        : memory(*reinterpret_cast<LayerMemory*>(shared)),
          part(memory.part),
          held(dynamic_shared_bytes() > LANES_BYTES ? reinterpret_cast<Packed*>(shared + LANES_BYTES) : nullptr),
          input_weights(words + fields::input_weights, spaces.of(0)),
          hidden_weights(words + fields::hidden_weights, spaces.of(0)) {
        if (threadIdx.x == 0) {
            memory.part.read(words, spaces, group, fields());
            if constexpr (GATES == 3) memory.part.relu = words[fields::candidate] == Activation::RELU;
        }
        __syncthreads();
        for (int row = threadIdx.x; row < MOST_ROWS; row += blockDim.x)
            place(words, spaces, row, group.first + min(row, group.count - 1));
        const float* bias = pointer<const float>(words + fields::bias, spaces.of(0));
        for (int column = threadIdx.x; column < SLOTS * part.units; column += blockDim.x) {
            const int slot = column / part.units, gate = Cell::gate(slot), unit = part.first_unit + column % part.units;
            float sum = Cell::of_input(slot) ? gate_bias<GATES>(bias, part.hidden, 0, gate, unit) : 0.0f;
            if (Cell::of_hidden(slot)) sum += gate_bias<GATES>(bias, part.hidden, 1, gate, unit);
            memory.bias[column] = sum;
        }
        if (held) hold();
        __syncthreads();
    }

    __device__ void run() {
        begin();
        for (int step = 0; step < part.time; ++step) {
            if (part.time > 1 && step % STEPS_AHEAD == 0) add_inputs(step, min(STEPS_AHEAD, part.time - step));
            if (step > 0) wait_for_others(step);
            if (part.time > 1) fetch_inputs(step);
            if (part.room == 1) sum_gates<1>(step);
            else if (part.room == 4) sum_gates<4>(step);
            else if (part.room == 8) sum_gates<8>(step);
            else sum_gates<MOST_ROWS>(step);
            __syncthreads();
            each_cell([&](int cell, int row, int unit, const float(&gates)[SLOTS]) {
                const float h = Cell::next(gates, memory.kept[cell], part.relu);
                memory.rows.y[row][at(step) * part.y_time + unit * part.y_step] = h;
            });
        }
        if constexpr (GATES == 4)
            each_cell([&](int cell, int row, int unit, const float(&)[SLOTS]) {
                if (memory.rows.last_cell[row]) memory.rows.last_cell[row][unit] = memory.kept[cell];
            });
        leave();
    }

   private:
    __device__ int at(int step) const { return part.reverse ? part.time - 1 - step : step; }

    // Row `row` of the tile is row `number` of all lanes'.
    __device__ void place(const word* words, const Spaces& spaces, int row, int number) {
        const Memory lane = spaces.of(number / part.batch);
        const word in_batch = number % part.batch;
        const auto state = [&](int field) {
            float* const begin = pointer<float>(words + field, lane);
            return begin ? begin + in_batch * words[field + 3] : nullptr;
        };
        LayerRows& placed = memory.rows;
        placed.x[row] = pointer<const float>(words + fields::x, lane) + in_batch * words[fields::x + 5];
        placed.y[row] = pointer<float>(words + fields::y, lane) + in_batch * words[fields::y + 5];
        placed.initial_hidden[row] = state(fields::initial_hidden);
        placed.last_hidden[row] = state(fields::last_hidden);
        if constexpr (GATES == 4) {
            placed.initial_cell[row] = state(fields::initial_cell);
            placed.last_cell[row] = state(fields::last_cell);
        }
        placed.from_input[row] = pointer<float>(words + fields::scratch, lane) +
                                 in_batch * min(part.time, STEPS_AHEAD) * GATES * width();
    }

    __device__ int width() const { return (part.hidden + PANEL - 1) / PANEL * PANEL; }

    // Where the weights of a gate of 4 of the block's hidden numbers lie for element `i` of the inner axis.
    __device__ word place_of(int size, int i, int gate, int four) const {
        return ((word(part.first_unit / PANEL) * size + i) * GATES + gate) * PANEL + part.first_unit % PANEL + 4 * four;
    }

    __device__ void hold() {
        const int fours = part.units / 4;
        for (int index = threadIdx.x; index < part.hidden * GATES * fours; index += blockDim.x) {
            const int gate = index / fours % GATES, i = index / fours / GATES;
            held[index] = *hidden_weights.packed(place_of(part.hidden, i, gate, index % fours));
        }
    }

    // Calls action(cell, row, unit, gates) for each hidden number of each row, always by the same thread.
    template <class Action>
    __device__ void each_cell(const Action& action) {
        for (int cell = threadIdx.x; cell < part.units * part.count; cell += blockDim.x) {
            const int unit = cell % part.units, row = cell / part.units;
            if (part.first_unit + unit >= part.hidden) continue;
            float gates[SLOTS];
#pragma unroll
            for (int slot = 0; slot < SLOTS; ++slot) {
                const int column = slot * part.units + unit, index = column * MOST_ROWS + row;
                gates[slot] = memory.bias[column] + memory.gates[index];
                if (part.time > 1 && slot < GATES) gates[slot] += memory.inputs[index];
            }
            action(cell, row, part.first_unit + unit, gates);
        }
    }

    __device__ void begin() {
        each_cell([&](int cell, int row, int unit, const float(&)[SLOTS]) {
            const float* const initial = GATES == 4 ? memory.rows.initial_cell[row] : memory.rows.initial_hidden[row];
            memory.kept[cell] = initial ? initial[unit] : 0.0f;
        });
    }

    // x W of `steps` steps from `first` on.
    __device__ void add_inputs(int first, int steps) {
        for (int pair = 0; pair < steps * part.count; pair += MOST_ROWS) {
            for (int row = threadIdx.x; row < MOST_ROWS; row += blockDim.x) {
                const int own = min(pair + row, steps * part.count - 1);
                memory.pairs[row] = memory.rows.x[own % part.count] + at(first + own / part.count) * part.x_time;
            }
            RowTile<Weights, MOST_ROWS> tile(memory.slab, part.units);
            tile.add({memory.pairs, 0, part.x_step}, part.inner, of_input(tile.quad), GATES * PANEL / 4);
            tile.finish([&](int row, int column, float sum) {
                const int own = pair + row, slot = column / part.units;
                if (own < steps * part.count && slot < GATES)
                    *from_input(own % part.count, own / part.count, slot, column % part.units) = sum;
            });
        }
        __syncthreads();
    }

    // The weights of a quad's columns for the first element of the inner axis; null where it has none.
    __device__ const Packed* of_input(int quad) const {
        const int fours = part.units / 4, slot = quad / fours;
        if (!Cell::of_input(slot)) return nullptr;
        return input_weights.packed(place_of(part.inner, 0, Cell::gate(slot), quad % fours));
    }

    __device__ const Packed* of_hidden(int quad) const {
        const int fours = part.units / 4, slot = quad / fours, gate = Cell::gate(slot);
        if (!Cell::of_hidden(slot)) return nullptr;
        return held ? held + gate * fours + quad % fours
                    : hidden_weights.packed(place_of(part.hidden, 0, gate, quad % fours));
    }

    // What x adds at a step, counted from the last one that is a multiple of STEPS_AHEAD.
    __device__ float* from_input(int row, int step, int slot, int unit) const {
        return memory.rows.from_input[row] + (step * GATES + slot) * width() + part.first_unit + unit;
    }

    template <int ROWS>
    __device__ void sum_gates(int step) {
        RowTile<Weights, ROWS> tile(memory.slab, part.units);
        const bool starts = step == 0 && !memory.rows.initial_hidden[0];  // from zeros, which add nothing
        // One loop for x and h: their code is the same, and takes long to compile.
#pragma unroll 1
        for (int state = part.time > 1; state < 2 - starts; ++state) {
            const TileRows rows = !state     ? TileRows{memory.rows.x, 0, part.x_step}
                                  : step > 0 ? TileRows{memory.rows.y, at(step - 1) * part.y_time, part.y_step}
                                             : TileRows{memory.rows.initial_hidden, 0, 1};
            tile.add(rows, state ? part.hidden : part.inner, state ? of_hidden(tile.quad) : of_input(tile.quad),
                     state && held ? GATES * part.units / 4 : GATES * PANEL / 4);
        }
        tile.finish([&](int row, int column, float sum) { memory.gates[column * MOST_ROWS + row] = sum; });
    }

    // What x adds at this step, where it was computed before.
    __device__ void fetch_inputs(int step) {
        for (int index = threadIdx.x; index < GATES * part.units * part.count; index += blockDim.x) {
            const int column = index % (GATES * part.units), row = index / (GATES * part.units);
            memory.inputs[column * MOST_ROWS + row] =
                *from_input(row, step % STEPS_AHEAD, column / part.units, column % part.units);
        }
    }

    // Until all blocks of this group of rows have done `steps` steps.
    __device__ void wait_for_others(int steps) {
        __syncthreads();
        if (threadIdx.x == 0) {
            __threadfence();
            atomicAdd(part.arrived, 1u);
            while (*const_cast<volatile unsigned*>(part.arrived) < unsigned(steps * part.blocks)) __nanosleep(20);
            __threadfence();
        }
        __syncthreads();
    }

    // The last block of the group to come here knows that no other one reads a state any more.
    __device__ void leave() {
        __syncthreads();
        if (threadIdx.x == 0) {
            __threadfence();
            memory.last = atomicAdd(part.left, 1u) == unsigned(part.blocks) - 1;
            __threadfence();
        }
        __syncthreads();
        if (!memory.last) return;
        for (int cell = threadIdx.x; cell < part.count * part.hidden; cell += blockDim.x) {
            const int unit = cell % part.hidden, row = cell / part.hidden;
            const float* const last = memory.rows.y[row] + at(part.time - 1) * part.y_time;
            if (memory.rows.last_hidden[row]) memory.rows.last_hidden[row][unit] = __ldcg(last + unit * part.y_step);
        }
        if (threadIdx.x == 0) *part.arrived = *part.left = 0;
    }
};

template <class fields, class Cell, class Weights>
__device__ void layer_of_lanes(const word* words, const Spaces& spaces) {
    SHARED_ARENA(tile);
    const RowGroup group(spaces, words[fields::x + 2]);
    if (group.count > 0) LayerTile<fields, Cell, Weights>(words, spaces, group, tile).run();
}

__device__ inline void lstm(const word* words, const Spaces& spaces, const Lanes&) {
    layer_of_lanes<operands::lstm, LstmCell, Whole>(words, spaces);
}

__device__ inline void lstm_half(const word* words, const Spaces& spaces, const Lanes&) {
    layer_of_lanes<operands::lstm_half, LstmCell, Half>(words, spaces);
}

__device__ inline void gru(const word* words, const Spaces& spaces, const Lanes&) {
    layer_of_lanes<operands::gru, GruCell, Whole>(words, spaces);
}

__device__ inline void gru_half(const word* words, const Spaces& spaces, const Lanes&) {
    layer_of_lanes<operands::gru_half, GruCell, Half>(words, spaces);
}
