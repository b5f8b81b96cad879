// quantize and dequantize: between real numbers and the integers that stand for them. A thread takes one element at a
// time, in C order of the output. Bound by the bytes moved. Divisions are true ones, never products with a reciprocal:
// at a tie the last bit decides. Source: ONNX QuantizeLinear and DequantizeLinear.
#pragma once

template <class Team>
__device__ void quantize(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::quantize;
    const View<6> x(words + fields::x, memory), y(words + fields::y, memory);
    const View<6> scale(words + fields::scale, memory), zero_point(words + fields::zero_point, memory);
    const float low = number(words + fields::low), high = number(words + fields::high);
    const bool restored = words[fields::restored] != 0;
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const Places<6, 4> at(index, y, x, scale, zero_point);
        const float step = scale.data[at.offset[2]], zero = zero_point.data[at.offset[3]];
        // NaN becomes `low`.
        const float whole = fminf(fmaxf(rintf(x.data[at.offset[1]] / step) + zero, low), high);
        y.data[at.offset[0]] = restored ? (whole - zero) * step : whole;
    }
}

template <class Team>
__device__ void dequantize(const word* words, const Memory& memory, const Team& team) {
    using fields = operands::dequantize;
    const View<6> x(words + fields::x, memory), y(words + fields::y, memory);
    const View<6> scale(words + fields::scale, memory), zero_point(words + fields::zero_point, memory);
    for (int index = team.rank, count = y.count(); index < count; index += team.size) {
        const Places<6, 4> at(index, y, x, scale, zero_point);
        y.data[at.offset[0]] = (x.data[at.offset[1]] - zero_point.data[at.offset[3]]) * scale.data[at.offset[2]];
    }
}
