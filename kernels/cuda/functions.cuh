// The scalar functions of element-wise kernels and activations, by the numbers of `kernels/opcodes.py`.
// CUDA's own float32 functions (1 to 2 ulp); powers in float64, which alone keep half an ulp. Denormals of float32 count
// as zero: CuPy has it so (-ftz=true), and on the processor a step computes without them, too.
// Source: CUDA C++ Programming Guide, "Mathematical Functions"; ONNX operators of the same names.
#pragma once

// What the bits of a float16 mean. Its denormals are numbers like others here; no float32 arithmetic, which takes the
// same digits with the smallest exponent for zero, may come between.
__device__ inline float float16_number(unsigned bits) {
#ifdef __CUDACC__
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(static_cast<unsigned short>(bits)));
    return value;
#else
    return host::float16_number(bits);
#endif
}

__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

__device__ inline float softplus(float x) { return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))); }

__device__ inline float elu(float x, float alpha) { return x < 0.0f ? alpha * expm1f(x) : x; }

// NaN goes through, as in NumPy; the upper limit wins over the lower one.
__device__ inline float at_least(float x, float low) { return x < low ? low : x; }
__device__ inline float at_most(float x, float high) { return x > high ? high : x; }
__device__ inline float clip(float x, float low, float high) { return at_most(at_least(x, low), high); }

// The larger one, NaN as the largest.
__device__ inline float larger(float a, float b) { return b > a || b != b ? b : a; }

__device__ inline float gelu(float x, bool approximate) {
    if (approximate) return 0.5f * x * (1.0f + tanhf(0.7978845608028654f * (x + 0.044715f * x * x * x)));
    // erfc keeps its digits where 1 + erf would have cancelled them.
    return 0.5f * x * erfcf(-0.7071067811865476f * x);
}

__device__ inline float mish(float x) { return x * tanhf(softplus(x)); }

__device__ inline float apply_unary(int operation, float alpha, float beta, float x) {
    switch (operation) {
        case Unary::RELU: return at_least(x, 0.0f);
        case Unary::LEAKY_RELU: return x < 0.0f ? alpha * x : x;
        case Unary::SIGMOID: return sigmoid(x);
        case Unary::TANH: return tanhf(x);
        case Unary::ELU: return elu(x, alpha);
        case Unary::HARD_SIGMOID: return clip(alpha * x + beta, 0.0f, 1.0f);
        case Unary::HARD_SWISH: return x * clip(x / 6.0f + 0.5f, 0.0f, 1.0f);
        case Unary::CLIP: return clip(x, alpha, beta);
        case Unary::NEG: return -x;
        case Unary::ABS: return fabsf(x);
        case Unary::SQRT: return sqrtf(x);
        case Unary::RECIPROCAL: return 1.0f / x;
        case Unary::EXP: return expf(x);
        case Unary::LOG: return logf(x);
        case Unary::SIN: return sinf(x);
        case Unary::COS: return cosf(x);
        case Unary::FLOOR: return floorf(x);
        case Unary::CEIL: return ceilf(x);
        case Unary::ROUND: return rintf(x);
        case Unary::ERF: return erff(x);
        case Unary::SOFTPLUS: return softplus(x);
        case Unary::SOFTSIGN: return x / (1.0f + fabsf(x));
        case Unary::SIGN: return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x;
        case Unary::SQUARE: return x * x;
        case Unary::SELU: return beta * elu(x, alpha);
        case Unary::GELU: return gelu(x, alpha != 0.0f);
        case Unary::MISH: return mish(x);
        case Unary::SWISH: return x * sigmoid(alpha * x);
    }
    return x;
}

__device__ inline float apply_binary(int operation, float a, float b) {
    switch (operation) {
        case Binary::ADD: return a + b;
        case Binary::SUB: return a - b;
        case Binary::MUL: return a * b;
        case Binary::DIV: return a / b;
        case Binary::MAX: return a != a ? a : at_least(b, a);
        case Binary::MIN: return a != a ? a : at_most(b, a);
        case Binary::POW: return static_cast<float>(pow(static_cast<double>(a), static_cast<double>(b)));
        case Binary::PRELU: return a < 0.0f ? a * b : a;
        case Binary::GREATER: return a > b;
        case Binary::GREATER_OR_EQUAL: return a >= b;
        case Binary::LESS: return a < b;
        case Binary::LESS_OR_EQUAL: return a <= b;
        case Binary::EQUAL: return a == b;
        case Binary::AND: return a != 0.0f && b != 0.0f;
        case Binary::OR: return a != 0.0f || b != 0.0f;
        case Binary::XOR: return (a != 0.0f) != (b != 0.0f);
    }
    return a;
}

static_assert(int(Activation::RELU) == Unary::RELU && int(Activation::LEAKY_RELU) == Unary::LEAKY_RELU &&
                  int(Activation::SIGMOID) == Unary::SIGMOID && int(Activation::TANH) == Unary::TANH &&
                  int(Activation::ELU) == Unary::ELU && int(Activation::HARD_SIGMOID) == Unary::HARD_SIGMOID &&
                  int(Activation::HARD_SWISH) == Unary::HARD_SWISH && int(Activation::CLIP) == Unary::CLIP,
              "one number for both");

// What a product or convolution applies to its result before it writes it.
struct Activate {
    int operation;
    float alpha, beta;
    const float* slope;  // of each channel

    template <class Fields>
    __device__ Activate(const word* words, const Memory& memory, Fields)
        : operation(static_cast<int>(words[Fields::activation])),
          alpha(number(words + Fields::alpha)),
          beta(number(words + Fields::beta)),
          slope(pointer<const float>(words + Fields::slope, memory)) {}

    __device__ float operator()(float x, int channel) const {
        switch (operation) {
            case Activation::NONE: return x;
            case Activation::PRELU: return x < 0.0f ? slope[channel] * x : x;
            case Activation::SWISH: return x * sigmoid(alpha * x);
            default: return apply_unary(operation, alpha, beta, x);  // which have the same numbers
        }
    }
};
