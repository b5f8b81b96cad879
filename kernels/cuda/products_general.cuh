// matmul_general: products of any carrier; a thread takes one number of the result. Sums of integers are in int64, to
// which products of int32 are added by one instruction where operands travel as float32; all others in float64, which
// bounds them, as a card may have 2 units of it beside 128 of float32.
// determinant: one matrix after the other; a block eliminates in it, a warp taking a row, and waits after each pivot.
// Bound by waiting where matrices are small, by float64 where they are large.
// Source: ONNX MatMul, MatMulInteger and Det; G. Golub, C. Van Loan, Matrix Computations, section 3.4.
#pragma once
#include "carriers.cuh"

// The sum over the inner axis, worked out as a `Sum`, of products of elements that are read and then cut to a `Factor`.
template <class Sum, class Read, class Factor = Read>
__device__ Sum product_sum(const Carried<4>& a, word left, const Carried<4>& b, word right, int inner) {
    Sum sum = 0;
    for (int i = 0; i < inner; ++i, left += a.stride[3], right += b.stride[2]) {
        const auto first = static_cast<Factor>(a.template load<Read>(left));
        const auto second = static_cast<Factor>(b.template load<Read>(right));
        sum += static_cast<Sum>(first) * second;
    }
    return sum;
}

template <class Team>
__device__ void matmul_general(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::matmul_general;
    const Carried<4> a(words + fields::a, memory), b(words + fields::b, memory), y(words + fields::y, memory);
    const bool whole = y.element == ElementType::INT64;
    const bool narrow = a.element == ElementType::FLOAT32 && b.element == ElementType::FLOAT32;  // up to 16 bits
    const int inner = a.size[3];
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const int column = index % y.size[3], rest = index / y.size[3];
        const int row = rest % y.size[2], batch = rest / y.size[2];
        const int first = batch / y.size[1], second = batch % y.size[1];
        const word to = y.offset(first, second, row, column);
        const word left = a.offset(first, second, row, 0), right = b.offset(first, second, 0, column);
        if (whole && narrow) y.store(to, product_sum<word, float, int>(a, left, b, right, inner));
        else if (whole) y.store(to, product_sum<word, word>(a, left, b, right, inner));
        else y.store(to, product_sum<double, double>(a, left, b, right, inner));
    }
}

// The row, from `step` on, of the largest number in a column of a dense n x n matrix; the first of equals. Every warp
// finds it for itself.
template <class Team>
__device__ int pivot_of(const double* matrix, int n, int step, const Team& team) {
    double largest = 0.0;
    for (int row = step + team.rank % WARP; row < n; row += WARP) largest = fmax(largest, fabs(matrix[row * n + step]));
    largest = across_warp(largest, [](double a, double b) { return fmax(a, b); });
    int found = n;
    for (int row = n - 1 - team.rank % WARP; row >= step; row -= WARP)
        if (fabs(matrix[row * n + step]) == largest) found = row;
    found = across_warp(found, [](int a, int b) { return min(a, b); });
    return found < n ? found : step;  // a column of NaN
}

// The determinant of a dense n x n matrix, by elimination with partial pivoting; the matrix is spent.
template <class Team>
__device__ double eliminated(double* matrix, int n, const Team& team) {
    const int warp = team.rank / WARP, warps = team.size / WARP, lane = team.rank % WARP;
    double result = 1.0;
    for (int step = 0; step < n; ++step) {
        team.sync();  // the last step's elimination is done
        const int pivot = pivot_of(matrix, n, step, team);
        double *upper = matrix + step * n, *chosen = matrix + pivot * n;
        const double head = chosen[step];
        result *= pivot == step ? head : -head;
        if (head == 0.0) return result;
        team.sync();  // all know the pivot
        for (int column = step + team.rank; pivot != step && column < n; column += team.size) {
            const double swapped = upper[column];
            upper[column] = chosen[column], chosen[column] = swapped;
        }
        team.sync();
        for (int row = step + 1 + warp; row < n; row += warps) {
            const double factor = matrix[row * n + step] / head;
            for (int column = step + 1 + lane; column < n; column += WARP)
                matrix[row * n + column] -= factor * upper[column];
        }
    }
    return result;
}

template <class Team>
__device__ void determinant(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::determinant;
    const Carried<3> x(words + fields::x, memory);
    const Carried<1> y(words + fields::y, memory);
    double* matrix = pointer<double>(words + fields::scratch, memory);
    const int n = x.size[1];
    for (int batch = 0; batch < x.size[0]; ++batch) {
        team.sync();  // nobody reads the last matrix any more
        for (int index = team.rank; index < n * n; index += team.size)
            matrix[index] = x.template load<double>(x.offset(batch, index / n, index % n));
        const double result = eliminated(matrix, n, team);
        if (team.rank == 0) y.store(y.offset(batch), result);
    }
}
