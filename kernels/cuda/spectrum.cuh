// Fourier transforms by Stockham's autosort algorithm, the stages and roots of `kernels/packing_spectrum.py`: a block
// takes the rows one by one, its threads one sum of a stage each, and waits after each stage. Two buffers of scratch;
// short rows are bound by the waiting, not by the n r operations of a stage of radix r. Sums are in float64: they
// cancel.
// Source: C. Van Loan, Computational Frameworks for the Fast Fourier Transform, section 1.7.
#pragma once

struct Complex {
    float real, imaginary;
};

__device__ inline Complex product(Complex a, Complex b) {
    return {a.real * b.real - a.imaginary * b.imaginary, a.real * b.imaginary + a.imaginary * b.real};
}

// One stage, with span s (the product of the radices before), radix r and g groups: for each i = s p + q
//     target[q + s (r p + j)] = exp(-2 pi i j p / (r g)) * sum over l of exp(-2 pi i j l / r) source[i + l s g]
// `columns` is how many factors there are of each j. The inverse takes the conjugates.
template <class Team>
__device__ void fourier_stage(const Complex* source, Complex* target, const float* factors, int radix, int span,
                              int groups, bool inverse, const Team& team) {
    const int count = span * groups, columns = span >= PANEL ? groups : count;
    const float* roots = factors + 2 * (radix - 1) * columns;
    const float sign = inverse ? -1.0f : 1.0f;
    for (int index = team.rank; index < count * radix; index += team.size) {
        const int i = index % count, j = index / count, p = i / span, q = i % span;
        double real = 0.0, imaginary = 0.0;
        for (int l = 0, turn = 0; l < radix; ++l) {
            const double cosine = roots[turn], sine = sign * roots[radix + turn];
            const Complex x = source[i + l * count];
            real += cosine * x.real + sine * x.imaginary;
            imaginary += cosine * x.imaginary - sine * x.real;
            turn += j;
            if (turn >= radix) turn -= radix;
        }
        Complex sum = {static_cast<float>(real), static_cast<float>(imaginary)};
        if (j > 0) {
            const int column = span >= PANEL ? p : i;
            sum = product(sum, {factors[2 * (j - 1) * columns + column],
                                sign * factors[(2 * j - 1) * columns + column]});
        }
        target[q + span * (radix * p + j)] = sum;
    }
}

// All stages of a transform of `source`, through `other`; returns the one of both that has the result.
template <class Team>
__device__ Complex* fourier(Complex* source, Complex* other, int length, const float* tables, int skipped, bool inverse,
                            const Team& team) {
    const float* factors = tables + HEADER_WORDS + skipped;
    const int stages = static_cast<int>(tables[0]);
    int span = 1;
    for (int stage = 0; stage < stages; ++stage) {
        const int radix = static_cast<int>(tables[1 + 2 * stage]), groups = static_cast<int>(tables[2 + 2 * stage]);
        fourier_stage(source, other, factors, radix, span, groups, inverse, team);
        team.sync();
        factors += 2 * (radix - 1) * (span >= PANEL ? groups : span * groups) + 2 * radix;
        span *= radix;
        Complex* const done = other;
        other = source, source = done;
    }
    return source;
}

// Whether a real transform goes through a complex one of half its length: see `packing_spectrum.halves`.
__device__ inline bool halves(int n) { return n % 2 == 0 && n > 2 * PANEL; }

template <class Team>
__device__ void real_fft(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::real_fft;
    const View<2> x(words + fields::x, memory);
    const View<3> y(words + fields::y, memory);
    const float* tables = pointer<const float>(words + fields::tables, memory);
    Complex* scratch = pointer<Complex>(words + fields::scratch, memory);
    const int n = x.size[1], bins = n / 2 + 1, length = halves(n) ? n / 2 : n;
    for (int row = 0; row < x.size[0]; ++row) {
        for (int index = team.rank; index < length; index += team.size)
            scratch[index] = halves(n) ? Complex{x(row, 2 * index), x(row, 2 * index + 1)} : Complex{x(row, index), 0.0f};
        team.sync();
        const Complex* z = fourier(scratch, scratch + length, length, tables, halves(n) ? n : 0, false, team);
        const float *cosines = tables + HEADER_WORDS, *sines = cosines + length;
        for (int bin = team.rank; bin < bins; bin += team.size) {
            Complex value = z[bin == length ? 0 : bin];
            if (halves(n)) {
                // The transforms of the even and of the odd samples, from their sum as one complex signal.
                const Complex mirrored = z[bin == 0 || bin == length ? 0 : length - bin];
                const Complex even = {0.5f * (value.real + mirrored.real), 0.5f * (value.imaginary - mirrored.imaginary)};
                const Complex odd = {0.5f * (value.imaginary + mirrored.imaginary), 0.5f * (mirrored.real - value.real)};
                const Complex turn = bin == length ? Complex{-1.0f, 0.0f} : Complex{cosines[bin], -sines[bin]};
                const Complex turned = product(odd, turn);
                value = {even.real + turned.real, even.imaginary + turned.imaginary};
            }
            y(row, bin, 0) = value.real;
            y(row, bin, 1) = value.imaginary;
        }
        team.sync();
    }
}

template <class Team>
__device__ void inverse_real_fft(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::inverse_real_fft;
    const View<3> x(words + fields::x, memory);
    const View<2> y(words + fields::y, memory);
    const float* tables = pointer<const float>(words + fields::tables, memory);
    Complex* scratch = pointer<Complex>(words + fields::scratch, memory);
    const int n = y.size[1], length = halves(n) ? n / 2 : n;
    const float scale = 1.0f / n;
    const float *cosines = tables + HEADER_WORDS, *sines = cosines + length;
    for (int row = 0; row < y.size[0]; ++row) {
        // Bin 0 and, of even n, bin n / 2 are real; the upper half is the mirrored conjugate of the lower.
        const auto bin_of = [&](int bin) {
            const bool mirrored = 2 * bin > n;
            const int at = mirrored ? n - bin : bin;
            const bool real = at == 0 || 2 * at == n;
            const float imaginary = real ? 0.0f : x(row, at, 1);
            return Complex{x(row, at, 0), mirrored ? -imaginary : imaginary};
        };
        for (int index = team.rank; index < length; index += team.size) {
            Complex value = bin_of(index);
            if (halves(n)) {
                const Complex other = bin_of(index + length);
                const Complex even = {value.real + other.real, value.imaginary + other.imaginary};
                const Complex apart = {value.real - other.real, value.imaginary - other.imaginary};
                const Complex odd = product(apart, {cosines[index], sines[index]});
                value = {even.real - odd.imaginary, even.imaginary + odd.real};
            }
            scratch[index] = value;
        }
        team.sync();
        const Complex* z = fourier(scratch, scratch + length, length, tables, halves(n) ? n : 0, true, team);
        for (int index = team.rank; index < length; index += team.size) {
            if (halves(n)) {
                y(row, 2 * index) = z[index].real * scale;
                y(row, 2 * index + 1) = z[index].imaginary * scale;
            } else {
                y(row, index) = z[index].real * scale;
            }
        }
        team.sync();
    }
}

template <class Team>
__device__ void complex_fft(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::complex_fft;
    const View<3> x(words + fields::x, memory), y(words + fields::y, memory);
    const float* tables = pointer<const float>(words + fields::tables, memory);
    Complex* scratch = pointer<Complex>(words + fields::scratch, memory);
    const bool inverse = words[fields::inverse] != 0;
    const int n = x.size[1];
    const float scale = inverse ? 1.0f / n : 1.0f;
    for (int row = 0; row < x.size[0]; ++row) {
        for (int index = team.rank; index < n; index += team.size) scratch[index] = {x(row, index, 0), x(row, index, 1)};
        team.sync();
        const Complex* z = fourier(scratch, scratch + n, n, tables, 0, inverse, team);
        for (int index = team.rank; index < n; index += team.size) {
            y(row, index, 0) = z[index].real * scale;
            y(row, index, 1) = z[index].imaginary * scale;
        }
        team.sync();
    }
}
