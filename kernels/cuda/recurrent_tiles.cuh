// LSTM and GRU (reset behind the product) of all lanes together: a block takes some hidden numbers, with all of their
// gates, of up to 16 rows, which may be rows of several lanes. Grid: [tiles of the hidden axis, groups of rows].
//
// A step reads each weight once for a group of rows: 4 gates x hidden x (input + hidden) x 4 bytes, 33.6 MB at 1024,
// which an H100's second cache (some 5.5 TB/s) gives in 6 us: bound by that up to 4 rows, by its 8.4 M multiply-adds
// a row (0.25 us each) from 16 rows on. Nothing waits but the last block of a group, which puts the new state where
// the old one may have been.
//
// Many steps in one launch: all blocks run at the same time, hold their part of R in shared memory where it fits
// (LSTM, 1024 hidden: 128 KiB a block, 8 hidden numbers in each of 128), hand each other the state through y, and wait
// for each other once a step, about 1 us by two trips to the second cache. Beside that a step reads 128 KiB of its
// shared memory at 128 bytes a clock: 1000 clocks, 0.6 us, and multiplies for 250 clocks a row. What x adds is computed
// before, 64 steps at a time, 16 pairs of step and row with each read of W.
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

// A row of the batch of a lane.
struct LayerRow {
    const float *x, *initial_hidden, *initial_cell;  // the states may be absent
    float *y, *last_hidden, *last_cell, *from_input;
};

// What a block works on. In shared memory, too: registers are for sums.
struct LayerPart {
    int time, batch, inner, hidden, units, first_unit, count;
    word x_time, x_step, y_time, y_step;
    bool reverse, relu;
    unsigned *arrived, *left;  // blocks of this group of rows

    template <class fields>
    __device__ void read(const word* words, const Spaces& spaces, int rows, fields) {
        time = int(words[fields::x + 1]), batch = int(words[fields::x + 2]), inner = int(words[fields::x + 3]);
        hidden = int(words[fields::y + 3]);
        units = 4;  // 4, 8 or 16, by the launch
        while (units * gridDim.x < hidden) units *= 2;
        first_unit = blockIdx.x * units, count = rows;
        x_time = words[fields::x + 4], x_step = words[fields::x + 6];
        y_time = words[fields::y + 4], y_step = words[fields::y + 6];
        reverse = words[fields::reverse] != 0, relu = false;
        arrived = spaces.arrivals + 2 * blockIdx.y, left = arrived + 1;
    }
};

// In shared memory; behind it, from LANES_BYTES on, the weights that are held.
struct LayerMemory {
    LayerPart part;
    float slab[SLAB_FLOATS];
    float gates[SLOTS * MOST_UNITS * MOST_ROWS], inputs[SLOTS * MOST_UNITS * MOST_ROWS];  // [slot, unit, row]
    float kept[MOST_UNITS * MOST_ROWS];
    float bias[SLOTS * MOST_UNITS];
    LayerRow rows[MOST_ROWS];
    bool last;
};
static_assert(sizeof(LayerMemory) <= LANES_BYTES, "what a launch gives a block");

template <class fields, class Cell, class Weights, int ROWS>
class LayerTile {
    static constexpr int GATES = Cell::GATES;
    using Packed = typename Weights::Packed;

    LayerMemory& memory;
    const LayerPart& part;
    Packed* const held;  // [hidden, GATES, units / 4], or null
    const Weights input_weights, hidden_weights;

   public:
    __device__ LayerTile(const word* words, const Spaces& spaces, int first_row, int count, char* shared)
        : memory(*reinterpret_cast<LayerMemory*>(shared)),
          part(memory.part),
          held(dynamic_shared_bytes() > LANES_BYTES ? reinterpret_cast<Packed*>(shared + LANES_BYTES) : nullptr),
          input_weights(words + fields::input_weights, spaces.of(0)),
          hidden_weights(words + fields::hidden_weights, spaces.of(0)) {
        if (threadIdx.x == 0) {
            memory.part.read(words, spaces, count, fields());
            if constexpr (GATES == 3) memory.part.relu = words[fields::candidate] == Activation::RELU;
        }
        __syncthreads();
        for (int row = threadIdx.x; row < ROWS; row += blockDim.x) place(words, spaces, row, first_row + min(row, count - 1));
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
            sum_gates(step);
            __syncthreads();
            each_cell([&](int cell, const LayerRow& row, int unit, const float(&gates)[SLOTS]) {
                row.y[at(step) * part.y_time + unit * part.y_step] = Cell::next(gates, memory.kept[cell], part.relu);
            });
        }
        if constexpr (GATES == 4)
            each_cell([&](int cell, const LayerRow& row, int unit, const float(&)[SLOTS]) {
                if (row.last_cell) row.last_cell[unit] = memory.kept[cell];
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
        LayerRow& placed = memory.rows[row];
        placed.x = pointer<const float>(words + fields::x, lane) + in_batch * words[fields::x + 5];
        placed.y = pointer<float>(words + fields::y, lane) + in_batch * words[fields::y + 5];
        placed.initial_hidden = state(fields::initial_hidden);
        placed.last_hidden = state(fields::last_hidden);
        if constexpr (GATES == 4) {
            placed.initial_cell = state(fields::initial_cell);
            placed.last_cell = state(fields::last_cell);
        }
        placed.from_input = pointer<float>(words + fields::scratch, lane) +
                            in_batch * min(part.time, STEPS_AHEAD) * GATES * width();
    }

    __device__ int width() const { return (part.hidden + PANEL - 1) / PANEL * PANEL; }

    // Where the weights of a gate of 4 of the block's part.hidden numbers lie for element `i` of the part.inner axis.
    __device__ word place_of(int size, int i, int gate, int four) const {
        return ((word(part.first_unit / PANEL) * size + i) * GATES + gate) * PANEL + part.first_unit % PANEL + 4 * four;
    }

    __device__ void hold() {
        const int fours = part.units / 4;
        for (int index = threadIdx.x; index < part.hidden * GATES * fours; index += blockDim.x)
            held[index] = hidden_weights.packed(place_of(part.hidden, index / fours / GATES, index / fours % GATES, index % fours));
    }

    // Calls action(cell, row, unit, gates) for each part.hidden number of each row, always by the same thread.
    template <class Action>
    __device__ void each_cell(const Action& action) {
        for (int cell = threadIdx.x; cell < part.units * ROWS; cell += blockDim.x) {
            const int unit = cell % part.units, row = cell / part.units;
            if (part.first_unit + unit >= part.hidden || row >= part.count) continue;
            float gates[SLOTS];
#pragma unroll
            for (int slot = 0; slot < SLOTS; ++slot) {
                const int column = slot * part.units + unit, index = column * ROWS + row;
                gates[slot] = memory.bias[column] + memory.gates[index];
                if (part.time > 1 && slot < GATES) gates[slot] += memory.inputs[index];
            }
            action(cell, memory.rows[row], part.first_unit + unit, gates);
        }
    }

    __device__ void begin() {
        each_cell([&](int cell, const LayerRow& row, int unit, const float(&)[SLOTS]) {
            const float* const initial = GATES == 4 ? row.initial_cell : row.initial_hidden;
            memory.kept[cell] = initial ? initial[unit] : 0.0f;
        });
    }

    // x W of `steps` steps from `first` on.
    __device__ void add_inputs(int first, int steps) {
        for (int pair = 0; pair < steps * part.count; pair += MOST_ROWS) {
            RowTile<MOST_ROWS> tile(memory.slab, part.units);
            add_input(tile, [&](int row) -> const float* {
                const int own = min(pair + row, steps * part.count - 1);
                return memory.rows[own % part.count].x + at(first + own / part.count) * part.x_time;
            });
            tile.finish([&](int row, int column, float sum) {
                const int own = pair + row, slot = column / part.units;
                if (own < steps * part.count && slot < GATES)
                    *from_input(own % part.count, own / part.count, slot, column % part.units) = sum;
            });
        }
        __syncthreads();
    }

    template <int TILE_ROWS, class Begin>
    __device__ void add_input(RowTile<TILE_ROWS>& tile, const Begin& begin) {
        const int fours = part.units / 4, slot = tile.quad / fours, gate = Cell::gate(slot), four = tile.quad % fours;
        tile.add([&](int row, int i) { return begin(row)[i * part.x_step]; }, part.inner, Cell::of_input(slot),
                 [&](int i) { return Weights::unpacked(input_weights.packed(place_of(part.inner, i, gate, four))); });
    }

    // What x adds at a step, counted from the last one that is a multiple of STEPS_AHEAD.
    __device__ float* from_input(int row, int step, int slot, int unit) const {
        return memory.rows[row].from_input + (step * GATES + slot) * width() + part.first_unit + unit;
    }

    __device__ void sum_gates(int step) {
        RowTile<ROWS> tile(memory.slab, part.units);
        if (part.time == 1) {
            add_input(tile, [&](int row) { return memory.rows[row].x; });
        } else {
            for (int index = threadIdx.x; index < GATES * part.units * ROWS; index += blockDim.x) {
                const int column = index % (GATES * part.units), row = index / (GATES * part.units);
                if (row < part.count)
                    memory.inputs[column * ROWS + row] =
                        *from_input(row, step % STEPS_AHEAD, column / part.units, column % part.units);
            }
        }
        if (step > 0 || memory.rows[0].initial_hidden) {
            const word before = at(step - 1) * part.y_time, apart = step > 0 ? part.y_step : 1;
            add_hidden(tile, [&](int row, int i) {
                const LayerRow& placed = memory.rows[row];
                // Other blocks wrote y in this launch: read past the first cache, which may have an older line.
                return __ldcg((step > 0 ? placed.y + before : placed.initial_hidden) + i * apart);
            });
        }
        tile.finish([&](int row, int column, float sum) { memory.gates[column * ROWS + row] = sum; });
    }

    template <class State>
    __device__ void add_hidden(RowTile<ROWS>& tile, const State& state) {
        const int fours = part.units / 4, slot = tile.quad / fours, gate = Cell::gate(slot), four = tile.quad % fours;
        if (held)
            tile.add(state, part.hidden, Cell::of_hidden(slot),
                     [&](int i) { return Weights::unpacked(held[(i * GATES + gate) * fours + four]); });
        else
            tile.add(state, part.hidden, Cell::of_hidden(slot),
                     [&](int i) { return Weights::unpacked(hidden_weights.packed(place_of(part.hidden, i, gate, four))); });
    }

    // Until all blocks of this group of rows have done `steps` steps.
    __device__ void wait_for_others(int steps) {
        __syncthreads();
        if (threadIdx.x == 0) {
            __threadfence();
            atomicAdd(part.arrived, 1u);
            while (*const_cast<volatile unsigned*>(part.arrived) < unsigned(steps) * gridDim.x) __nanosleep(20);
            __threadfence();
        }
        __syncthreads();
    }

    // The last block of the group to come here knows that no other one reads a state any more.
    __device__ void leave() {
        __syncthreads();
        if (threadIdx.x == 0) {
            __threadfence();
            memory.last = atomicAdd(part.left, 1u) == gridDim.x - 1;
            __threadfence();
        }
        __syncthreads();
        if (!memory.last) return;
        for (int cell = threadIdx.x; cell < part.count * part.hidden; cell += blockDim.x) {
            const LayerRow& row = memory.rows[cell / part.hidden];
            const int unit = cell % part.hidden;
            if (row.last_hidden) row.last_hidden[unit] = __ldcg(row.y + at(part.time - 1) * part.y_time + unit * part.y_step);
        }
        if (threadIdx.x == 0) *part.arrived = *part.left = 0;
    }
};

template <class fields, class Cell, class Weights>
struct LayerOfLanes {
    template <int ROWS>
    __device__ static void run(const word* words, const Spaces& spaces, int first, int count, char* shared) {
        LayerTile<fields, Cell, Weights, ROWS>(words, spaces, first, count, shared).run();
    }
};

__device__ inline void lstm(const word* words, const Spaces& spaces, const Lanes&) {
    of_rows<LayerOfLanes<operands::lstm, LstmCell, Whole>>(words, spaces, words[operands::lstm::x + 2]);
}

__device__ inline void lstm_half(const word* words, const Spaces& spaces, const Lanes&) {
    of_rows<LayerOfLanes<operands::lstm_half, LstmCell, Half>>(words, spaces, words[operands::lstm_half::x + 2]);
}

__device__ inline void gru(const word* words, const Spaces& spaces, const Lanes&) {
    of_rows<LayerOfLanes<operands::gru, GruCell, Whole>>(words, spaces, words[operands::gru::x + 2]);
}

__device__ inline void gru_half(const word* words, const Spaces& spaces, const Lanes&) {
    of_rows<LayerOfLanes<operands::gru_half, GruCell, Half>>(words, spaces, words[operands::gru_half::x + 2]);
}
