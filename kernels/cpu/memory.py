"""Addresses and typed pointers inside native kernels: what NumPy arrays are elsewhere."""

from __future__ import annotations

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from ..contract import OFFSET_MASK, SPACE_MASK, SPACE_SHIFT, TYPE_SHIFT, Context, Space

_WEIGHTS_STRIDE = int(Context.WEIGHTS_STRIDE)
_STATE = int(Space.STATE)
_SLOTS = int(Context.SLOTS)
_SHIFT = SPACE_SHIFT
_SPACES = SPACE_MASK
_MASK = OFFSET_MASK
_TYPES = TYPE_SHIFT


def _pointer_to(element: types.Type):
    pointer = types.CPointer(element)

    @intrinsic
    def cast(typingctx, address):
        def codegen(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return pointer(types.int64), codegen

    return cast


float_pointer = _pointer_to(types.float32)
"""Native: int64 address -> pointer to float32. `p[i]` counts elements and knows no bounds."""

double_pointer = _pointer_to(types.float64)
"""Native: int64 address -> pointer to float64."""

int32_pointer = _pointer_to(types.int32)
"""Native: int64 address -> pointer to int32."""

word_pointer = _pointer_to(types.int64)
"""Native: int64 address -> pointer to int64."""


@intrinsic
def bits_to_float(typingctx, word):
    """Native: the float64 whose bits a word holds (a Float operand)."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), codegen


@intrinsic
def double_bits(typingctx, value):
    """Native: the word that holds the bits of a float64."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), codegen


@intrinsic
def float_bits(typingctx, value):
    """Native: the int32 that holds the bits of a float32."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), codegen


@intrinsic
def float_from_bits(typingctx, bits):
    """Native: the float32 whose bits an int32 holds."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), codegen


@intrinsic
def call_kernel(typingctx, function, operands, context):
    """Native: call the kernel at address `function` with the addresses of its operands and of the context."""

    def codegen(ctx, builder, signature, arguments):
        word = ir.IntType(64).as_pointer()
        function_type = ir.FunctionType(ir.VoidType(), [word, word])
        target = builder.inttoptr(arguments[0], function_type.as_pointer())
        builder.call(target, [builder.inttoptr(arguments[1], word), builder.inttoptr(arguments[2], word)])
        return ctx.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def stack_words(typingctx, count):
    """Native: int64[count] on the stack (count a literal); lives as long as the calling kernel."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    size = count.literal_value

    def codegen(context, builder, signature, arguments):
        return cgutils.alloca_once(builder, ir.IntType(64), size=size)

    return types.CPointer(types.int64)(count), codegen


@njit(inline="always")
def space_of(operands, position):
    """Native: the memory space (a number of `contract.Space`) of the tensor operand at word `position`."""
    return (operands[position] >> _SHIFT) & _SPACES


@njit(inline="always")
def element_type(operands, position):
    """Native: the element type (a number of `contract.ElementType`) of a tensor operand."""
    return operands[position] >> _TYPES


@njit(inline="always")
def locate(operands, position, context, lane):
    """Native: byte address, for one lane, of the tensor operand whose first word is at `position`."""
    space = space_of(operands, position)
    index = lane
    if space == _STATE:
        index = word_pointer(context[_SLOTS])[lane]
    return context[space] + context[_WEIGHTS_STRIDE + space] * index + (operands[position] & _MASK)


@njit(inline="always")
def locate_constant(operands, position, context):
    """Native: byte address of a tensor operand that all lanes share, such as weights; 0 where it was left out."""
    return locate(operands, position, context, 0) if operands[position] >= 0 else 0
