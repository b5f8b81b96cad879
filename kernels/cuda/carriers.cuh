// Tensors whose elements are of any carrier: float32, int64 (whose words may hold uint64) or float64, as the address of
// each says. All threads of an instruction have the same carriers, so that choosing among them parts no warp.
#pragma once
#include "elements.cuh"

using unsigned_word = unsigned long long;

template <class T>
constexpr bool IS_WHOLE = T(0.5) == T(0);

template <class T>
__device__ bool is_negative(T x) {
    if constexpr (T(-1) < T(1)) return x < T(0);
    else return false;
}

// A number in another type: rounded to the nearest or, as an integer, cut off towards zero. What is outside of int64 is
// its lowest number, as on x86; a GPU would give the limits, and 0 for NaN.
template <class To, class From>
__device__ To carried(From x) {
    if constexpr (IS_WHOLE<To> && !IS_WHOLE<From>) {
        constexpr From LIMIT = 9223372036854775808.0;
        return x >= -LIMIT && x < LIMIT ? static_cast<To>(x) : To(1ull << 63);
    } else {
        return static_cast<To>(x);
    }
}

template <int RANK>
struct Carried : View<RANK, char> {
    int element;  // of ElementType

    __device__ Carried(const word* words, const Memory& memory)
        : View<RANK, char>(words, memory), element(element_of(words)) {}

    // The element so many on from the first one; see `View::offset`.
    template <class T>
    __device__ T load(word offset) const {
        switch (element) {
            case ElementType::FLOAT32: return carried<T>(reinterpret_cast<const float*>(this->data)[offset]);
            case ElementType::FLOAT64: return carried<T>(reinterpret_cast<const double*>(this->data)[offset]);
            default: return carried<T>(reinterpret_cast<const word*>(this->data)[offset]);
        }
    }

    template <class T>
    __device__ void store(word offset, T value) const {
        switch (element) {
            case ElementType::FLOAT32: reinterpret_cast<float*>(this->data)[offset] = carried<float>(value); break;
            case ElementType::FLOAT64: reinterpret_cast<double*>(this->data)[offset] = carried<double>(value); break;
            default: reinterpret_cast<word*>(this->data)[offset] = carried<word>(value);
        }
    }
};
