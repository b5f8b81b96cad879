"""The scalar functions, compiled as kernels are, against float64: error in ulp, limits, and vector instructions."""

from __future__ import annotations

import ctypes
import platform
import re
from functools import cache
from math import erf
from typing import Any

import numba
import numpy as np
import pytest
from numba import types

from wavetile.kernels.cpu import maths
from wavetile.kernels.cpu.native import FAST_MATH

_POINTER = ctypes.POINTER(ctypes.c_float)
_SIGNATURE = types.void(types.CPointer(types.float32), types.CPointer(types.float32), types.int64)
_FUNCTION = {
    "exp_f32": np.exp,
    "expm1_negative_f32": np.expm1,
    "log_f32": np.log,
    "log1p_f32": np.log1p,
    "sigmoid_f32": lambda x: 1 / (1 + np.exp(-x)),
    "swish_f32": lambda x: x / (1 + np.exp(-x)),
    "tanh_f32": np.tanh,
    "erf_f32": np.vectorize(erf, otypes=[np.float64]),
}
_SMALL = np.logspace(-30, 0, 200_001)
_SAMPLES = {
    "exp_f32": np.linspace(-87.33, 88.72, 2_000_001),
    "expm1_negative_f32": -np.concatenate([np.linspace(0, 40, 1_000_001), _SMALL]),
    "log_f32": np.concatenate([np.logspace(-44.5, 38.5, 1_000_001), np.linspace(0.5, 2, 1_000_001)]),
    "log1p_f32": np.concatenate([np.linspace(0, 1, 1_000_001), _SMALL]),
    "sigmoid_f32": np.linspace(-87, 87, 2_000_001),
    "swish_f32": np.linspace(-87, 87, 2_000_001),
    "tanh_f32": np.concatenate([np.linspace(-12, 12, 2_000_001), _SMALL]),
    "erf_f32": np.concatenate([np.linspace(-6, 6, 200_001), _SMALL[::10]]),
}
# What the docstrings promise.
_MOST_ULP = {
    "exp_f32": 1.1,
    "expm1_negative_f32": 1.6,
    "log_f32": 1.0,
    "log1p_f32": 2.0,
    "sigmoid_f32": 2.5,
    "swish_f32": 2.5,
    "tanh_f32": 6.0,
    "erf_f32": 7.5,
}


@numba.njit(inline="always")
def _plain_swish(x: Any) -> Any:
    return maths.swish_f32(x, np.float32(1))


@cache
def compiled(name: str) -> Any:
    function = _plain_swish if name == "swish_f32" else getattr(maths, name)

    def loop(x: Any, y: Any, count: Any) -> None:
        for i in range(count):
            y[i] = function(x[i])

    return numba.cfunc(_SIGNATURE, fastmath=FAST_MATH, error_model="numpy")(loop)


def apply(name: str, x: np.ndarray) -> np.ndarray:
    x = np.ascontiguousarray(x, np.float32)
    y = np.empty_like(x)
    compiled(name).ctypes(x.ctypes.data_as(_POINTER), y.ctypes.data_as(_POINTER), len(x))
    return y


@pytest.mark.parametrize("name", _FUNCTION)
def test_error_in_ulp(name: str) -> None:
    x = _SAMPLES[name].astype(np.float32)
    expected = _FUNCTION[name](x.astype(np.float64))
    ulp = np.spacing(np.maximum(np.abs(expected).astype(np.float32), np.float32(1.2e-38))).astype(np.float64)
    error = np.abs(apply(name, x) - expected) / ulp
    worst = int(np.argmax(error))
    assert error[worst] <= _MOST_ULP[name], f"{name}({x[worst]!r}) is {error[worst]:.2f} ulp off"


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("exp_f32", [0, 89, 1e38, np.inf, -104, -1e38, -np.inf, np.nan], [1, np.inf, np.inf, np.inf, 0, 0, 0, np.nan]),
        ("log_f32", [0, -0.0, 1, np.inf, -1, -np.inf, np.nan], [-np.inf, -np.inf, 0, np.inf, np.nan, np.nan, np.nan]),
        ("sigmoid_f32", [0, 100, -100, np.inf, -np.inf, np.nan], [0.5, 1, 0, 1, 0, np.nan]),
        ("swish_f32", [0, 100, -100, np.inf, np.nan], [0, 100, 0, np.inf, np.nan]),
        ("tanh_f32", [0, 10, -10, np.inf, -np.inf, np.nan], [0, 1, -1, 1, -1, np.nan]),
        ("erf_f32", [0, 5, -5, np.inf, -np.inf, np.nan], [0, 1, -1, 1, -1, np.nan]),
        ("expm1_negative_f32", [0, -50, -np.inf, np.nan], [0, -1, -1, np.nan]),
        ("log1p_f32", [0, np.nan], [0, np.nan]),
    ],
)
@pytest.mark.parametrize("repeat", [1, 40], ids=["scalar", "vector"])
def test_limits(name: str, x: list[float], expected: list[float], repeat: int) -> None:
    np.testing.assert_array_equal(apply(name, np.array(x * repeat)), np.array(expected * repeat, np.float32))


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="looks for x86 instructions")
@pytest.mark.parametrize("name", _FUNCTION)
def test_loops_are_vectors(name: str) -> None:
    assembly = compiled(name)._library.get_asm_str()
    assert re.search(r"\b(v?mulps|vf\w+ps)\b", assembly), "no packed multiplication in the loop"
    assert not re.search(r"\bcall\w*\s+(expf|logf|tanhf|erff|nearbyintf|rintf)", assembly)
