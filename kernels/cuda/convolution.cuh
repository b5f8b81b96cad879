// Convolutions, straight from the definition: a thread takes one number of the output. Neighbours along the width read
// neighbours of the input and the same weights; a step of a stream has few outputs and is bound by reading its weights
// once. One arithmetic for every layout of the weights: `block` output channels of a group lie side by side behind
// [taps, input channels]. What has many outputs is done in tiles instead, see convolution_tiles.cuh, with the same sums.
// Source: ONNX Conv; the layouts are in kernels/packing.py.
#pragma once
#include "convolution_tiles.cuh"

template <class Team>
__device__ void convolve(const Convolution& c, const Team& team) {
    const int positions = c.y.positions() / c.y.size[0], count = c.y.positions() * c.y.size[1];
    for (int index = team.rank; index < count; index += team.size) {
        const int place = index % positions, rest = index / positions;
        const int channel = rest % c.y.size[1], group = channel / c.outputs;
        const Position position(rest / c.y.size[1] * positions + place, c.y);
        const float* image = c.x.data + position.batch * c.x.stride[0] + word(group) * c.inputs * c.x.stride[1];
        const float* factors = c.weights_of(group, channel % c.outputs);
        float sum = c.bias ? c.bias[channel] : 0.0f;
        int start[3];
#pragma unroll
        for (int axis = 0; axis < 3; ++axis)
            start[axis] = position.at[axis] * c.window.stride[axis] - c.window.pad[axis];
        for (int k0 = 0; k0 < c.window.kernel[0]; ++k0) {
            const int at0 = start[0] + k0 * c.window.dilation[0];
            for (int k1 = 0; k1 < c.window.kernel[1]; ++k1) {
                const int at1 = start[1] + k1 * c.window.dilation[1];
                const bool inside = at0 >= 0 && at0 < c.x.size[2] && at1 >= 0 && at1 < c.x.size[3];
                const float* row = image + at0 * c.x.stride[2] + at1 * c.x.stride[3];
                for (int k2 = 0; k2 < c.window.kernel[2]; ++k2, factors += word(c.inputs) * c.block) {
                    const int at2 = start[2] + k2 * c.window.dilation[2];
                    if (!inside || at2 < 0 || at2 >= c.x.size[4]) continue;
                    const float* from = row + at2 * c.x.stride[4];
                    for (int input = 0; input < c.inputs; ++input)
                        sum = fmaf(from[input * c.x.stride[1]], factors[word(input) * c.block], sum);
                }
            }
        }
        c.y.data[position.offset(c.y) + channel * c.y.stride[1]] = c.activate(sum, channel);
    }
}

template <class fields, class Team>
__device__ void convolve_image(const word* words, const Memory& memory, const Team& team, int block) {
    const Volume x{View<4>(words + fields::x, memory)}, y{View<4>(words + fields::y, memory)};
    convolve(Convolution(words, memory, fields(), x, y, Window3::of_image(words, fields()), block), team);
}

template <class Team>
__device__ void conv_wide(const word* words, const Memory& memory, const Team& team) {
    convolve_image<operands::conv_wide>(words, memory, team, CHANNEL_BLOCK);
}

template <class Team>
__device__ void conv_short(const word* words, const Memory& memory, const Team& team) {
    convolve_image<operands::conv_short>(words, memory, team, CHANNEL_BLOCK);
}

template <class Team>
__device__ void conv_narrow(const word* words, const Memory& memory, const Team& team) {
    convolve_image<operands::conv_narrow>(words, memory, team, PANEL);
}

// Weights as ONNX has them: a block of one channel.
template <class Team>
__device__ void conv_depthwise(const word* words, const Memory& memory, const Team& team) {
    convolve_image<operands::conv_depthwise>(words, memory, team, 1);
}

template <class Team>
__device__ void conv_volume(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::conv_volume;
    const Volume x{View<5>(words + fields::x, memory)}, y{View<5>(words + fields::y, memory)};
    const Window3 window = Window3::of_volume(words, fields());
    convolve(Convolution(words, memory, fields(), x, y, window, static_cast<int>(words[fields::block])), team);
}
