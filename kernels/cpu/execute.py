"""The interpreter: walks a program's table in one native call, with the GIL released."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba import types

from .memory import call_kernel, word_pointer
from .native import compile_cached

_CALL = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
"""ctypes rather than Numba's dispatcher: three integers cross faster than three arrays, and it too drops the GIL."""


def _walk(calls, count, context):
    """Call every kernel of a table in order.

    Args:
        calls: address of int64[count, 2]: address of the kernel, address of its operand words.
        count: instructions.
        context: address of int64[CONTEXT_WORDS].
    """
    table = word_pointer(calls)
    for index in range(count):
        call_kernel(table[2 * index], table[2 * index + 1], context)


@cache
def _compiled() -> Any:
    signature = types.void(types.int64, types.int64, types.int64)
    return compile_cached(lambda: numba.cfunc(signature, cache=True, error_model="numpy")(_walk), Path(__file__))


@cache
def interpreter() -> Callable[[int, int, int], None]:
    """The native `_walk`; from the cache after the first time on a machine."""
    return _CALL(_compiled().address)
