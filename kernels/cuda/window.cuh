// What convolutions and pools of images and of volumes have in common: an image is a volume of one slice.
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

// [batch, channels, depth, height, width].
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

    // Positions of all images together.
    __device__ int positions() const { return size[0] * size[2] * size[3] * size[4]; }
};

// Where a position lies, counted in C order through all images.
struct Position {
    int batch, at[3];

    __device__ Position(int index, const Volume& volume) {
#pragma unroll
        for (int axis = 2; axis >= 0; --axis) {
            const int whole = index / volume.size[2 + axis];
            at[axis] = index - whole * volume.size[2 + axis];
            index = whole;
        }
        batch = index;
    }

    // Elements from the first one of the volume's first channel to this one's.
    __device__ word offset(const Volume& volume) const {
        return batch * volume.stride[0] + at[0] * volume.stride[2] + at[1] * volume.stride[3] + at[2] * volume.stride[4];
    }
};
