"""Vector code of `gru_small`: one vector holds the hidden numbers of all sequences, a block of lanes each."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from ..contract import PANEL
from ..packing_recurrent import GRU_GATES
from .gate_vectors import VECTOR_BYTES, emit_candidate, emit_sigmoid
from .vectors import (
    FLOAT_IR,
    IOTA_IR,
    VECTOR_IR,
    WORD_IR,
    Vector,
    emit_lanes,
    emit_masked_load,
    emit_masked_store,
    emit_multiply_add,
    emit_splat,
    operation,
)

_FLAGS = ("contract",)
_VECTOR, _WORD = Vector(), types.int64
_LANES = IOTA_IR.type
_LONGEST_CHAIN = 4
"""Products that are added up one after the other: longer sums run as several chains side by side."""


def _pointer(builder: ir.IRBuilder, address: Any, kind: ir.Type = VECTOR_IR) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


def _indices(values: list[int]) -> ir.Constant:
    return ir.Constant(_LANES, values)


def gathered_inputs(block: int) -> Any:
    """An operation (starts, steps, step, offset): each block of lanes repeats its own sequence's number at a step.

    starts, steps: addresses of int64[PANEL / block]: where a sequence's first step lies, and how far it is to the next.
    offset: bytes to the number from there.
    """

    def emit(builder, starts, steps, step, offset):
        result = None
        for first in range(0, PANEL, block):
            place = ir.Constant(WORD_IR, 8 * (first // block))
            start, stride = (builder.load(_pointer(builder, builder.add(a, place), WORD_IR)) for a in (starts, steps))
            address = builder.add(builder.add(start, offset), builder.mul(step, stride))
            value = emit_splat(builder, builder.load(_pointer(builder, address, FLOAT_IR)))
            lower = builder.icmp_unsigned("<", IOTA_IR, _indices([first] * PANEL))
            result = value if result is None else builder.select(lower, result, value)
        return result

    return operation("gathered_inputs", _VECTOR, (_WORD,) * 4, emit)


def hidden_products(block: int) -> Any:
    """An operation (start, h, weights) -> start plus one gate of every sequence's h R, lane by lane.

    weights: address of that gate in [block, GRU_GATES, PANEL]. Lane j of a block adds up all lanes of its own block.
    """

    def emit(builder, start, h, weights):
        undefined = ir.Constant(VECTOR_IR, ir.Undefined)
        chains = max(1, min(_LONGEST_CHAIN, block // 2))
        sums = [start, *[None] * (chains - 1)]
        for k in range(block):
            spread = builder.shuffle_vector(h, undefined, _indices([(i // block) * block + k for i in range(PANEL)]))
            address = builder.add(weights, ir.Constant(WORD_IR, k * GRU_GATES * VECTOR_BYTES))
            weight = builder.load(_pointer(builder, address), align=4)
            chain = (k + 1) % chains  # the first joins `start` last, which may come late
            total = sums[chain]
            if total is None:
                sums[chain] = builder.fmul(spread, weight, flags=_FLAGS)
            else:
                sums[chain] = emit_multiply_add(builder, spread, weight, total)
        while len(sums) > 1:
            sums = [builder.fadd(a, b, flags=_FLAGS) for a, b in zip(sums[::2], sums[1::2], strict=True)]
        return sums[0]

    return operation("hidden_products", _VECTOR, (_VECTOR, _VECTOR, _WORD), emit)


def first_of_blocks(block: int) -> Any:
    """An operation (vector, count): the first `count` lanes of each block, 0 elsewhere."""

    def emit(builder, vector, count):
        inside = builder.icmp_unsigned("<", _indices([i % block for i in range(PANEL)]), emit_lanes(builder, count))
        return builder.select(inside, vector, ir.Constant(VECTOR_IR, [0.0] * PANEL))

    return operation("first_of_blocks", _VECTOR, (_VECTOR, _WORD), emit)


def _part(builder, address, first, count) -> tuple[Any, Any]:
    """Where lane 0 would lie if lane `first` lay at the address, and the mask of `count` lanes from there."""
    lanes = builder.sub(IOTA_IR, emit_lanes(builder, first))
    start = builder.sub(address, builder.mul(first, ir.Constant(WORD_IR, 4)))
    return _pointer(builder, start, FLOAT_IR), builder.icmp_unsigned("<", lanes, emit_lanes(builder, count))


def _load_part(builder, vector, address, first, count):
    pointer, mask = _part(builder, address, first, count)
    return emit_masked_load(builder, pointer, mask, vector)


def _store_part(builder, vector, address, first, count):
    pointer, mask = _part(builder, address, first, count)
    emit_masked_store(builder, pointer, vector, mask)


load_part = operation("load_part", _VECTOR, (_VECTOR, _WORD, _WORD, _WORD), _load_part)
"""load_part(vector, address, first, count): lanes first .. first + count - 1 from memory, the others as they were."""

store_part = operation("store_part", types.void, (_VECTOR, _WORD, _WORD, _WORD), _store_part)
"""store_part(vector, address, first, count): lanes first .. first + count - 1 to memory."""

gate_sigmoid = operation("gate_sigmoid", _VECTOR, (_VECTOR,), emit_sigmoid)
"""gate_sigmoid(x)."""

gate_candidate = operation("gate_candidate", _VECTOR, (_VECTOR, _WORD), emit_candidate)
"""gate_candidate(x, rectified): relu(x) where `rectified` is not 0, else tanh(x)."""


def _blend(builder, z, candidate, h):
    return emit_multiply_add(builder, z, builder.fsub(h, candidate, flags=_FLAGS), candidate)


blend = operation("blend", _VECTOR, (_VECTOR,) * 3, _blend)
"""blend(z, candidate, h): (1 - z) * candidate + z * h."""

product = operation("product", _VECTOR, (_VECTOR,) * 2, lambda b, x, y: b.fmul(x, y, flags=_FLAGS))
"""product(a, b)."""
