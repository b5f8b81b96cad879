// unary_general and binary_general: element-wise functions of any carrier, in int64 or uint64 where the operands are
// such, in float32 where operands and result are that, else in float64. A thread takes one element at a time, in C
// order of the output. Bound by the functions: a card may have 2 units of float64 beside 128 of float32, and integers of
// 64 bits, their quotients above all, take many instructions. Source: the ONNX operators by whose names they go.
#pragma once
#include "carriers.cuh"

template <class T>
__device__ T general_function(int operation, double alpha, double beta, T x) {
    switch (operation) {
        case GeneralUnary::NEG: return -x;
        case GeneralUnary::ABS: return fabs(x);
        case GeneralUnary::SIGN: return x > T(0) ? T(1) : x < T(0) ? T(-1) : x;
        case GeneralUnary::SQRT: return sqrt(x);
        case GeneralUnary::RECIPROCAL: return T(1) / x;
        case GeneralUnary::EXP: return exp(x);
        case GeneralUnary::LOG: return log(x);
        case GeneralUnary::FLOOR: return floor(x);
        case GeneralUnary::CEIL: return ceil(x);
        case GeneralUnary::ROUND: return rint(x);
        case GeneralUnary::TRUNCATE: return trunc(x);
        case GeneralUnary::ERF: return erf(x);
        case GeneralUnary::SIN: return sin(x);
        case GeneralUnary::COS: return cos(x);
        case GeneralUnary::TAN: return tan(x);
        case GeneralUnary::ASIN: return asin(x);
        case GeneralUnary::ACOS: return acos(x);
        case GeneralUnary::ATAN: return atan(x);
        case GeneralUnary::SINH: return sinh(x);
        case GeneralUnary::COSH: return cosh(x);
        case GeneralUnary::TANH: return tanh(x);
        case GeneralUnary::ASINH: return asinh(x);
        case GeneralUnary::ACOSH: return acosh(x);
        case GeneralUnary::ATANH: return atanh(x);
        case GeneralUnary::SIGMOID: return T(1) / (T(1) + exp(-x));
        case GeneralUnary::SOFTPLUS: return (x > T(0) ? x : T(0)) + log1p(exp(-fabs(x)));
        case GeneralUnary::IS_NAN: return x != x;
        case GeneralUnary::IS_INF: return fabs(x) == T(INFINITY) && (x > T(0) ? alpha : beta) != 0.0;
    }
    return x;
}

// Modulo 2^64; the lowest int64 is its own negative.
template <class Word>
__device__ Word negative(Word x) {
    return static_cast<Word>(-static_cast<unsigned_word>(x));
}

// `Word`: word, or unsigned_word, whose absolute value is itself.
template <class Word>
__device__ Word whole_function(int operation, Word x) {
    switch (operation) {
        case GeneralUnary::NEG: return negative(x);
        case GeneralUnary::ABS: return is_negative(x) ? negative(x) : x;
        case GeneralUnary::SIGN: return is_negative(x) ? Word(-1) : Word(x != Word(0));
        case GeneralUnary::BIT_NOT: return ~x;
    }
    return x;
}

// Runs `Work::of<T>`, T being the type in which operands and results of these carriers are worked out.
template <class Work, class Team>
__device__ void by_type(int operand, int result, bool is_unsigned, const word* words, const Memory& memory,
                        const Team& team) {
    if (operand == ElementType::INT64 && is_unsigned) Work::template of<unsigned_word>(words, memory, team);
    else if (operand == ElementType::INT64) Work::template of<word>(words, memory, team);
    else if (operand == ElementType::FLOAT32 && result == ElementType::FLOAT32)
        Work::template of<float>(words, memory, team);
    else Work::template of<double>(words, memory, team);
}

struct UnaryGeneral {
    template <class T, class Team>
    __device__ static void of(const word* words, const Memory& memory, const Team& team) {
        using fields = operands::unary_general;
        const Carried<6> x(words + fields::x, memory), y(words + fields::y, memory);
        const int operation = static_cast<int>(words[fields::operator_]);
        const double alpha = __longlong_as_double(words[fields::alpha]);
        const double beta = __longlong_as_double(words[fields::beta]);
        for (int index = team.rank, count = y.count(); index < count; index += team.size) {
            const Places<6, 2> at(index, y, x);
            const T value = x.template load<T>(at.offset[1]);
            if constexpr (IS_WHOLE<T>) y.store(at.offset[0], static_cast<word>(whole_function(operation, value)));
            else y.store(at.offset[0], general_function(operation, alpha, beta, value));
        }
    }
};

template <class Team>
__device__ void unary_general(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::unary_general;
    by_type<UnaryGeneral>(element_of(words + fields::x), element_of(words + fields::y), words[fields::unsigned_] != 0,
                          words, memory, team);
}

template <class T>
__device__ bool holds(int comparison, T a, T b) {
    switch (comparison) {
        case GeneralBinary::GREATER: return a > b;
        case GeneralBinary::GREATER_OR_EQUAL: return a >= b;
        case GeneralBinary::LESS: return a < b;
        case GeneralBinary::LESS_OR_EQUAL: return a <= b;
        case GeneralBinary::EQUAL: return a == b;
        default: return a != b;
    }
}

// The remainder with the divisor's sign, of one with the dividend's.
template <class T>
__device__ T floored(T remainder, T divisor) {
    return remainder != T(0) && is_negative(remainder) != is_negative(divisor) ? remainder + divisor : remainder;
}

// NaN goes through. Powers in float64, which alone keep half an ulp.
template <class T>
__device__ T general_result(int operation, T a, T b) {
    switch (operation) {
        case GeneralBinary::ADD: return a + b;
        case GeneralBinary::SUB: return a - b;
        case GeneralBinary::MUL: return a * b;
        case GeneralBinary::DIV: return a / b;
        case GeneralBinary::MAX: return a > b || a != a ? a : b;
        case GeneralBinary::MIN: return a < b || a != a ? a : b;
        case GeneralBinary::POW: return static_cast<T>(pow(static_cast<double>(a), static_cast<double>(b)));
        case GeneralBinary::MOD: return floored(fmod(a, b), b);
        case GeneralBinary::FMOD: return fmod(a, b);
        default: return holds(operation, a, b);
    }
}

// Modulo 2^64, by squaring; a negative exponent gives the truncated quotient: 0 but for a base of 1 and -1.
__device__ inline word power(word base, word exponent) {
    if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent & 1 ? -1 : 1) : 0;
    unsigned_word result = 1;
    for (unsigned_word square = base; exponent > 0; exponent >>= 1, square *= square)
        if (exponent & 1) result *= square;
    return static_cast<word>(result);
}

// What is left over where it can not be divided is 0. Apart from the rest: code for quotients of 64 bits is long.
template <class Word>
__device__ Word whole_quotient(int operation, Word a, Word b) {
    if (b == Word(0)) return Word(0);
    if (is_negative(b) && b == Word(-1)) return operation == GeneralBinary::DIV ? negative(a) : Word(0);
    if (operation == GeneralBinary::DIV) return a / b;
    return operation == GeneralBinary::MOD ? floored(a % b, b) : a % b;
}

template <class Word>
__device__ Word whole_result(int operation, Word a, Word b) {
    const unsigned_word x = a, y = b;
    switch (operation) {
        case GeneralBinary::ADD: return static_cast<Word>(x + y);
        case GeneralBinary::SUB: return static_cast<Word>(x - y);
        case GeneralBinary::MUL: return static_cast<Word>(x * y);
        case GeneralBinary::DIV:
        case GeneralBinary::MOD:
        case GeneralBinary::FMOD: return whole_quotient(operation, a, b);
        case GeneralBinary::MAX: return max(a, b);
        case GeneralBinary::MIN: return min(a, b);
        case GeneralBinary::POW: return static_cast<Word>(power(a, b));
        case GeneralBinary::BIT_AND: return a & b;
        case GeneralBinary::BIT_OR: return a | b;
        case GeneralBinary::BIT_XOR: return a ^ b;
        case GeneralBinary::SHIFT_LEFT: return y < 64 ? static_cast<Word>(x << y) : Word(0);
        case GeneralBinary::SHIFT_RIGHT: return y < 64 ? a >> y : is_negative(a) ? Word(-1) : Word(0);
        default: return holds(operation, a, b);
    }
}

struct BinaryGeneral {
    template <class T, class Team>
    __device__ static void of(const word* words, const Memory& memory, const Team& team) {
        using fields = operands::binary_general;
        const Carried<6> a(words + fields::a, memory), b(words + fields::b, memory), y(words + fields::y, memory);
        const int operation = static_cast<int>(words[fields::operator_]);
        for (int index = team.rank, count = y.count(); index < count; index += team.size) {
            const Places<6, 3> at(index, y, a, b);
            const T left = a.template load<T>(at.offset[1]), right = b.template load<T>(at.offset[2]);
            if constexpr (IS_WHOLE<T>) y.store(at.offset[0], static_cast<word>(whole_result(operation, left, right)));
            else y.store(at.offset[0], general_result(operation, left, right));
        }
    }
};

template <class Team>
__device__ void binary_general(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::binary_general;
    by_type<BinaryGeneral>(element_of(words + fields::a), element_of(words + fields::y), words[fields::unsigned_] != 0,
                           words, memory, team);
}
