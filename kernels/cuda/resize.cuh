// Linear resize of images. A thread goes down a strip of one output column and keeps the two source rows that it
// stretched last: an image that grows reads each of its elements about once a column. Neighbours write neighbours.
// Bound by the bytes written, or read where an image shrinks. Images of few outputs have strips of one row.
// Source: ONNX Resize, mode linear.
#pragma once

constexpr int LONGEST_STRIP = 8;

template <class Team>
__device__ void resize_linear(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::resize_linear;
    const View<4> x(words + fields::x, memory), y(words + fields::y, memory);
    const int* rows = pointer<const int>(words + fields::rows, memory);
    const int* columns = pointer<const int>(words + fields::columns, memory);
    const float* row_weights = pointer<const float>(words + fields::row_weights, memory);
    const float* column_weights = pointer<const float>(words + fields::column_weights, memory);
    const int strip = max(1, min(LONGEST_STRIP, y.count() / team.size));
    const int strips = (y.size[2] + strip - 1) / strip;
    for (int index = team.rank, count = y.count(2) * strips * y.size[3]; index < count; index += team.size) {
        const int column = index % y.size[3], top = index / y.size[3] % strips * strip;
        const int image = index / (y.size[3] * strips), channel = image % y.size[1], batch = image / y.size[1];
        const float* left = &x(batch, channel, 0, columns[2 * column]);
        const float* right = &x(batch, channel, 0, columns[2 * column + 1]);
        const float across = column_weights[column];
        const auto stretched = [&](int row) {
            return left[row * x.stride[2]] * (1.0f - across) + right[row * x.stride[2]] * across;
        };
        int low_row = -1, high_row = -1;
        float low = 0.0f, high = 0.0f;
        for (int row = top; row < min(top + strip, y.size[2]); ++row) {
            const int first = rows[2 * row], second = rows[2 * row + 1];
            if (first != low_row) low = first == high_row ? high : stretched(first);
            if (second != high_row) high = second == first ? low : stretched(second);
            low_row = first, high_row = second;
            y(batch, channel, row, column) = low * (1.0f - row_weights[row]) + high * row_weights[row];
        }
    }
}
