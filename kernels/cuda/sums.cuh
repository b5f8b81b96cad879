// Sums as exact as those of float64, of which a card may have 2 units beside 128 of float32.
#pragma once

// A sum of float32 and, beside it, the sum of what its additions rounded away.
// Source: D. Knuth, The Art of Computer Programming 2, 4.2.2, theorem B; A. Neumaier, Rundungsfehleranalyse einiger
// Verfahren zur Summation endlicher Summen, ZAMM 54 (1974).
struct Sum {
    float high = 0.0f, low = 0.0f;

    __device__ Sum() {}
    __device__ explicit Sum(float x) : high(x) {}

    __device__ Sum& operator+=(const Sum& other) {
        const float sum = high + other.high, taken = sum - high;
        low = (low + other.low) + ((high - (sum - taken)) + (other.high - taken));
        high = sum;
        return *this;
    }

    // Infinity and NaN are in `high`; what they leave in `low` says nothing.
    __device__ float value() const { return fabsf(high) < INFINITY ? high + low : high; }
};

__device__ inline Sum operator+(Sum a, const Sum& b) { return a += b; }

__device__ inline Sum from_thread_across(const Sum& sum, int apart) {
    Sum other;
    other.high = from_thread_across(sum.high, apart);
    other.low = from_thread_across(sum.low, apart);
    return other;
}
