// Convolutions with many outputs as matrix products: of the weights [channels, inner] and of what each pixel's window
// takes in, [inner, pixels], where inner = taps x input channels. The second matrix is never written down but gathered,
// tap by tap, by the threads of the pixels. A block of 128 threads makes a tile of CHANNELS x PIXELS, inner numbers 8
// at a time through two halves of shared memory: one is copied (cp.async) while the other is multiplied. A thread has
// 8 channels and COLUMNS pixels in registers.
//
//   CHANNELS x PIXELS   a thread   bytes of both halves   multiply-adds for each byte copied
//      64 x 128          8 x 8           12 K                   10.7
//      32 x 256          8 x 8           18 K                    7.1
//      16 x 256          8 x 4           17 K                    3.8
//       8 x 512          8 x 4           33 K                    2.0
//
// Bound by float32 multiply-adds from 32 channels on: an SM of an H100 does 128 in a cycle, and its first cache, where
// the taps of a window find each other's pixels, gives 128 bytes meanwhile; with fewer channels by copying. 33 KiB of
// shared memory and 159 registers a thread leave room for 3 blocks an SM, which fill each other's waits.
//
// Each sum starts with the bias and takes its products tap by tap and in these input by input, rounded once each: it
// does not depend on the tiles. Source: implicit GEMM, Chetlur et al. 2014 (cuDNN); ONNX Conv.
#pragma once
#include "ahead.cuh"
#include "window.cuh"

// A convolution, its weights [groups, blocks, taps, inputs, block].
struct Convolution {
    Volume x, y;
    Window3 window;
    const float *weights, *bias;
    Activate activate;
    int groups, inputs, outputs;  // channels of one group
    int block, blocks;

    template <class fields>
    __device__ Convolution(const word* words, const Memory& memory, fields, const Volume& x, const Volume& y,
                           const Window3& window, int block)
        : x(x),
          y(y),
          window(window),
          weights(pointer<const float>(words + fields::weights, memory)),
          bias(pointer<const float>(words + fields::bias, memory)),
          activate(words, memory, fields()),
          groups(static_cast<int>(words[fields::groups])),
          inputs(x.size[1] / groups),
          outputs(y.size[1] / groups),
          block(block),
          blocks((outputs + block - 1) / block) {}

    // Products of one sum.
    __device__ int inner() const { return window.kernel[0] * window.kernel[1] * window.kernel[2] * inputs; }

    // The first weight of an output channel of a group; the next one is `block` further.
    __device__ const float* weights_of(int group, int output) const {
        return weights + (group * blocks + output / block) * word(inner()) * block + output % block;
    }
};

constexpr int TILE_INNER = 8;
constexpr int TILE_ROWS = 8;       // channels of a thread
constexpr int TILE_FLOATS = 8320;  // of shared memory: what the largest tile needs

// Goes through the windows of a thread's pixels, one input number of each after the other.
template <int COUNT>
struct Gather {
    const Convolution& conv;
    const float* image[COUNT];  // of the pixel's batch and group
    int start[COUNT][3];        // of its window
    const float* from[COUNT];
    bool inside[COUNT];  // whether there is a number at `from`; if not it is 0
    int input = 0, tap[3] = {0, 0, 0};

    // Of position `first` and those each TILE_THREADS behind it.
    __device__ Gather(const Convolution& c, int group, int first) : conv(c) {
        const int positions = c.y.positions();
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            const int index = first + i * TILE_THREADS;
            const Position position(min(index, positions - 1), c.y);
#pragma unroll
            for (int axis = 0; axis < 3; ++axis)
                start[i][axis] = position.at[axis] * c.window.stride[axis] - c.window.pad[axis];
            image[i] = c.x.data + position.batch * c.x.stride[0] + word(group) * c.inputs * c.x.stride[1];
        }
        locate();
    }

    __device__ void locate() {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            inside[i] = true;
            word offset = 0;
#pragma unroll
            for (int axis = 0; axis < 3; ++axis) {
                const int at = start[i][axis] + tap[axis] * conv.window.dilation[axis];
                inside[i] = inside[i] && at >= 0 && at < conv.x.size[2 + axis];
                offset += at * conv.x.stride[2 + axis];
            }
            from[i] = inside[i] ? image[i] + offset : image[i];
        }
    }

    // To the next number; all threads take this step together, so that none waits for another one's tap.
    __device__ void next() {
        if (++input < conv.inputs) {
#pragma unroll
            for (int i = 0; i < COUNT; ++i) from[i] += conv.x.stride[1];
            return;
        }
        input = 0;
        if (++tap[2] == conv.window.kernel[2]) {
            tap[2] = 0;
            if (++tap[1] == conv.window.kernel[1]) tap[1] = 0, ++tap[0];
        }
        locate();
    }
};

// One tile's place: its group, its first channel in it, and its first position.
struct Tile {
    int group, channel, position;
};

// Activate and write a tile's sums, [channels, pixels] in shared memory; the threads write neighbours.
__device__ inline void write_tile(const Convolution& c, const Tile& tile, int channels, int pixels, int rank,
                                  const float* sums) {
    const int positions = c.y.positions(), first = tile.group * c.outputs + tile.channel;
    channels = min(channels, c.outputs - tile.channel);
    for (int pixel = rank; pixel < pixels && tile.position + pixel < positions; pixel += TILE_THREADS) {
        const Position position(tile.position + pixel, c.y);
        float* to = c.y.data + position.offset(c.y) + first * c.y.stride[1];
#pragma unroll 1
        for (int channel = 0; channel < channels; ++channel, to += c.y.stride[1])
            *to = c.activate(sums[channel * pixels + pixel], first + channel);
    }
}

// Copy eight inner numbers of a tile's weights and pixels: [TILE_INNER, CHANNELS], then [TILE_INNER, PIXELS].
template <int CHANNELS, int PIXELS>
__device__ void copy_stage(const Convolution& c, const Tile& tile, Gather<PIXELS / TILE_THREADS>& gather, int rank,
                           int first, float* to) {
    const int inner = c.inner(), channel = rank % CHANNELS, output = tile.channel + channel;
    const float* weights = c.weights_of(tile.group, min(output, c.outputs - 1));
#pragma unroll
    for (int k = rank / CHANNELS; k < TILE_INNER; k += TILE_THREADS / CHANNELS) {
        const bool exists = output < c.outputs && first + k < inner;
        copy_ahead(to + k * CHANNELS + channel, exists ? weights + word(first + k) * c.block : weights, exists);
    }
    to += TILE_INNER * CHANNELS;
#pragma unroll 1
    for (int k = 0; k < TILE_INNER; ++k) {
        const bool exists = first + k < inner;
#pragma unroll
        for (int i = 0; i < PIXELS / TILE_THREADS; ++i)
            copy_ahead(to + k * PIXELS + rank + i * TILE_THREADS, gather.from[i], exists && gather.inside[i]);
        if (first + k + 1 < inner) gather.next();
    }
    end_group();
}

template <int CHANNELS, int PIXELS, int COLUMNS>
__device__ void float_tile(const Convolution& c, const Tiles& team, const Tile& tile, float* shared) {
    constexpr int ACROSS = PIXELS / COLUMNS, STAGE = TILE_INNER * (CHANNELS + PIXELS);
    static_assert(CHANNELS / TILE_ROWS * ACROSS == TILE_THREADS, "a part of the tile for each thread");
    static_assert(2 * STAGE <= TILE_FLOATS && CHANNELS * PIXELS <= TILE_FLOATS, "it fits");
    const int row = team.rank / ACROSS * TILE_ROWS, column = team.rank % ACROSS * 4;
    float sums[TILE_ROWS][COLUMNS];
#pragma unroll
    for (int i = 0; i < TILE_ROWS; ++i) {
        const int output = tile.channel + row + i;
        const float bias = c.bias && output < c.outputs ? c.bias[tile.group * c.outputs + output] : 0.0f;
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j) sums[i][j] = bias;
    }
    Gather<PIXELS / TILE_THREADS> gather(c, tile.group, tile.position + team.rank);
    const int inner = c.inner();
    copy_stage<CHANNELS, PIXELS>(c, tile, gather, team.rank, 0, shared);
    for (int first = 0; first < inner; first += TILE_INNER) {
        const float* weights = shared + first / TILE_INNER % 2 * STAGE;
        if (first + TILE_INNER < inner) {
            float* other = shared + (first / TILE_INNER + 1) % 2 * STAGE;
            copy_stage<CHANNELS, PIXELS>(c, tile, gather, team.rank, first + TILE_INNER, other);
            wait_for_groups<1>();
        } else {
            wait_for_groups<0>();
        }
        team.sync();
        const float* pixels = weights + TILE_INNER * CHANNELS + column;
#pragma unroll 4
        for (int k = 0; k < TILE_INNER; ++k) {
            Quad factors[TILE_ROWS / 4], values[COLUMNS / 4];
#pragma unroll
            for (int i = 0; i < TILE_ROWS / 4; ++i)
                factors[i] = *reinterpret_cast<const Quad*>(weights + k * CHANNELS + row + 4 * i);
#pragma unroll
            for (int j = 0; j < COLUMNS / 4; ++j)
                values[j] = *reinterpret_cast<const Quad*>(pixels + k * PIXELS + j * 4 * ACROSS);
#pragma unroll
            for (int i = 0; i < TILE_ROWS; ++i)
#pragma unroll
                for (int j = 0; j < COLUMNS; ++j)
                    sums[i][j] = fmaf(values[j / 4].v[j % 4], factors[i / 4].v[i % 4], sums[i][j]);
        }
        team.sync();
    }
#pragma unroll
    for (int i = 0; i < TILE_ROWS; ++i)
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j)
            shared[(row + i) * PIXELS + column + j / 4 * 4 * ACROSS + j % 4] = sums[i][j];
}

// The convolution in shared memory: what every thread knows takes no registers of each.
__device__ inline Convolution& shared_by_all(const Convolution& own, Quad* memory, const Tiles& team) {
    Convolution& c = *reinterpret_cast<Convolution*>(memory);
    if (team.rank == 0) c = own;
    team.sync();
    return c;
}

// Go through the tiles that are this block's: `multiply` leaves the sums of a tile in `shared`. A tile has at least
// `narrowest` channels.
template <class Multiply>
__device__ void each_tile(const Convolution& c, const Tiles& team, int narrowest, float* shared, Multiply multiply) {
    const int wanted = max(narrowest, c.outputs);
    const int channels = wanted <= 8 ? 8 : wanted <= 16 ? 16 : wanted <= 32 ? 32 : 64;
    const int pixels = channels == 8 ? TILE_8 : channels == 16 ? TILE_16 : channels == 32 ? TILE_32 : TILE_64;
    const int across = (c.outputs + channels - 1) / channels, along = (c.y.positions() + pixels - 1) / pixels;
    for (int index = team.block; index < c.groups * along * across; index += team.blocks) {
        const int rest = index / across;  // blocks that run together take the same pixels
        const Tile tile{rest / along, index % across * channels, rest % along * pixels};
        multiply(tile, channels);
        team.sync();
        write_tile(c, tile, channels, pixels, team.rank, shared);
        team.sync();
    }
}

__device__ inline void convolve(const Convolution& own, const Tiles& team) {
    __shared__ Quad room[TILE_FLOATS / 4], description[sizeof(Convolution) / sizeof(Quad) + 1];
    float* shared = room[0].v;
    Convolution& c = shared_by_all(own, description, team);
    each_tile(c, team, TILE_ROWS, shared, [&](const Tile& tile, int channels) {
        switch (channels) {
            case 8: float_tile<8, TILE_8, 4>(c, team, tile, shared); break;
            case 16: float_tile<16, TILE_16, 4>(c, team, tile, shared); break;
            case 32: float_tile<32, TILE_32, 8>(c, team, tile, shared); break;
            default: float_tile<64, TILE_64, 8>(c, team, tile, shared);
        }
    });
}
