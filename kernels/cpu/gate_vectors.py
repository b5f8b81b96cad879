"""Vector code of the recurrent kernels: products of rows with packed gate weights, and the mathematics of one cell.

Everything is emitted as LLVM vectors of PANEL float32, which become one register with AVX-512 and several elsewhere.
Multiply-adds are `llvm.fmuladd`, and other operations carry the flag `contract` alone: nothing is reordered, so one
element of a result has the same bits however many rows and panels are computed beside it.
"""

from __future__ import annotations

import struct

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..contract import PANEL
from .half import emit_load_half

VECTOR_BYTES = 4 * PANEL

_FLAGS = ("contract",)
_FLOAT = ir.FloatType()
_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, PANEL)


def _number(kind: ir.VectorType, value: float) -> ir.Constant:
    """A vector constant, every lane the float32 nearest to `value`."""
    rounded = struct.unpack("<f", struct.pack("<f", value))[0]
    return ir.Constant(kind, [ir.Constant(_FLOAT, rounded)] * kind.count)


def _call(builder: ir.IRBuilder, name: str, *arguments):
    kind = arguments[0].type
    function_type = ir.FunctionType(kind, [kind] * len(arguments))
    function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.{name}.v{kind.count}f32")
    return builder.call(function, arguments)


def _multiply_add(builder, a, b, c):
    return _call(builder, "fmuladd", a, b, c)


def _at(builder, address, offset_bytes: int = 0, kind: ir.Type = _VECTOR):
    if offset_bytes:
        address = builder.add(address, ir.Constant(_INT64, offset_bytes))
    return builder.inttoptr(address, kind.as_pointer())


def _load(builder, address, index: int = 0):
    return builder.load(_at(builder, address, index * VECTOR_BYTES), align=4)


def _store(builder, value, address, index: int = 0):
    builder.store(value, _at(builder, address, index * VECTOR_BYTES), align=4)


def _repeat(builder, value):
    """A vector whose lanes are all the same float."""
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    single = builder.insert_element(undefined, value, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(single, undefined, ir.Constant(ir.VectorType(_INT32, PANEL), None))


def _load_weights(builder, address, index: int, half: bool):
    if not half:
        return _load(builder, address, index)
    return emit_load_half(builder, _at(builder, address, index * VECTOR_BYTES // 2))


def panel_products(rows: int, gates: int, panels: int, half: bool = False):
    """An intrinsic that computes `rows` rows of `panels` hidden panels: target = bias + x @ weights.

    Additions run over the inner axis in order, starting from the bias. The accumulators of all rows, panels and gates
    stay in registers, so that each weight is read once for all the rows. `half`: the weights are float16.

    Args of the intrinsic (int64; addresses and strides in bytes):
        target: [rows, panels, gates, PANEL], and its strides from row to row and from panel to panel.
        bias: [panels, gates, PANEL], and its stride from panel to panel.
        x: [rows, inner], and its strides from row to row and along the inner axis.
        weights: [panels, inner, gates, PANEL], and its stride from panel to panel.
        inner: the number of products to add.
    """
    vector_bytes = VECTOR_BYTES // 2 if half else VECTOR_BYTES

    @intrinsic
    def multiply(
        typingctx, target, target_row, target_panel, bias, bias_panel, x, x_row, x_step, weights, weights_panel, inner
    ):
        def codegen(context, builder, signature, arguments):
            target, target_row, target_panel, bias, bias_panel, x, x_row, x_step, weights, weights_panel, inner = (
                arguments
            )

            def moved(address, count, stride):
                return builder.add(address, builder.mul(ir.Constant(_INT64, count), stride)) if count else address

            columns = [(panel, gate) for panel in range(panels) for gate in range(gates)]
            sums = {}
            for panel, gate in columns:
                start = _load(builder, moved(bias, panel, bias_panel), gate)
                for row in range(rows):
                    sums[row, panel, gate] = cgutils.alloca_once_value(builder, start)
            with cgutils.for_range(builder, inner) as loop:
                source = builder.add(x, builder.mul(loop.index, x_step))
                panel_row = builder.mul(loop.index, ir.Constant(_INT64, gates * vector_bytes))
                panel_row = builder.add(weights, panel_row)
                factors = {
                    (panel, gate): _load_weights(builder, moved(panel_row, panel, weights_panel), gate, half)
                    for panel, gate in columns
                }
                for row in range(rows):
                    value = _repeat(builder, builder.load(_at(builder, moved(source, row, x_row), kind=_FLOAT)))
                    for column in columns:
                        total = sums[(row, *column)]
                        builder.store(_multiply_add(builder, value, factors[column], builder.load(total)), total)
            for (row, panel, gate), total in sums.items():
                address = moved(moved(target, row, target_row), panel, target_panel)
                _store(builder, builder.load(total), address, gate)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 11), codegen

    return multiply


_LOG2_E = 1.4426950408889634
# Adding 1.5 * 2**23 leaves the nearest whole number in the low bits of the sum.
_ROUNDER = 12582912.0
# (2**f - 1) / f on [-1/2, 1/2], by an iterated least-squares fit: off by 8e-9 at most.
_EXP2_M1 = (6.93147188e-1, 2.40226511e-1, 5.55035711e-2, 9.61803077e-3, 1.33908669e-3, 1.54697346e-4)


def _exp2_parts(builder, x, factor: float):
    """2**(x * factor) as scale + q * part, where scale is a power of two: returns (q, part, scale).

    Callers add a constant to scale before the rest, which keeps exp(x) - 1 exact near 0 and the chain short.
    """
    kind, integers = x.type, ir.VectorType(_INT32, x.type.count)
    times, rounder = _number(kind, factor), _number(kind, _ROUNDER)
    shifted = _multiply_add(builder, x, times, rounder)
    f = _multiply_add(builder, x, times, builder.fsub(rounder, shifted, flags=_FLAGS))
    bits = builder.shl(builder.bitcast(shifted, integers), ir.Constant(integers, [23] * kind.count))
    scale = builder.bitcast(builder.add(bits, ir.Constant(integers, [127 << 23] * kind.count)), kind)
    c = [_number(kind, coefficient) for coefficient in _EXP2_M1]
    pairs = [_multiply_add(builder, c[i + 1], f, c[i]) for i in range(0, len(c), 2)]
    square = builder.fmul(f, f, flags=_FLAGS)
    q = _multiply_add(builder, _multiply_add(builder, pairs[2], square, pairs[1]), square, pairs[0])
    return q, builder.fmul(f, scale, flags=_FLAGS), scale


def _at_most(builder, value, highest: float):
    """The smaller one; NaN stays NaN."""
    bound = _number(value.type, highest)
    return builder.select(builder.fcmp_ordered(">", value, bound, flags=_FLAGS), bound, value)


def _at_least(builder, value, lowest: float):
    """The larger one; NaN stays NaN."""
    bound = _number(value.type, lowest)
    return builder.select(builder.fcmp_ordered("<", value, bound, flags=_FLAGS), bound, value)


def _plus(builder, value, number: float):
    return builder.fadd(value, _number(value.type, number), flags=_FLAGS)


def emit_sigmoid(builder, x):
    """1 / (1 + exp(-x)); below x = -87 it stays at the value there, 1.6e-38."""
    q, part, scale = _exp2_parts(builder, _at_least(builder, _at_most(builder, x, 87.0), -87.0), -_LOG2_E)
    below = _multiply_add(builder, q, part, _plus(builder, scale, 1.0))
    return builder.fdiv(_number(x.type, 1.0), below, flags=_FLAGS)


def _tanh(builder, x):
    """-m / (m + 2) with m = exp(-2 |x|) - 1, formed without cancellation, and the sign of x."""
    limited = _at_most(builder, _call(builder, "fabs", x), 20.0)
    q, part, scale = _exp2_parts(builder, limited, -2 * _LOG2_E)
    m = _multiply_add(builder, q, part, _plus(builder, scale, -1.0))
    below = _multiply_add(builder, q, part, _plus(builder, scale, 1.0))
    return _call(builder, "copysign", builder.fdiv(m, below, flags=_FLAGS), x)


class _Cells:
    """Loads and stores of one panel, or of two at once, whose operations then fill each other's waits.

    Gates of the second panel lie `gate_distance` behind those of the first, its states `state_distance`.
    """

    def __init__(self, builder: ir.IRBuilder, panels: int, gate_distance, state_distance) -> None:
        self.builder, self.panels = builder, panels
        self.gate_distance, self.state_distance = gate_distance, state_distance

    def _load(self, address, distance, index: int = 0):
        first = _load(self.builder, address, index)
        if self.panels == 1:
            return first
        second = _load(self.builder, self.builder.add(address, distance), index)
        both = ir.Constant(ir.VectorType(_INT32, 2 * PANEL), list(range(2 * PANEL)))
        return self.builder.shuffle_vector(first, second, both)

    def gate(self, address, gate: int):
        return self._load(address, self.gate_distance, gate)

    def added(self, left, right, gate: int):
        """One gate of the input part plus the same gate of the hidden part."""
        return self.builder.fadd(self.gate(left, gate), self.gate(right, gate), flags=_FLAGS)

    def state(self, address):
        return self._load(address, self.state_distance)

    def _store(self, value, address, distance) -> None:
        for panel in range(self.panels):
            lanes = ir.Constant(ir.VectorType(_INT32, PANEL), list(range(panel * PANEL, (panel + 1) * PANEL)))
            part = self.builder.shuffle_vector(value, value, lanes)
            _store(self.builder, part, self.builder.add(address, distance) if panel else address)

    def store_state(self, value, address) -> None:
        self._store(value, address, self.state_distance)

    def store_first_gate(self, value, address) -> None:
        self._store(value, address, self.gate_distance)


def lstm_cell(panels: int):
    """An intrinsic: c = f * c + i * g, h = o * tanh(c) for one or two panels, in place.

    Args of the intrinsic (addresses, bytes): both parts of the gates [i, o, f, c][PANEL], cell [PANEL],
    hidden [PANEL]; gate_distance and state_distance.
    """

    @intrinsic
    def cell_of(typingctx, from_input, from_hidden, cell, hidden, gate_distance, state_distance):
        def codegen(context, builder, signature, arguments):
            from_input, from_hidden, cell, hidden, *distances = arguments
            cells = _Cells(builder, panels, *distances)
            i, o, f = (emit_sigmoid(builder, cells.added(from_input, from_hidden, gate)) for gate in range(3))
            candidate = _tanh(builder, cells.added(from_input, from_hidden, 3))
            kept = builder.fmul(f, cells.state(cell), flags=_FLAGS)
            c = _multiply_add(builder, i, candidate, kept)
            cells.store_state(c, cell)
            cells.store_state(builder.fmul(o, _tanh(builder, c), flags=_FLAGS), hidden)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), codegen

    return cell_of


def emit_candidate(builder, x, rectified):
    """relu(x) where the int64 `rectified` is not 0, else tanh(x); NaN stays NaN."""
    choose = builder.icmp_signed("!=", rectified, ir.Constant(_INT64, 0))
    return builder.select(choose, _at_least(builder, x, 0.0), _tanh(builder, x))


def _blend(cells: _Cells, z, candidate, hidden) -> None:
    """h = (1 - z) * candidate + z * h, in place."""
    difference = cells.builder.fsub(cells.state(hidden), candidate, flags=_FLAGS)
    cells.store_state(_multiply_add(cells.builder, z, difference, candidate), hidden)


def gru_cell(panels: int):
    """An intrinsic: the cell with linear_before_reset for one or two panels, n = g(input part + r * hidden part).

    Args of the intrinsic: both parts of the gates [z, r, h][PANEL], hidden [PANEL] (in place), whether g is Relu
    rather than tanh, and the distances.
    """

    @intrinsic
    def cell_of(typingctx, from_input, from_hidden, hidden, rectified, gate_distance, state_distance):
        def codegen(context, builder, signature, arguments):
            from_input, from_hidden, hidden, rectified, *distances = arguments
            cells = _Cells(builder, panels, *distances)
            r = emit_sigmoid(builder, cells.added(from_input, from_hidden, 1))
            z = emit_sigmoid(builder, cells.added(from_input, from_hidden, 0))
            total = _multiply_add(builder, r, cells.gate(from_hidden, 2), cells.gate(from_input, 2))
            _blend(cells, z, emit_candidate(builder, total, rectified), hidden)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), codegen

    return cell_of


@intrinsic
def gru_reset(typingctx, from_input, from_hidden, hidden, reset_hidden):
    """Native: the first half of the cell without linear_before_reset: r * h to `reset_hidden`, z over `from_input`."""

    def codegen(context, builder, signature, arguments):
        from_input, from_hidden, hidden, reset_hidden = arguments
        cells = _Cells(builder, 1, None, None)
        z = emit_sigmoid(builder, cells.added(from_input, from_hidden, 0))
        r = emit_sigmoid(builder, cells.added(from_input, from_hidden, 1))
        cells.store_state(builder.fmul(r, cells.state(hidden), flags=_FLAGS), reset_hidden)
        cells.store_first_gate(z, from_input)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), codegen


@intrinsic
def gru_candidate(typingctx, from_input, from_reset, hidden, rectified):
    """Native: the second half: n = g(input part + product with r * h), z as `gru_reset` left it; h in place."""

    def codegen(context, builder, signature, arguments):
        from_input, from_reset, hidden, rectified = arguments
        cells = _Cells(builder, 1, None, None)
        candidate = emit_candidate(builder, cells.added(from_input, from_reset, 2), rectified)
        _blend(cells, cells.gate(from_input, 0), candidate, hidden)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), codegen


@intrinsic
def copy_floats(typingctx, target, source, count):
    """Native: copy `count` contiguous floats between memories that do not overlap, in pieces of 16, 8, 4, 2 and 1."""

    def codegen(context, builder, signature, arguments):
        target, source, count = arguments
        whole = builder.lshr(count, ir.Constant(_INT64, 4))
        with cgutils.for_range(builder, whole) as loop:
            offset = builder.mul(loop.index, ir.Constant(_INT64, VECTOR_BYTES))
            _store(builder, _load(builder, builder.add(source, offset)), builder.add(target, offset))
        done = builder.mul(whole, ir.Constant(_INT64, VECTOR_BYTES))
        for piece in (8, 4, 2, 1):
            kind = ir.VectorType(_FLOAT, piece)
            present = builder.and_(count, ir.Constant(_INT64, piece))
            with builder.if_then(builder.icmp_unsigned("!=", present, ir.Constant(_INT64, 0))):
                value = builder.load(_at(builder, builder.add(source, done), kind=kind), align=4)
                builder.store(value, _at(builder, builder.add(target, done), kind=kind), align=4)
            done = builder.add(done, builder.mul(present, ir.Constant(_INT64, 4)))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), codegen


@intrinsic
def zero_vector(typingctx, target):
    """Native: PANEL zeros."""

    def codegen(context, builder, signature, arguments):
        _store(builder, _number(_VECTOR, 0.0), arguments[0])
        return context.get_dummy_value()

    return types.void(types.int64), codegen
