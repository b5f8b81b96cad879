"""Loop nests and element access shared by the element-wise and data-moving kernels.

A row is the innermost loop of a kernel. `over_rows` walks the lanes and the outer axes of LOOP_RANK tensors and hands
each row to a function; `read` and `write` tell LLVM that a row's output is no other row's input, so that it
vectorises without run-time overlap checks (which would send every in-place call down the scalar path). What one loop
writes and a later one reads again must be read with a plain `pointer[i]`.
"""

from __future__ import annotations

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from ..contract import LOOP_RANK, Context
from .memory import float_pointer, locate

_LANES = int(Context.LANES)
_R = LOOP_RANK
_SHORT_ROW = 8
_FLOATS = types.CPointer(types.float32)

BLOCK = 64
"""Elements that are gathered on the stack when a row is strided."""


def _mark(module: ir.Module, instruction: ir.Instruction, own: str, other: str) -> None:
    """Put a memory access into alias scope `own` and promise that nothing in scope `other` overlaps it."""
    domain = module.add_metadata(["wavetile rows"])
    for kind, scope in (("alias.scope", own), ("noalias", other)):
        instruction.set_metadata(kind, module.add_metadata([module.add_metadata([f"wavetile {scope}", domain])]))


@intrinsic
def read(typingctx, pointer, index):
    """Native: pointer[index] of a float32 input of which nothing is written but, at most, this element by `write`."""

    def codegen(context, builder, signature, arguments):
        loaded = builder.load(builder.gep(arguments[0], [arguments[1]]))
        _mark(builder.module, loaded, "input", "output")
        return loaded

    return types.float32(_FLOATS, types.int64), codegen


@intrinsic
def write(typingctx, pointer, index, value):
    """Native: pointer[index] = value, where each element's value follows from inputs of the same index."""

    def codegen(context, builder, signature, arguments):
        stored = builder.store(arguments[2], builder.gep(arguments[0], [arguments[1]]))
        _mark(builder.module, stored, "output", "input")
        return context.get_dummy_value()

    return types.void(_FLOATS, types.int64, types.float32), codegen


@intrinsic
def shift(typingctx, pointer, elements):
    """Native: the float32 pointer `elements` further on."""

    def codegen(context, builder, signature, arguments):
        return builder.gep(arguments[0], [arguments[1]])

    return _FLOATS(_FLOATS, types.int64), codegen


def _stack(element: types.Type):
    @intrinsic
    def allocate(typingctx, count):
        if not isinstance(count, types.IntegerLiteral):
            return None
        size = count.literal_value

        def codegen(context, builder, signature, arguments):
            value_type = context.get_value_type(element)
            with builder.goto_entry_block():  # Numba's own allocation would set it to 0 at each call
                memory = builder.alloca(ir.ArrayType(value_type, size))
            memory.align = 64
            return builder.bitcast(memory, value_type.as_pointer())

        return types.CPointer(element)(count), codegen

    return allocate


stack_floats = _stack(types.float32)
"""Native: float32[count] on the stack (count a literal); lives as long as the calling function."""

stack_doubles = _stack(types.float64)
"""Native: float64[count] on the stack (count a literal); lives as long as the calling function."""


@njit(inline="always")
def pack(source, stride, target, count):
    """target[i] = source[i * stride], in plain accesses: the target is read again at once."""
    if stride == 1:
        for i in range(count):
            target[i] = source[i]
    elif stride == 0:
        value = source[0]
        for i in range(count):
            target[i] = value
    else:
        for i in range(count):
            target[i] = source[i * stride]


@njit(inline="always")
def unpack(source, target, stride, count):
    """target[i * stride] = source[i], in plain accesses: the source has just been written."""
    if stride == 1:
        for i in range(count):
            target[i] = source[i]
    else:
        for i in range(count):
            target[i * stride] = source[i]


@njit(inline="always")
def over_rows(row, operator, alpha, beta, operands, context, a_at, b_at, c_at, y_at):
    """Call `row` for every lane and row of LOOP_RANK tensors of one shape.

    Args:
        row: native function (operator, alpha, beta, a, a_stride, b, b_stride, c, c_stride, y, y_stride, count).
        operator, alpha, beta: handed on.
        a_at, b_at, c_at: first words of the inputs; a kernel with fewer than three names one twice, at no cost.
        y_at: first word of the output, whose sizes rule.
    """
    # Short rows cost more to enter than to run: then the next axis is the row. The order of elements never matters.
    inner, last_outer = _R, _R - 1
    if operands[y_at + _R] < _SHORT_ROW and operands[y_at + _R - 1] > operands[y_at + _R]:
        inner, last_outer = _R - 1, _R
    count = operands[y_at + inner]
    a, b = operands[a_at + inner + _R], operands[b_at + inner + _R]
    c, y = operands[c_at + inner + _R], operands[y_at + inner + _R]
    n0, n1, n2, n3 = operands[y_at + 1], operands[y_at + 2], operands[y_at + 3], operands[y_at + 4]
    n4 = operands[y_at + last_outer]
    if count == 0:
        return
    for lane in range(context[_LANES]):
        a_base = locate(operands, a_at, context, lane)
        b_base = locate(operands, b_at, context, lane)
        c_base = locate(operands, c_at, context, lane)
        y_base = locate(operands, y_at, context, lane)
        for i0 in range(n0):
            for i1 in range(n1):
                for i2 in range(n2):
                    for i3 in range(n3):
                        for i4 in range(n4):
                            row(
                                operator,
                                alpha,
                                beta,
                                float_pointer(a_base + 4 * _offset(operands, a_at, last_outer, i0, i1, i2, i3, i4)),
                                a,
                                float_pointer(b_base + 4 * _offset(operands, b_at, last_outer, i0, i1, i2, i3, i4)),
                                b,
                                float_pointer(c_base + 4 * _offset(operands, c_at, last_outer, i0, i1, i2, i3, i4)),
                                c,
                                float_pointer(y_base + 4 * _offset(operands, y_at, last_outer, i0, i1, i2, i3, i4)),
                                y,
                                count,
                            )


@njit(inline="always")
def _offset(operands, position, last_outer, i0, i1, i2, i3, i4):
    """Elements from a LOOP_RANK tensor's start to a row of it."""
    return (
        i0 * operands[position + _R + 1]
        + i1 * operands[position + _R + 2]
        + i2 * operands[position + _R + 3]
        + i3 * operands[position + _R + 4]
        + i4 * operands[position + _R + last_outer]
    )
