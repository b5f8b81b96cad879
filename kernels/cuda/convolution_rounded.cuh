// Convolutions of rounded operands on tensor cores: the tiles of convolution_tiles.cuh, from 16 channels on, whose inner
// numbers go through mma.sync 8 words at a time (8 of TF32, 16 of float16 or bfloat16). Weights come rounded and packed.
// A thread copies the float32 numbers of its own pixels (cp.async) while the words before them are multiplied, then
// rounds them into words for all; a warp of the 4 takes a quarter of the pixels and all channels.
//
//   CHANNELS x PIXELS   sums of a thread   shared bytes, float16   multiply-adds for each byte copied, float16
//      64 x 128              64                  22 K                  12.8
//      32 x 256              64                  37 K                   7.5
//      16 x 256              32                  35 K                   3.9
//
// Bound by copying: 990 (float16) or 495 (TF32) Tflop/s of an H100 are 2048 or 1024 multiply-adds in a cycle and SM,
// its first cache gives 128 bytes meanwhile. Below 64 channels a layer's input and output themselves, read once from
// the second cache or memory, take as long. What has few outputs takes a thread each, with the same rounding.
// Source: PTX ISA, mma.sync; ONNX Conv.
#pragma once
#include "convolution_tiles.cuh"
#include "tile_product.cuh"

constexpr int ROUNDED_PAD = 8;        // words behind a row of shared memory: see multiply_tile
constexpr int ROUNDED_FLOATS = 8960;  // of shared memory: what the largest tile needs
static_assert(STAGE_WORDS == PRODUCT_WORDS && ROUNDED_CHANNELS % PRODUCT_ROWS == 0, "packed for this");

// Shared memory, the same for all operands.
struct RoundedRoom {
    Quad *tile, *description;

    __device__ RoundedRoom() {
        __shared__ Quad tiles[ROUNDED_FLOATS / 4], convolution[sizeof(Convolution) / sizeof(Quad) + 1];
        tile = tiles, description = convolution;
    }
};

// Where a group's words of weights are: [stages, PRODUCT_WORDS, channels].
struct RoundedWeights {
    const unsigned* words;
    int channels;

    __device__ RoundedWeights(const Convolution& c, int group, int stages)
        : channels((c.outputs + ROUNDED_CHANNELS - 1) / ROUNDED_CHANNELS * ROUNDED_CHANNELS) {
        words = reinterpret_cast<const unsigned*>(c.weights) + word(group) * stages * PRODUCT_WORDS * channels;
    }
};

template <class Operand>
__device__ int rounded_stages(const Convolution& c) {
    constexpr int STAGE = PRODUCT_WORDS * Operand::NUMBERS;
    return (c.inner() + STAGE - 1) / STAGE;
}

// Ask for a stage: its words of weights, and the float32 numbers of the thread's own pixels.
template <class Operand, int CHANNELS, int PIXELS>
__device__ void copy_rounded(const Convolution& c, const Tile& tile, const RoundedWeights& from,
                             Gather<PIXELS / TILE_THREADS>& gather, int rank, int stage, unsigned* weights,
                             float* pixels) {
    const int channel = rank % CHANNELS, inner = c.inner();
    const bool exists = tile.channel + channel < from.channels;
    const unsigned* words = from.words + (exists ? tile.channel + channel : 0);
    for (int k = rank / CHANNELS; k < PRODUCT_WORDS; k += TILE_THREADS / CHANNELS)
        copy_ahead(weights + k * (CHANNELS + ROUNDED_PAD) + channel,
                   words + word(stage * PRODUCT_WORDS + k) * from.channels, exists);
    constexpr int STAGE = PRODUCT_WORDS * Operand::NUMBERS;
#pragma unroll 1
    for (int k = 0; k < STAGE; ++k) {
        const int place = stage * STAGE + k;
#pragma unroll
        for (int i = 0; i < PIXELS / TILE_THREADS; ++i)
            copy_ahead(pixels + k * PIXELS + rank + i * TILE_THREADS, gather.from[i], place < inner && gather.inside[i]);
        if (place + 1 < inner) gather.next();
    }
    end_group();
}

template <class Operand, int CHANNELS, int PIXELS>
__device__ void rounded_tile(const Convolution& c, const Tiles& team, const Tile& tile, float* shared) {
    constexpr int STAGE = PRODUCT_WORDS * Operand::NUMBERS, WIDE = CHANNELS + ROUNDED_PAD, LONG = PIXELS + ROUNDED_PAD;
    constexpr int HALF = PRODUCT_WORDS * (WIDE + LONG), OWN = PIXELS / (TILE_THREADS / 32);
    constexpr int ROWS = CHANNELS / PRODUCT_ROWS, COLUMNS = OWN / PRODUCT_COLUMNS;
    static_assert(2 * HALF + STAGE * PIXELS <= ROUNDED_FLOATS && CHANNELS * PIXELS <= ROUNDED_FLOATS, "it fits");
    const int lane = team.rank % 32, first = team.rank / 32 * OWN, stages = rounded_stages<Operand>(c);
    unsigned* words = reinterpret_cast<unsigned*>(shared);
    float* pixels = shared + 2 * HALF;
    float sums[ROWS][COLUMNS][4];
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
#pragma unroll
        for (int sum = 0; sum < 4; ++sum) {
            const int output = tile.channel + i * PRODUCT_ROWS + product_row(lane, sum);
            const float bias = c.bias && output < c.outputs ? c.bias[tile.group * c.outputs + output] : 0.0f;
#pragma unroll
            for (int j = 0; j < COLUMNS; ++j) sums[i][j][sum] = bias;
        }
    const RoundedWeights from(c, tile.group, stages);
    Gather<PIXELS / TILE_THREADS> gather(c, tile.group, tile.position + team.rank);
    copy_rounded<Operand, CHANNELS, PIXELS>(c, tile, from, gather, team.rank, 0, words, pixels);
    for (int stage = 0; stage < stages; ++stage) {
        unsigned* left = words + stage % 2 * HALF;
        unsigned* right = left + PRODUCT_WORDS * WIDE;
        wait_for_groups<0>();
#pragma unroll 2
        for (int k = 0; k < PRODUCT_WORDS; ++k)
#pragma unroll
            for (int i = 0; i < PIXELS / TILE_THREADS; ++i) {
                const int own = team.rank + i * TILE_THREADS;
                right[k * LONG + own] = Operand::word_of(pixels + k * Operand::NUMBERS * PIXELS + own, PIXELS);
            }
        team.sync();  // from here on nobody reads the other half
        if (stage + 1 < stages) {
            unsigned* other = words + (stage + 1) % 2 * HALF;
            copy_rounded<Operand, CHANNELS, PIXELS>(c, tile, from, gather, team.rank, stage + 1, other, pixels);
        }
#pragma unroll
        for (int i = 0; i < ROWS; ++i)
#pragma unroll
            for (int j = 0; j < COLUMNS; ++j)
                multiply_tile<Operand>(sums[i][j], left + i * PRODUCT_ROWS, WIDE, right + first + j * PRODUCT_COLUMNS,
                                       LONG, lane);
    }
    team.sync();
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j)
#pragma unroll
            for (int sum = 0; sum < 4; ++sum)
                shared[(i * PRODUCT_ROWS + product_row(lane, sum)) * PIXELS + first + j * PRODUCT_COLUMNS +
                       product_column(lane, sum)] = sums[i][j][sum];
}

// All tiles that are this block's.
template <class Operand>
__device__ void convolve_rounded(const Convolution& own, const Tiles& team) {
    const RoundedRoom room;
    float* shared = room.tile[0].v;
    Convolution& c = shared_by_all(own, room.description, team);
    each_tile(c, team, ROUNDED_CHANNELS, shared, [&](const Tile& tile, int channels) {
        switch (channels) {
            case 16: rounded_tile<Operand, 16, TILE_16>(c, team, tile, shared); break;
            case 32: rounded_tile<Operand, 32, TILE_32>(c, team, tile, shared); break;
            default: rounded_tile<Operand, 64, TILE_64>(c, team, tile, shared);
        }
    });
}

// A thread takes a number of the output.
template <class Operand, class Team>
__device__ void convolve_rounded(const Convolution& c, const Team& team) {
    const int positions = c.y.positions(), stages = rounded_stages<Operand>(c), inner = c.inner();
    for (int index = team.rank; index < positions * c.y.size[1]; index += team.size) {
        const int channel = index / positions, group = channel / c.outputs, output = channel % c.outputs;
        const RoundedWeights from(c, group, stages);
        Gather<1> gather(c, group, index % positions);
        float sum = c.bias ? c.bias[channel] : 0.0f;
        for (int k = 0; k < inner; ++k) {
            const float x[2] = {gather.inside[0] ? *gather.from[0] : 0.0f, 0.0f};
            const unsigned weight = from.words[word(k / Operand::NUMBERS) * from.channels + output];
            const float factor = Operand::number(weight, k % Operand::NUMBERS);
            sum = fmaf(Operand::number(Operand::word_of(x, 1), 0), factor, sum);
            if (k + 1 < inner) gather.next();
        }
        c.y.data[Position(index % positions, c.y).offset(c.y) + channel * c.y.stride[1]] = c.activate(sum, channel);
    }
}

template <class Team>
__device__ void conv_rounded(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::conv_rounded;
    const Volume x{View<5>(words + fields::x, memory)}, y{View<5>(words + fields::y, memory)};
    const Convolution c(words, memory, fields(), x, y, Window3::of_volume(words, fields()), 1);
    switch (words[fields::products]) {
        case Products::TF32: return convolve_rounded<Tf32>(c, team);
        case Products::FLOAT16: return convolve_rounded<Float16>(c, team);
        case Products::BFLOAT16: return convolve_rounded<Bfloat16>(c, team);
    }
}
