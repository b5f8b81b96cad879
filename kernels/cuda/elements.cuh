// Kernels that move or compare elements of any carrier take them as they are.
#pragma once

// What the elements of a tensor are, of ElementType.
__device__ inline int element_of(const word* words) { return static_cast<int>(words[0] >> TYPE_SHIFT); }

// Runs `Work::of<T>`, T being the type of the elements of the tensor at `operand`. A class, since NVRTC takes lambdas
// with `auto` for functions of the host.
template <class Work, class Team>
__device__ void by_element(int operand, const word* words, const Memory& memory, const Team& team) {
    switch (element_of(words + operand)) {
        case ElementType::FLOAT32: Work::template of<float>(words, memory, team); break;
        case ElementType::FLOAT64: Work::template of<double>(words, memory, team); break;
        default: Work::template of<word>(words, memory, team);
    }
}
