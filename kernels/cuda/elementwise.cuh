// Element-wise kernels: unary, binary, where, where_wide, and chains of them in registers. A thread takes one element at
// a time, in C order of the output. Bound by the bytes moved, but for the functions that take tens of instructions.
#pragma once

template <class Team>
__device__ void unary(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::unary;
    const View<6> x(words + fields::x, memory), y(words + fields::y, memory);
    const int operation = static_cast<int>(words[fields::operator_]);
    const float alpha = number(words + fields::alpha), beta = number(words + fields::beta);
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const Places<6, 2> at(index, y, x);
        y.data[at.offset[0]] = apply_unary(operation, alpha, beta, x.data[at.offset[1]]);
    }
}

template <class Team>
__device__ void binary(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::binary;
    const View<6> a(words + fields::a, memory), b(words + fields::b, memory), y(words + fields::y, memory);
    const int operation = static_cast<int>(words[fields::operator_]);
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const Places<6, 3> at(index, y, a, b);
        y.data[at.offset[0]] = apply_binary(operation, a.data[at.offset[1]], b.data[at.offset[2]]);
    }
}

template <class fields, class T, class Team>
__device__ void where_of(const word* words, const Memory& memory, const Team& team) {
    const View<6> condition(words + fields::condition, memory);
    const View<6, T> a(words + fields::a, memory), b(words + fields::b, memory), y(words + fields::y, memory);
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const Places<6, 4> at(index, y, condition, a, b);
        y.data[at.offset[0]] = condition.data[at.offset[1]] != 0.0f ? a.data[at.offset[2]] : b.data[at.offset[3]];
    }
}

template <class Team>
__device__ void where(const word* words, const Memory& memory, const Team& team) {
    where_of<operands::where, float>(words, memory, team);
}

template <class Team>
__device__ void where_wide(const word* words, const Memory& memory, const Team& team) {
    where_of<operands::where_wide, word>(words, memory, team);
}

// A step of a chain: a row of its program.
struct alignas(CHAIN_WORDS * sizeof(int)) ChainStep {
    int family, operation, target, a, b, c;
    float alpha, beta;
};

// The operands of a chain are read where they are used: it has too many tensors to keep all of their strides in
// registers. They are all of one shape. A step is read while the one before runs.
template <class Team>
__device__ void chain(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::chain;
    constexpr int RANK = 6, TENSOR_WORDS = 1 + 2 * RANK;
    static_assert(sizeof(ChainStep) == CHAIN_WORDS * sizeof(int), "as the schema has it");
    const View<2, const int> program(words + fields::program, memory);
    const ChainStep* steps = reinterpret_cast<const ChainStep*>(program.data);
    const View<RANK> first(words + fields::y0, memory);
    for (int index = team.rank, count = first.count(); index < count; index += team.size) {
        const Place<RANK> place(index, first.size);
        // Local memory, which the first cache holds: a register that is named by a number has no other place.
        float registers[CHAIN_INPUTS + CHAIN_TEMPORARIES + CHAIN_OUTPUTS];
        for (int input = 0; input < CHAIN_INPUTS; ++input) {
            const word* tensor = words + fields::x0 + input * TENSOR_WORDS;
            if (const float* x = pointer<const float>(tensor, memory))
                registers[input] = x[place.offset(tensor + 1 + RANK)];
        }
        ChainStep next = steps[0];
        for (int number = 1; number <= program.size[0]; ++number) {
            const ChainStep step = next;
            if (number < program.size[0]) next = steps[number];
            const float a = registers[step.a], b = registers[step.b];
            float y;
            if (step.family == 0) {
                y = apply_unary(step.operation, step.alpha, step.beta, a);
            } else if (step.family == 1) {
                y = apply_binary(step.operation, a, b);
            } else {
                y = a != 0.0f ? b : registers[step.c];
            }
            registers[step.target] = y;
        }
        for (int output = 0; output < CHAIN_OUTPUTS; ++output) {
            const word* tensor = words + fields::y0 + output * TENSOR_WORDS;
            if (float* y = pointer<float>(tensor, memory))
                y[place.offset(tensor + 1 + RANK)] = registers[CHAIN_INPUTS + CHAIN_TEMPORARIES + output];
        }
    }
}
