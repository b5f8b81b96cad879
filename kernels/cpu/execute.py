"""The interpreter: walks a program's table in one native call, with the GIL released."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numba
import numpy as np
from numba import types

from .memory import call_kernel
from .native import compile_cached


def _walk(calls, operands, context):
    """Call every kernel of a table in order.

    Args:
        calls: [instructions, 2] int64: address of the kernel, address of its operand words.
        operands: int64: the operand words, kept alive by the caller.
        context: [CONTEXT_WORDS] int64.
    """
    where = context.ctypes.data
    for index in range(calls.shape[0]):
        call_kernel(calls[index, 0], calls[index, 1], where)


@cache
def interpreter() -> Callable[[np.ndarray, np.ndarray, np.ndarray], None]:
    """The compiled `_walk`; from the cache after the first time on a machine."""
    words = types.Array(types.int64, 1, "C")
    signature = types.void(types.Array(types.int64, 2, "C"), words, words)
    return compile_cached(
        lambda: numba.njit(signature, nogil=True, cache=True)(_walk),
        Path(__file__),
    )
