// Interpolation along one axis by any number of neighbours: a thread takes one number of the output. Bound by the reads
// of x, which neighbours share through the first cache. Source: ONNX Resize, along one of its axes.
#pragma once

template <class Team>
__device__ void interpolate(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::interpolate;
    const View<3> x(words + fields::x, memory), y(words + fields::y, memory);
    const View<2, const int> positions(words + fields::positions, memory);
    const float* weights = pointer<const float>(words + fields::weights, memory);
    const int taps = positions.size[1];
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const int inner = index % y.size[2], place = index / y.size[2] % y.size[1];
        const int outer = index / (y.size[2] * y.size[1]);
        float sum = 0.0f;
        for (int tap = place * taps; tap < (place + 1) * taps; ++tap)
            sum += weights[tap] * x(outer, positions.data[tap], inner);
        y(outer, place, inner) = sum;
    }
}
