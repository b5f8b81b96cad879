// Matrix products whose rows are few: a thread takes one number of the result. Weights are read once a row, by 16
// neighbours at a time (a panel's 64 bytes); of a step of a stream they are all there is to read, and bound it.
#pragma once

// Weights as they are kept: float32, or two float16 in a word.
struct Whole {
    const float* data;
    __device__ Whole(const word* words, const Memory& memory) : data(pointer<const float>(words, memory)) {}
    __device__ float operator[](word index) const { return data[index]; }
};

struct Half {
    const unsigned short* data;
    __device__ Half(const word* words, const Memory& memory) : data(pointer<const unsigned short>(words, memory)) {}
    __device__ float operator[](word index) const {
        // Sign, then exponent and digits moved to where float32 has them; 2^112 rights the exponent, denormals too.
        const unsigned bits = data[index], rest = (bits & 0x7fffu) << 13;
        const float size = __uint_as_float(rest) * 5.192296858534828e+33f;
        const float value = (bits & 0x7c00u) == 0x7c00u ? __uint_as_float(rest | 0x7f800000u) : size;
        return bits & 0x8000u ? -value : value;
    }
};

template <class fields, class Weights, class Team>
__device__ void dense_of(const word* words, const Memory& memory, const Team& team) {
    const View<2> x(words + fields::x, memory), y(words + fields::y, memory);
    const Weights weights(words + fields::weights, memory);
    const float* bias = pointer<const float>(words + fields::bias, memory);
    const Activate activate(words, memory, fields());
    const int inner = x.size[1], columns = y.size[1];
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const int column = index % columns, row = index / columns;
        const float* from = &x(row, 0);
        const word first = word(column / PANEL) * inner * PANEL + column % PANEL;
        float sum = bias ? bias[column] : 0.0f;
        for (int i = 0; i < inner; ++i) sum += from[i * x.stride[1]] * weights[first + word(i) * PANEL];
        y(row, column) = activate(sum, column);
    }
}

template <class Team>
__device__ void dense(const word* words, const Memory& memory, const Team& team) {
    dense_of<operands::dense, Whole>(words, memory, team);
}

template <class Team>
__device__ void dense_half(const word* words, const Memory& memory, const Team& team) {
    dense_of<operands::dense_half, Half>(words, memory, team);
}

template <class Team>
__device__ void matmul(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::matmul;
    const View<4> a(words + fields::a, memory), b(words + fields::b, memory), y(words + fields::y, memory);
    const int inner = a.size[3];
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const int column = index % y.size[3], rest = index / y.size[3];
        const int row = rest % y.size[2], batch = rest / y.size[2];
        const int first = batch / y.size[1], second = batch % y.size[1];
        float sum = 0.0f;
        for (int i = 0; i < inner; ++i) sum += a(first, second, row, i) * b(first, second, i, column);
        y(first, second, row, column) = sum;
    }
}
