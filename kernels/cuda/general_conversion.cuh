// Between carriers and within them: convert, the roundings to narrower types, bits. A thread takes one element at a
// time, in C order of the output. Bound by the bytes moved, but where float64 takes part: a card may have 2 units of it
// beside 128 of float32. Source: ONNX Cast and BitCast; IEEE 754-2019, roundTiesToEven.
#pragma once
#include "carriers.cuh"

// The word of a uint64, which also has the numbers from 2^63 to 2^64; negative ones wrap.
__device__ inline word unsigned_from(double x) {
    const double limit = 9223372036854775808.0;
    return x >= limit && x < 2.0 * limit ? static_cast<word>(static_cast<unsigned_word>(x)) : carried<word>(x);
}

template <class Team>
__device__ void convert(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::convert;
    const Carried<6> x(words + fields::x, memory), y(words + fields::y, memory);
    const bool from_words = x.element == ElementType::INT64, to_words = y.element == ElementType::INT64;
    const bool is_unsigned = words[fields::unsigned_] != 0;
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const Places<6, 2> at(index, y, x);
        const word to = at.offset[0], from = at.offset[1];
        // Integers at once: by way of float64 they would be rounded twice.
        if (from_words && is_unsigned) y.store(to, static_cast<unsigned_word>(x.template load<word>(from)));
        else if (from_words) y.store(to, x.template load<word>(from));
        else if (to_words && is_unsigned) y.store(to, unsigned_from(x.template load<double>(from)));
        else y.store(to, x.template load<double>(from));
    }
}

template <class Team>
__device__ void narrow_integer(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::narrow_integer;
    const View<6, const word> x(words + fields::x, memory);
    const Carried<6> y(words + fields::y, memory);
    const int up = 64 - static_cast<int>(words[fields::bits]);
    const bool is_signed = words[fields::signed_] != 0 || up == 0;
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const Places<6, 2> at(index, y, x);
        const unsigned_word top = static_cast<unsigned_word>(x.data[at.offset[1]]) << up;
        y.store(at.offset[0], is_signed ? static_cast<word>(top) >> up : static_cast<word>(top >> up));
    }
}

// A float of fewer bits, as its schema says.
struct NarrowFloat {
    int fraction_bits, smallest_exponent, overflow;
    double largest;

    // Powers of two alone are multiplied with, which is exact in either type.
    template <class T>
    __device__ float operator()(T x) const {
        if (fabs(x) < T(INFINITY)) {
            const int step = max(ilogb(x), smallest_exponent) - fraction_bits;
            x = scalbn(rint(scalbn(x, -step)), step);
        }
        if (!(fabs(x) > T(largest))) return static_cast<float>(x);
        const double limit = overflow == Overflow::SATURATE ? largest : overflow == Overflow::NAN_ ? NAN : INFINITY;
        return static_cast<float>(copysign(limit, double(x)));
    }
};

template <class Team>
__device__ void narrow_float(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::narrow_float;
    const Carried<6> x(words + fields::x, memory);
    const View<6> y(words + fields::y, memory);
    const NarrowFloat narrow = {static_cast<int>(words[fields::fraction_bits]),
                                static_cast<int>(words[fields::smallest_exponent]),
                                static_cast<int>(words[fields::overflow]),
                                __longlong_as_double(words[fields::largest])};
    const bool single = x.element == ElementType::FLOAT32;
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const Places<6, 2> at(index, y, x);
        float& to = y.data[at.offset[0]];
        to = single ? narrow(x.template load<float>(at.offset[1])) : narrow(x.template load<double>(at.offset[1]));
    }
}

template <class Team>
__device__ void bits(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::bits;
    const Carried<6> x(words + fields::x, memory), y(words + fields::y, memory);
    const bool to_words = y.element == ElementType::INT64;
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const Places<6, 2> at(index, y, x);
        const word to = at.offset[0], from = at.offset[1];
        if (to_words) reinterpret_cast<word*>(y.data)[to] = reinterpret_cast<const int*>(x.data)[from];
        else reinterpret_cast<int*>(y.data)[to] = static_cast<int>(reinterpret_cast<const word*>(x.data)[from]);
    }
}
