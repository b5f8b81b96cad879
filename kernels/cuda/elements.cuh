// Kernels that move or compare elements of any carrier take them as they are.
#pragma once

// Calls `work` with a number of the type of a tensor's elements.
template <class Work>
__device__ void by_element(const word* words, const Work& work) {
    switch (static_cast<int>(words[0] >> TYPE_SHIFT)) {
        case ElementType::FLOAT32: work(float()); break;
        case ElementType::FLOAT64: work(double()); break;
        default: work(word());
    }
}
