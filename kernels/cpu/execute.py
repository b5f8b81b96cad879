"""The interpreter: walks a program's table in one native call, with the GIL released."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba import types

from .denormals import flush_denormals, restore_denormals
from .memory import call_kernel, word_pointer
from .native import compile_cached
from .turns import TURN

_TURN = TURN
_CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
"""ctypes rather than Numba's dispatcher: it too drops the GIL. One address, for every argument costs 200 ns."""


def _walk(job):
    """Call every kernel of a table in order, with denormal numbers off.

    Args:
        job: address of int64[4]: the address of int64[count, 2] (address of the kernel, address of its operand words),
            count, the address of the context, int64[NATIVE_CONTEXT_WORDS], and what to add to its TURN: 1, or 0 if
            another job does.
    """
    words = word_pointer(job)
    table = word_pointer(words[0])
    context = words[2]
    control = flush_denormals()
    for index in range(words[1]):
        call_kernel(table[2 * index], table[2 * index + 1], context)
    restore_denormals(control)
    word_pointer(context)[_TURN] += words[3]


@cache
def _compiled() -> Any:
    signature = types.void(types.int64)
    return compile_cached(lambda: numba.cfunc(signature, cache=True, error_model="numpy")(_walk), Path(__file__))


@cache
def interpreter() -> Callable[[int], None]:
    """The native `_walk`; from the cache after the first time on a machine."""
    return _CALL(_compiled().address)
