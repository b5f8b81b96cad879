"""Native `chain`: several operators of `elementwise` over one shape as one call, whose values stay in the cache.

    x0, x1 ...   inputs of any strides; zero strides broadcast
    y0, y1       outputs of any strides

A block is up to BLOCK elements: some whole rows of the two innermost axes, or a part of one row. Inputs that lie
contiguous over a block are read where they are, the others are packed on the stack first; each step then runs one loop
over the block, the same that the unary, binary and where kernels run, so the bits are theirs. What a step hands to the
next stays in the first-level cache.

Bound by the slowest steps' arithmetic; short tensors by about 20 ns a step.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..contract import LOOP_RANK, PANEL, Context
from ..opcodes import Binary
from ..schemas.chain import CHAIN, CHAIN_INPUTS, CHAIN_OUTPUTS, CHAIN_TEMPORARIES, CHAIN_WORDS
from .elementwise import row_and_scalar, rows_of_two, scalar_and_row, unary_contiguous, where_contiguous
from .loops import shift
from .memory import float_from_bits, float_pointer, int32_pointer, locate, stack_words
from .movement import transpose
from .native import fast_device, native
from .vectors import load_first, splat, stack_floats, store_first

_LANES = int(Context.LANES)
_R = LOOP_RANK
_P = CHAIN.positions()
_PROGRAM, _X, _Y = _P["program"], _P["x0"], _P["y0"]
_WORDS = 1 + 2 * LOOP_RANK
_INPUTS, _OUTPUTS = CHAIN_INPUTS, CHAIN_OUTPUTS
_FIRST_OUTPUT = CHAIN_INPUTS + CHAIN_TEMPORARIES
_REGISTERS = _FIRST_OUTPUT + CHAIN_OUTPUTS
_STEP = CHAIN_WORDS
_LESS, _LESS_OR_EQUAL = int(Binary.LESS), int(Binary.LESS_OR_EQUAL)
_GREATER, _GREATER_OR_EQUAL = int(Binary.GREATER), int(Binary.GREATER_OR_EQUAL)
_UNARY, _BINARY = 0, 1

BLOCK = 1088
"""Elements of a register: a few of them fit the first-level cache, and most tensors of a frame are one block."""

# 2240 bytes more than 4 KiB: near a multiple of that, a load would wait for the store to another block.
_BLOCK_STEP = BLOCK + 496
_BLOCKS_FLOATS = _REGISTERS * _BLOCK_STEP
_DIRECT, _PACKED, _SCALAR = 0, 1, 2
"""How a register gets its block: where the tensor lies, by packing, or once for all as a single number."""


@njit(inline="always")
def _copy_short(x, y, count):
    """y[i] = x[i] for rows that are mostly short."""
    for i in range(0, count, PANEL):
        store_first(shift(y, i), load_first(shift(x, i), count - i), count - i)


@fast_device
def _pack_rows(x, row, column, y, rows, columns):
    """y[r, c] = x[r * row + c * column]: y dense."""
    if column == 1:
        for r in range(rows):
            _copy_short(shift(x, r * row), shift(y, r * columns), columns)
    elif column == 0:
        for r in range(rows):
            value, target = splat(x[r * row]), shift(y, r * columns)
            for c in range(0, columns, PANEL):
                store_first(shift(target, c), value, columns - c)
    elif row == 1 and rows > 1:
        transpose(x, column, y, columns, rows, columns)
    else:
        for r in range(rows):
            for c in range(columns):
                y[r * columns + c] = x[r * row + c * column]


@fast_device
def _unpack_rows(x, y, row, column, rows, columns):
    """y[r * row + c * column] = x[r, c]: x dense."""
    if column == 1:
        for r in range(rows):
            _copy_short(shift(x, r * columns), shift(y, r * row), columns)
    else:
        for r in range(rows):
            for c in range(columns):
                y[r * row + c * column] = x[r * columns + c]


@fast_device
def _binary_step(operator, a, b, y, count, a_kind, b_kind):
    if operator in (_LESS, _LESS_OR_EQUAL):
        operator = _GREATER if operator == _LESS else _GREATER_OR_EQUAL
        a, b, a_kind, b_kind = b, a, b_kind, a_kind
    if b_kind == _SCALAR and row_and_scalar(operator, a, b[0], y, count):
        return
    if a_kind == _SCALAR and scalar_and_row(operator, a[0], b, y, count):
        return
    rows_of_two(operator, a, b, y, count)


@njit(inline="always")
def _run_steps(program, steps, at, kinds, count):
    for s in range(steps):
        step = s * _STEP
        operator, a, b = np.int64(program[step + 1]), program[step + 3], program[step + 4]
        y = float_pointer(at[program[step + 2]])
        if program[step] == _UNARY:
            alpha, beta = float_from_bits(program[step + 6]), float_from_bits(program[step + 7])
            unary_contiguous(operator, alpha, beta, float_pointer(at[a]), y, count)
        elif program[step] == _BINARY:
            _binary_step(operator, float_pointer(at[a]), float_pointer(at[b]), y, count, kinds[a], kinds[b])
        else:
            c = program[step + 5]
            where_contiguous(float_pointer(at[a]), float_pointer(at[b]), float_pointer(at[c]), y, count)


@njit(inline="always")
def _offset(o, position, i0, i1, i2, i3):
    """Bytes from a tensor's start to the first of its two innermost axes."""
    return 4 * (
        i0 * o[position + _R + 1] + i1 * o[position + _R + 2] + i2 * o[position + _R + 3] + i3 * o[position + _R + 4]
    )


@njit(inline="always")
def _is_absent(o, position):
    return o[position] < 0


@njit(inline="always")
def _register(k):
    """The register of tensor k and where its operand stands: inputs, then outputs."""
    return (k, _X + k * _WORDS) if k < _INPUTS else (k - _INPUTS + _FIRST_OUTPUT, _Y + (k - _INPUTS) * _WORDS)


@njit(inline="always")
def _kind(o, position, rows, columns, whole):
    """How the register of a tensor gets a block of `rows` rows of `columns` elements."""
    row, column = o[position + 2 * _R - 1], o[position + 2 * _R]
    if (column == 1 or columns == 1) and (rows == 1 or row == columns):
        return _DIRECT
    if whole and row == 0 and column == 0:
        return _SCALAR
    return _PACKED


@native
def chain(operands, context):
    """The outputs = the steps of the program, one after the other, on each element of the inputs."""
    o = operands
    blocks = stack_floats(_BLOCKS_FLOATS)
    at, bases, kinds = stack_words(_REGISTERS), stack_words(_REGISTERS), stack_words(_REGISTERS)
    program, steps = int32_pointer(locate(o, _PROGRAM, context, 0)), o[_PROGRAM + 1]
    n0, n1, n2, n3, height, width = o[_Y + 1], o[_Y + 2], o[_Y + 3], o[_Y + 4], o[_Y + 5], o[_Y + 6]
    columns_step = min(width, BLOCK)
    rows_step = max(1, min(height, BLOCK // max(width, 1)))
    for r in range(_REGISTERS):
        at[r] = blocks + 4 * r * _BLOCK_STEP
        kinds[r] = _DIRECT
    for k in range(_INPUTS + _OUTPUTS):
        register, position = _register(k)
        if not _is_absent(o, position):
            outer = o[position + _R + 1] | o[position + _R + 2] | o[position + _R + 3] | o[position + _R + 4]
            kinds[register] = _kind(o, position, rows_step, columns_step, k < _INPUTS and outer == 0)
    for lane in range(context[_LANES]):
        for k in range(_INPUTS + _OUTPUTS):
            register, position = _register(k)
            if not _is_absent(o, position):
                bases[register] = locate(o, position, context, lane)
                if kinds[register] == _SCALAR:
                    value = float_pointer(bases[register])
                    _pack_rows(value, 0, 0, float_pointer(at[register]), 1, rows_step * columns_step)
        for i0 in range(n0):
            for i1 in range(n1):
                for i2 in range(n2):
                    for i3 in range(n3):
                        for top in range(0, height, rows_step):
                            for left in range(0, width, columns_step):
                                rows, columns = min(rows_step, height - top), min(columns_step, width - left)
                                for k in range(_INPUTS + _OUTPUTS):
                                    register, position = _register(k)
                                    if _is_absent(o, position) or kinds[register] == _SCALAR:
                                        continue
                                    row, column = o[position + 2 * _R - 1], o[position + 2 * _R]
                                    source = bases[register] + _offset(o, position, i0, i1, i2, i3)
                                    source += 4 * (top * row + left * column)
                                    if kinds[register] == _DIRECT:
                                        at[register] = source
                                    elif k < _INPUTS:
                                        block = float_pointer(at[register])
                                        _pack_rows(float_pointer(source), row, column, block, rows, columns)
                                _run_steps(program, steps, at, kinds, rows * columns)
                                for k in range(_OUTPUTS):
                                    register, position = _register(_INPUTS + k)
                                    if not _is_absent(o, position) and kinds[register] == _PACKED:
                                        row, column = o[position + 2 * _R - 1], o[position + 2 * _R]
                                        target = bases[register] + _offset(o, position, i0, i1, i2, i3)
                                        target += 4 * (top * row + left * column)
                                        block = float_pointer(at[register])
                                        _unpack_rows(block, float_pointer(target), row, column, rows, columns)
