"""Vector code of the Fourier transforms: butterflies on PANEL neighbours at once, and the steps around them.

Complex numbers lie in two planes, real and imaginary, at a fixed distance. Everything is emitted as LLVM vectors of
PANEL float32, or of one where a stage is too short for more, without flags that let LLVM reorder or fuse. All arguments
are int64; addresses and distances count bytes.
"""

from __future__ import annotations

from math import cos, pi, sin
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..contract import PANEL

_FLOAT = ir.FloatType()
_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)
_VECTOR_BYTES = 4 * PANEL

Complex = tuple[ir.Value, ir.Value]


class _Emitter:
    """Float vectors with operators for one place in the code."""

    def __init__(self, builder: ir.IRBuilder, width: int = PANEL) -> None:
        self.builder = builder
        self.width = width
        self.vector = ir.VectorType(_FLOAT, width)

    def number(self, value: float) -> ir.Constant:
        return ir.Constant(self.vector, [ir.Constant(_FLOAT, value)] * self.width)

    def add(self, a: Any, b: Any) -> Any:
        return self.builder.fadd(a, b)

    def subtract(self, a: Any, b: Any) -> Any:
        return self.builder.fsub(a, b)

    def multiply(self, a: Any, b: Any) -> Any:
        return self.builder.fmul(a, b)

    def plus(self, a: Complex, b: Complex) -> Complex:
        return self.add(a[0], b[0]), self.add(a[1], b[1])

    def minus(self, a: Complex, b: Complex) -> Complex:
        return self.subtract(a[0], b[0]), self.subtract(a[1], b[1])

    def scaled(self, a: Complex, factor: float) -> Complex:
        return self.multiply(a[0], self.number(factor)), self.multiply(a[1], self.number(factor))

    def minus_i(self, a: Complex, b: Complex) -> Complex:
        """a - i b."""
        return self.add(a[0], b[1]), self.subtract(a[1], b[0])

    def plus_i(self, a: Complex, b: Complex) -> Complex:
        """a + i b."""
        return self.subtract(a[0], b[1]), self.add(a[1], b[0])

    def times(self, a: Complex, b: Complex) -> Complex:
        real = self.subtract(self.multiply(a[0], b[0]), self.multiply(a[1], b[1]))
        return real, self.add(self.multiply(a[0], b[1]), self.multiply(a[1], b[0]))

    def address(self, base, count: int, distance):
        """base + count * distance."""
        if isinstance(distance, int):
            distance = ir.Constant(_INT64, distance)
        return self.builder.add(base, self.builder.mul(ir.Constant(_INT64, count), distance)) if count else base

    def load(self, address, index: int = 0):
        address = self.address(address, index, _VECTOR_BYTES)
        return self.builder.load(self.builder.inttoptr(address, self.vector.as_pointer()), align=4)

    def store(self, value, address, index: int = 0) -> None:
        address = self.address(address, index, _VECTOR_BYTES)
        self.builder.store(value, self.builder.inttoptr(address, self.vector.as_pointer()), align=4)

    def load_repeated(self, address):
        value = self.builder.load(self.builder.inttoptr(address, _FLOAT.as_pointer()))
        undefined = ir.Constant(self.vector, ir.Undefined)
        single = self.builder.insert_element(undefined, value, ir.Constant(_INT32, 0))
        return self.shuffle(single, undefined, [0] * self.width)

    def shuffle(self, a, b, order: list[int]):
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INT32, len(order)), order))

    def reverse(self, a):
        return self.shuffle(a, a, list(range(PANEL))[::-1])

    def load_pairs(self, address) -> Complex:
        """PANEL complex numbers that lie as (real, imaginary) pairs."""
        low, high = self.load(address), self.load(address, 1)
        evens = [2 * i for i in range(PANEL)]
        return self.shuffle(low, high, evens), self.shuffle(low, high, [i + 1 for i in evens])

    def store_pairs(self, value: Complex, address) -> None:
        for index in range(2):
            order = [index * PANEL // 2 + i // 2 + PANEL * (i % 2) for i in range(PANEL)]
            self.store(self.shuffle(*value, order), address, index)


def _butterfly(emit: _Emitter, a: list[Complex]) -> list[Complex]:
    """The transform of length 2, 3, 4 or 5, lane by lane."""
    if len(a) == 2:
        return [emit.plus(a[0], a[1]), emit.minus(a[0], a[1])]
    if len(a) == 4:
        even, odd = _butterfly(emit, [a[0], a[2]]), _butterfly(emit, [a[1], a[3]])
        return [
            emit.plus(even[0], odd[0]),
            emit.minus_i(even[1], odd[1]),
            emit.minus(even[0], odd[0]),
            emit.plus_i(even[1], odd[1]),
        ]
    # An odd length: pair what lies mirrored; sums go with cosines, differences with sines.
    half = range(1, len(a) // 2 + 1)
    sums = {j: emit.plus(a[j], a[-j]) for j in half}
    differences = {j: emit.minus(a[j], a[-j]) for j in half}
    first = a[0]
    for j in half:
        first = emit.plus(first, sums[j])
    result = [first] * len(a)
    for k in half:
        angles = {j: 2 * pi * j * k / len(a) for j in half}
        even, odd = a[0], emit.scaled(differences[1], sin(angles[1]))
        for j in half:
            even = emit.plus(even, emit.scaled(sums[j], cos(angles[j])))
        for j in half[1:]:
            odd = emit.plus(odd, emit.scaled(differences[j], sin(angles[j])))
        result[k], result[-k] = emit.minus_i(even, odd), emit.plus_i(even, odd)
    return result


def _interleaved(emit: _Emitter, values: list[ir.Value], chunk: int) -> list[ir.Value]:
    """Lanes in chunks: first chunk of each value, then second chunk of each, and so on."""
    radix = len(values)
    result = []
    for index in range(radix):
        places = [divmod(PANEL * index + lane, radix * chunk) for lane in range(PANEL)]
        origin = [(rest // chunk, group * chunk + rest % chunk) for group, rest in places]
        merged = values[0]
        for j in range(radix):
            order = [PANEL + place if source == j else lane for lane, (source, place) in enumerate(origin)]
            merged = emit.shuffle(merged, values[j], order)
        result.append(merged)
    return result


def stage_block(radix: int, chunk: int, width: int = PANEL):
    """An intrinsic: one stage of Stockham's algorithm for `width` neighbours i = s p + q (s the span, p the group).

    chunk 0: the span is at least `width` and all neighbours are of one group; output j goes to `target` + j `spread`,
    and twiddle factors are scalars. Else the width is PANEL and the span is `chunk`, a divisor of it; outputs go
    interleaved to `target`, radix * PANEL floats in a row, and twiddle factors are vectors.

    Args of the intrinsic: source; source_step (from input j to j + 1); target; spread; plane (real to imaginary);
    twiddles; twiddle_step (from one [c] of `fft_tables` to the next).
    """

    @intrinsic
    def block(typingctx, source, source_step, target, spread, plane, twiddles, twiddle_step):
        def codegen(context, builder, signature, arguments):
            source, source_step, target, spread, plane, twiddles, twiddle_step = arguments
            emit = _Emitter(builder, width)
            inputs = []
            for j in range(radix):
                real = emit.address(source, j, source_step)
                inputs.append((emit.load(real), emit.load(builder.add(real, plane))))
            outputs = _butterfly(emit, inputs)
            load = emit.load if chunk else emit.load_repeated
            for j in range(1, radix):
                factor = [load(emit.address(twiddles, 2 * j - 2 + part, twiddle_step)) for part in range(2)]
                outputs[j] = emit.times(outputs[j], (factor[0], factor[1]))
            for part in range(2):
                start = builder.add(target, plane) if part else target
                values = [output[part] for output in outputs]
                for j, value in enumerate(_interleaved(emit, values, chunk) if chunk else values):
                    emit.store(value, emit.address(start, j, _VECTOR_BYTES if chunk else spread))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), codegen

    return block


@intrinsic
def split_pairs(typingctx, source, real, imaginary):
    """Native: PANEL pairs to two planes."""

    def codegen(context, builder, signature, arguments):
        emit = _Emitter(builder)
        values = emit.load_pairs(arguments[0])
        emit.store(values[0], arguments[1])
        emit.store(values[1], arguments[2])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), codegen


@intrinsic
def join_pairs(typingctx, real, imaginary, target):
    """Native: PANEL numbers of two planes to pairs."""

    def codegen(context, builder, signature, arguments):
        emit = _Emitter(builder)
        emit.store_pairs((emit.load(arguments[0]), emit.load(arguments[1])), arguments[2])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), codegen


def _mirrored(emit: _Emitter, ahead: Complex, behind: Complex) -> tuple[Complex, Complex]:
    """Sum and difference of bins k and of the conjugates of the bins N - k, which lie in falling order."""
    real, imaginary = emit.reverse(behind[0]), emit.reverse(behind[1])
    total = emit.add(ahead[0], real), emit.subtract(ahead[1], imaginary)
    return total, (emit.subtract(ahead[0], real), emit.add(ahead[1], imaginary))


@intrinsic
def real_bins(typingctx, ahead, behind, plane, cosines, sines, target):
    """Native: PANEL bins of the real transform, as pairs, from the complex one of half the length.

    X[k] = (Z[k] + Z*[N - k]) / 2 - i w^k (Z[k] - Z*[N - k]) / 2. Args: Z at the first k, Z at the last N - k,
    distance of the planes, cos and sin at the first k, target.
    """

    def codegen(context, builder, signature, arguments):
        ahead, behind, plane, cosines, sines, target = arguments
        emit = _Emitter(builder)
        total, difference = _mirrored(
            emit,
            (emit.load(ahead), emit.load(builder.add(ahead, plane))),
            (emit.load(behind), emit.load(builder.add(behind, plane))),
        )
        turned = emit.times(difference, (emit.load(sines), emit.load(cosines)))
        # -i (c - i s) d = -(s + i c) d
        emit.store_pairs(emit.scaled(emit.minus(total, turned), 0.5), target)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), codegen


@intrinsic
def half_length_bins(typingctx, ahead, behind, cosines, sines, scale, real, imaginary):
    """Native: PANEL bins of the complex transform of half the length from those of the real one: scale * 2 Z[k].

    2 Z[k] = (X[k] + X*[N - k]) + i w^-k (X[k] - X*[N - k]). Args: pairs X at the first k and at the last N - k,
    cos and sin at the first k, address of the scale, the two target planes.
    """

    def codegen(context, builder, signature, arguments):
        ahead, behind, cosines, sines, scale, real, imaginary = arguments
        emit = _Emitter(builder)
        total, difference = _mirrored(emit, emit.load_pairs(ahead), emit.load_pairs(behind))
        # i (c + i s) d = -(s - i c) d
        turned = emit.times(difference, (emit.load(sines), builder.fneg(emit.load(cosines))))
        value, factor = emit.minus(total, turned), emit.load_repeated(scale)
        emit.store(emit.multiply(value[0], factor), real)
        emit.store(emit.multiply(value[1], factor), imaginary)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), codegen
