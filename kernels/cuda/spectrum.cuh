// Fourier transforms by Stockham's autosort algorithm, the stages and roots of `kernels/packing_spectrum.py`: a block
// takes the rows one by one, its threads one butterfly of a stage each, and waits after each stage. Two buffers of
// scratch; short rows are bound by the waiting, long ones by reading and writing each number once a stage. Products are
// rounded before they are added, as on the processor: what cancels there does so here.
// Source: C. Van Loan, Computational Frameworks for the Fast Fourier Transform, section 1.7.
#pragma once

struct Complex {
    float real, imaginary;
};

__device__ inline Complex operator+(Complex a, Complex b) { return {a.real + b.real, a.imaginary + b.imaginary}; }
__device__ inline Complex operator-(Complex a, Complex b) { return {a.real - b.real, a.imaginary - b.imaginary}; }
__device__ inline Complex operator*(Complex a, float b) { return {__fmul_rn(a.real, b), __fmul_rn(a.imaginary, b)}; }

__device__ inline Complex product(Complex a, Complex b) {
    return {__fmul_rn(a.real, b.real) - __fmul_rn(a.imaginary, b.imaginary),
            __fmul_rn(a.real, b.imaginary) + __fmul_rn(a.imaginary, b.real)};
}

// -i a, or, of the inverse, whose sign is -1, i a.
__device__ inline Complex quarter_turned(Complex a, float sign) { return {sign * a.imaginary, -sign * a.real}; }

// The transform of 2 to 5 numbers; `roots` are cos, then sin, of 2 pi j / RADIX. Of an odd length in pairs of what lies
// mirrored: sums go with cosines, differences with sines.
template <int RADIX>
__device__ void butterfly(Complex* a, const float* roots, float sign) {
    if constexpr (RADIX == 2) {
        const Complex sum = a[0] + a[1];
        a[1] = a[0] - a[1], a[0] = sum;
    } else if constexpr (RADIX == 4) {
        const Complex even = a[0] + a[2], odd = a[1] + a[3];
        const Complex apart = a[0] - a[2], turned = quarter_turned(a[1] - a[3], sign);
        a[0] = even + odd, a[1] = apart + turned, a[2] = even - odd, a[3] = apart - turned;
    } else {
        constexpr int HALF = RADIX / 2;
        const Complex first = a[0];
        Complex sums[HALF], differences[HALF];
#pragma unroll
        for (int j = 1; j <= HALF; ++j) {
            sums[j - 1] = a[j] + a[RADIX - j];
            differences[j - 1] = a[j] - a[RADIX - j];
            a[0] = a[0] + sums[j - 1];
        }
#pragma unroll
        for (int k = 1; k <= HALF; ++k) {
            Complex even = first, odd = {0.0f, 0.0f};
#pragma unroll
            for (int j = 1; j <= HALF; ++j) {
                even = even + sums[j - 1] * roots[j * k % RADIX];
                odd = odd + differences[j - 1] * roots[RADIX + j * k % RADIX];
            }
            const Complex turned = quarter_turned(odd, sign);
            a[k] = even + turned, a[RADIX - k] = even - turned;
        }
    }
}

// `fourier_stage` of a small radix: a thread takes a butterfly.
template <int RADIX, class Team>
__device__ void small_stage(const Complex* source, Complex* target, const float* factors, int span, int groups,
                            bool inverse, const Team& team) {
    const int count = span * groups, columns = span >= PANEL ? groups : count;
    const float* roots = factors + 2 * (RADIX - 1) * columns;
    const float sign = inverse ? -1.0f : 1.0f;
    for (int i = team.rank; i < count; i += team.size) {
        const int p = i / span, q = i % span, column = span >= PANEL ? p : i;
        Complex a[RADIX];
#pragma unroll
        for (int l = 0; l < RADIX; ++l) a[l] = source[i + l * count];
        butterfly<RADIX>(a, roots, sign);
        Complex* to = target + q + span * RADIX * p;
        to[0] = a[0];
#pragma unroll
        for (int j = 1; j < RADIX; ++j)
            to[span * j] = product(a[j], {factors[2 * (j - 1) * columns + column],
                                          sign * factors[(2 * j - 1) * columns + column]});
    }
}

// One stage, with span s (the product of the radices before), radix r and g groups: for each i = s p + q
//     target[q + s (r p + j)] = exp(-2 pi i j p / (r g)) * sum over l of exp(-2 pi i j l / r) source[i + l s g]
// `columns` is how many factors there are of each j. The inverse takes the conjugates. A thread takes a sum, which is in
// float64, since it has many terms where the radix is none of the small ones.
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
        switch (radix) {
            case 2: small_stage<2>(source, other, factors, span, groups, inverse, team); break;
            case 3: small_stage<3>(source, other, factors, span, groups, inverse, team); break;
            case 4: small_stage<4>(source, other, factors, span, groups, inverse, team); break;
            case 5: small_stage<5>(source, other, factors, span, groups, inverse, team); break;
            default: fourier_stage(source, other, factors, radix, span, groups, inverse, team);
        }
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
            y(row, bin, 1) = bin == 0 || 2 * bin == n ? 0.0f : value.imaginary;  // those two are real
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
