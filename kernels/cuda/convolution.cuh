// Convolutions, straight from the definition: a thread takes one number of the output. Neighbours along the width read
// neighbours of the input and the same weights; a step of a stream has few outputs and is bound by reading its weights
// once. One arithmetic for every layout of the weights: `BLOCK` output channels of a group lie side by side behind
// [taps, input channels]. Images and volumes go through the same code, an image as a volume of one slice.
// Source: ONNX Conv; the layouts are in kernels/packing.py.
#pragma once

// Sizes of a window along depth, height and width.
struct Window3 {
    int kernel[3], stride[3], dilation[3], pad[3];

    // The window of the last two axes.
    template <class fields>
    __device__ static Window3 of_image(const word* words, fields) {
        return {{1, int(words[fields::kernel_height]), int(words[fields::kernel_width])},
                {1, int(words[fields::stride_height]), int(words[fields::stride_width])},
                {1, int(words[fields::dilation_height]), int(words[fields::dilation_width])},
                {0, int(words[fields::pad_top]), int(words[fields::pad_left])}};
    }

    template <class fields>
    __device__ static Window3 of_volume(const word* words, fields) {
        return {{int(words[fields::kernel_depth]), int(words[fields::kernel_height]), int(words[fields::kernel_width])},
                {int(words[fields::stride_depth]), int(words[fields::stride_height]), int(words[fields::stride_width])},
                {int(words[fields::dilation_depth]), int(words[fields::dilation_height]),
                 int(words[fields::dilation_width])},
                {int(words[fields::pad_front]), int(words[fields::pad_top]), int(words[fields::pad_left])}};
    }
};

// A tensor of images or of volumes; an image is a volume of one slice.
struct Volume {
    float* data;
    int size[5];
    word stride[5];

    __device__ explicit Volume(const View<4>& image)
        : data(image.data),
          size{image.size[0], image.size[1], 1, image.size[2], image.size[3]},
          stride{image.stride[0], image.stride[1], 0, image.stride[2], image.stride[3]} {}

    __device__ explicit Volume(const View<5>& volume) : data(volume.data) {
#pragma unroll
        for (int axis = 0; axis < 5; ++axis) size[axis] = volume.size[axis], stride[axis] = volume.stride[axis];
    }
};

// `block` output channels lie side by side in the weights; 0: they are as ONNX has them, [channels, 1, taps].
template <class fields, class Team>
__device__ void convolve(const word* words, const Memory& memory, const Team& team, const Volume& x, const Volume& y,
                         const Window3& window, int block) {
    const float* weights = pointer<const float>(words + fields::weights, memory);
    const float* bias = pointer<const float>(words + fields::bias, memory);
    const Activate activate(words, memory, fields());
    const int groups = static_cast<int>(words[fields::groups]);
    const int inputs = x.size[1] / groups, outputs = y.size[1] / groups;
    const int taps = window.kernel[0] * window.kernel[1] * window.kernel[2];
    const word blocks = block ? (outputs + block - 1) / block : 0;
    const int count = y.size[0] * y.size[1] * y.size[2] * y.size[3] * y.size[4];
    for (int index = team.rank; index < count; index += team.size) {
        int rest = index;
        int place[5];
#pragma unroll
        for (int axis = 4; axis >= 0; --axis) place[axis] = rest % y.size[axis], rest /= y.size[axis];
        const int channel = place[1], group = channel / outputs, output = channel % outputs;
        const float* image = x.data + place[0] * x.stride[0] + word(group) * inputs * x.stride[1];
        const float* own = block ? weights + (group * blocks + output / block) * taps * inputs * block + output % block
                                 : weights + word(channel) * taps;
        const int step = block ? block : 1;
        int start[3];
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) start[axis] = place[2 + axis] * window.stride[axis] - window.pad[axis];
        float sum = bias ? bias[channel] : 0.0f;
        for (int k0 = 0; k0 < window.kernel[0]; ++k0) {
            const int at0 = start[0] + k0 * window.dilation[0];
            if (at0 < 0 || at0 >= x.size[2]) continue;
            for (int k1 = 0; k1 < window.kernel[1]; ++k1) {
                const int at1 = start[1] + k1 * window.dilation[1];
                if (at1 < 0 || at1 >= x.size[3]) continue;
                for (int k2 = 0; k2 < window.kernel[2]; ++k2) {
                    const int at2 = start[2] + k2 * window.dilation[2];
                    if (at2 < 0 || at2 >= x.size[4]) continue;
                    const int tap = (k0 * window.kernel[1] + k1) * window.kernel[2] + k2;
                    const float* from = image + at0 * x.stride[2] + at1 * x.stride[3] + at2 * x.stride[4];
                    const float* factors = own + word(tap) * inputs * step;
                    for (int input = 0; input < inputs; ++input)
                        sum += from[input * x.stride[1]] * factors[word(input) * step];
                }
            }
        }
        word to = 0;
#pragma unroll
        for (int axis = 0; axis < 5; ++axis) to += place[axis] * y.stride[axis];
        y.data[to] = activate(sum, channel);
    }
}

template <class fields, class Team>
__device__ void convolve_image(const word* words, const Memory& memory, const Team& team, int block) {
    const Volume x{View<4>(words + fields::x, memory)}, y{View<4>(words + fields::y, memory)};
    convolve<fields>(words, memory, team, x, y, Window3::of_image(words, fields()), block);
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

template <class Team>
__device__ void conv_depthwise(const word* words, const Memory& memory, const Team& team) {
    convolve_image<operands::conv_depthwise>(words, memory, team, 0);
}

template <class Team>
__device__ void conv_volume(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::conv_volume;
    const Volume x{View<5>(words + fields::x, memory)}, y{View<5>(words + fields::y, memory)};
    const int block = static_cast<int>(words[fields::block]);
    convolve<fields>(words, memory, team, x, y, Window3::of_volume(words, fields()), block);
}
