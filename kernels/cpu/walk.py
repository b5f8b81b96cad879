"""The interpreter's native half: calls every kernel of a table in order."""

from __future__ import annotations

from numba import types

from .denormals import flush_denormals, restore_denormals
from .memory import call_kernel, word_pointer
from .native import register
from .turns import TURN

_TURN = TURN


def walk(job):
    """Call every kernel of a table in order, with denormal numbers off.

    Args:
        job: address of int64[4]: the address of int64[count, 2] (address of the kernel, address of its operand words),
            count, the address of the context, int64[NATIVE_CONTEXT_WORDS], and what to add to its TURN: 1, or 0 if
            another job does.

    Bound by the kernels.
    """
    words = word_pointer(job)
    table = word_pointer(words[0])
    context = words[2]
    control = flush_denormals()
    for index in range(words[1]):
        call_kernel(table[2 * index], table[2 * index + 1], context)
    restore_denormals(control)
    word_pointer(context)[_TURN] += words[3]


register(walk, types.void(types.int64))
