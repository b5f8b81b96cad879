"""What kernels are given: the structures of contract.cuh, and the parameters of a launch."""

from __future__ import annotations

import ctypes
from typing import Any


class Spaces(ctypes.Structure):
    """The memories of all lanes."""

    _fields_ = (
        ("weights", ctypes.c_void_p),
        ("arena", ctypes.c_void_p),
        ("state", ctypes.c_void_p),
        ("arena_stride", ctypes.c_int64),
        ("state_stride", ctypes.c_int64),
        ("slots", ctypes.c_void_p),
        ("arrivals", ctypes.c_void_p),
        ("lanes", ctypes.c_int64),
    )


class Windows(ctypes.Structure):
    """The ports of one direction, and the host's memory that they are read from or written to."""

    _fields_ = (
        ("ports", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("memory", ctypes.c_void_p),
        ("stride", ctypes.c_int64),
    )


class Walk(ctypes.Structure):
    """What the resident interpreter has beside memories."""

    _fields_ = (
        ("kernels", ctypes.c_void_p),
        ("starts", ctypes.c_void_p),
        ("words", ctypes.c_void_p),
        ("instructions", ctypes.c_int64),
        ("inputs", Windows),
        ("outputs", Windows),
        ("shared_bytes", ctypes.c_int64),
        ("poisoned", ctypes.c_int64),
    )


class Parameters:
    """The parameters of a kernel. Who changes a value changes what the next launch gets."""

    def __init__(self, *values: Any) -> None:
        self.values = values
        """Numbers and structures of ctypes."""
        self._pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        self.address = ctypes.addressof(self._pointers)
        """Of the values' addresses, as drivers take them."""
