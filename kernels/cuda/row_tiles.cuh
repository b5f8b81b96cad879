// Products of a few rows with a tile of weights, by one block. Rows may be of several lanes: a weight is read once for
// all of them. Threads lie side by side in `quads` of 4 columns, and in slices of the inner axis: slice s of S takes the
// elements s, s + S, s + 2 S ... of it, and what the slices have is added up in their order. The order of a sum depends
// on S alone, neither on the rows beside it nor on the tile.
//
// A thread reads 16 bytes of weights (8 of float16) and, from shared memory, ROWS numbers that its neighbours read too,
// for 4 ROWS multiply-adds. A block of 256 threads has 16 KiB of weights under way with 4 reads ahead: an SM's share of
// an H100's second cache, some 23 bytes a clock with 600 clocks of latency, needs 14 KiB. 16 rows have 2 reads ahead,
// and 64 multiply-adds a thread beside 1 read of weights and 4 of rows.
// Source: the split of a sum over threads as in CUDA's sample `reduction`.
#pragma once

constexpr int SLAB_FLOATS = 16 * LANES_THREADS;  // of shared memory: rows, or partial sums of all threads

struct alignas(8) HalfQuad {
    unsigned short v[4];
};

// Weights as they are kept: float32, or two float16 in a word. `Packed`: 4 neighbours.
struct Whole {
    using Packed = Quad;
    const float* data;
    __device__ Whole(const word* words, const Memory& memory) : data(pointer<const float>(words, memory)) {}
    __device__ float operator[](word index) const { return data[index]; }
    __device__ const Packed* packed(word index) const { return reinterpret_cast<const Packed*>(data + index); }
    __device__ static Quad unpacked(const Packed& packed) { return packed; }
};

struct Half {
    using Packed = HalfQuad;
    const unsigned short* data;
    __device__ Half(const word* words, const Memory& memory) : data(pointer<const unsigned short>(words, memory)) {}
    __device__ float operator[](word index) const { return float16_number(data[index]); }
    __device__ const Packed* packed(word index) const { return reinterpret_cast<const Packed*>(data + index); }

    __device__ static Quad unpacked(const Packed& packed) {
        return {{float16_number(packed.v[0]), float16_number(packed.v[1]), float16_number(packed.v[2]),
                 float16_number(packed.v[3])}};
    }
};

// Where the rows of a tile lie, `begin` in shared memory: element i of row r is begin[r][offset + i * step].
struct TileRows {
    const float* const* begin;
    word offset, step;
};

template <class Weights, int ROWS>
class RowTile {
    using Packed = typename Weights::Packed;
    static constexpr int AT_ONCE = ROWS < 4 ? ROWS : 4;                // rows that a thread stores or adds up together
    static constexpr int PITCH = ROWS < 8 ? ROWS : ROWS + 4;           // such stores of 8 threads meet in no bank
    float* const slab;
    float sums[ROWS][4];

   public:
    const int quads, quad, slice, slices;

    __device__ RowTile(float* slab, int quads)
        : slab(slab),
          quads(quads),
          quad(threadIdx.x % quads),
          slice(threadIdx.x / quads),
          slices(blockDim.x / quads) {
#pragma unroll
        for (int r = 0; r < ROWS; ++r)
#pragma unroll
            for (int c = 0; c < 4; ++c) sums[r][c] = 0.0f;
    }

    // Adds the rows times weights[i * step], i in 0 .. inner - 1, to the sums of the thread's columns; a thread whose
    // weights are null only helps to fetch the rows. All threads of the block come here.
    __device__ void add(const TileRows& rows, int inner, const Packed* weights, int step) {
        const int most = SLAB_FLOATS / PITCH / slices * slices;
        for (int first = 0; first < inner; first += most) {
            const int count = min(most, inner - first);
            __syncthreads();
            for (int index = threadIdx.x; index < count * (ROWS / AT_ONCE); index += blockDim.x) {
                const int i = index % count, row = index / count * AT_ONCE;
                float values[AT_ONCE];
#pragma unroll
                for (int r = 0; r < AT_ONCE; ++r)
                    // Other blocks may have written it in this launch: past the first cache, whose line may be older.
                    values[r] = __ldcg(rows.begin[row + r] + rows.offset + (first + i) * rows.step);
                store(slab + i * PITCH + row, values);
            }
            __syncthreads();
            if (weights) {
#pragma unroll (ROWS < MOST_ROWS ? 4 : 2)
                for (int i = slice; i < count; i += slices)
                    multiply(slab + i * PITCH, Weights::unpacked(weights[word(first + i) * step]));
            }
        }
    }

    // Calls result(r, column, sum) once for every row and column of the tile, by any thread.
    template <class Result>
    __device__ void finish(const Result& result) {
#pragma unroll 1
        for (int first = 0; first < ROWS; first += AT_ONCE) {
            __syncthreads();
            put(first);
            __syncthreads();
            for (int index = threadIdx.x; index < 4 * quads * AT_ONCE; index += blockDim.x) {
                const int r = index % AT_ONCE, q = index / AT_ONCE % quads, c = index / AT_ONCE / quads;
                float sum = 0.0f;
                for (int s = 0; s < slices; ++s) sum += slab[(c * blockDim.x + s * quads + q) * AT_ONCE + r];
                result(first + r, 4 * q + c, sum);
            }
        }
    }

   private:
    // The partial sums of AT_ONCE rows. Registers have no index: one of the groups of rows is the right one.
    __device__ void put(int first) {
#pragma unroll
        for (int group = 0; group < ROWS; group += AT_ONCE) {
            if (group != first) continue;
#pragma unroll
            for (int c = 0; c < 4; ++c) {
                float values[AT_ONCE];
#pragma unroll
                for (int r = 0; r < AT_ONCE; ++r) values[r] = sums[group + r][c];
                store(slab + (c * blockDim.x + threadIdx.x) * AT_ONCE, values);
            }
        }
    }

    __device__ static void store(float* to, const float (&values)[AT_ONCE]) {
        if constexpr (AT_ONCE == 4) *reinterpret_cast<Quad*>(to) = {{values[0], values[1], values[2], values[3]}};
        else
            for (int r = 0; r < AT_ONCE; ++r) to[r] = values[r];
    }

    __device__ void multiply(const float* row_values, const Quad& weights) {
#pragma unroll
        for (int first = 0; first < ROWS; first += AT_ONCE) {
            float values[AT_ONCE];
            if constexpr (AT_ONCE == 4) {
                const Quad four = *reinterpret_cast<const Quad*>(row_values + first);
#pragma unroll
                for (int r = 0; r < 4; ++r) values[r] = four.v[r];
            } else {
                for (int r = 0; r < AT_ONCE; ++r) values[r] = row_values[r];
            }
#pragma unroll
            for (int r = 0; r < AT_ONCE; ++r)
#pragma unroll
                for (int c = 0; c < 4; ++c) sums[first + r][c] += values[r] * weights.v[c];
        }
    }
};

// The rows of all lanes that a block works on, and which part of their result. The parts of a group of rows lie side by
// side along the grid's first axis, which alone is long enough for the groups of many lanes. `room`: rows of the block's
// tile, 1, 4, 8 or 16.
struct RowGroup {
    int part, parts, number, first, count, room;

    __device__ RowGroup(const Spaces& spaces, word rows_of_lane) {
        const int rows = int(spaces.lanes * rows_of_lane), groups = max(1, (rows + int(MOST_ROWS) - 1) / int(MOST_ROWS));
        const int most = (rows + groups - 1) / groups, block = blockIdx.x;
        parts = gridDim.x / groups, part = block % parts, number = block / parts;
        first = number * most, count = min(most, rows - first);
        room = most == 1 ? 1 : most <= 4 ? 4 : most <= 8 ? 8 : MOST_ROWS;
    }
};
