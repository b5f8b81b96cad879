"""Float32 powers, compiled as kernels are, against float64: error in ulp, IEEE 754's cases, vector instructions."""

from __future__ import annotations

import ctypes
import platform
import re
from functools import cache
from typing import Any

import numba
import numpy as np
import pytest
from numba import types

from wavetile.kernels.cpu.native import FAST_MATH
from wavetile.kernels.cpu.powers import power_f32

_POINTER = ctypes.POINTER(ctypes.c_float)
_FLOATS = types.CPointer(types.float32)
_POSITIVE = [0, 1, 2, 0.5, 3, 2.5, 0.3, np.inf, 1e30, 1e-30, 127, 149, 8388607, 16777216]
_SPECIAL = np.array([np.nan, *_POSITIVE, *(-1.0 * value for value in _POSITIVE)], np.float32)


@cache
def compiled() -> Any:
    def loop(a: Any, b: Any, y: Any, count: Any) -> None:
        for i in range(count):
            y[i] = power_f32(a[i], b[i])

    signature = types.void(_FLOATS, _FLOATS, _FLOATS, types.int64)
    return numba.cfunc(signature, fastmath=FAST_MATH, error_model="numpy")(loop)


def power(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    y = np.empty_like(a)
    compiled().ctypes(*(array.ctypes.data_as(_POINTER) for array in (a, b, y)), len(a))
    return y


def test_error_in_ulp() -> None:
    rng = np.random.default_rng(0)
    a = np.exp(rng.uniform(-85, 85, 1_000_000)).astype(np.float32)
    b = (rng.uniform(-87, 88, len(a)) / np.log(a)).astype(np.float32)
    expected = np.power(a.astype(np.float64), b.astype(np.float64))
    ulp = np.spacing(np.maximum(expected.astype(np.float32), np.float32(1.2e-38))).astype(np.float64)
    assert (np.abs(power(a, b) - expected) / ulp).max() <= 0.51


@pytest.mark.parametrize("repeat", [1, 40], ids=["scalar", "vector"])
def test_special_values(repeat: int) -> None:
    for base in _SPECIAL:
        for exponent in _SPECIAL if repeat == 1 else _SPECIAL[::4]:
            a, b = np.full(repeat, base), np.full(repeat, exponent)
            with np.errstate(all="ignore"):
                expected = np.power(a.astype(np.float64), b.astype(np.float64)).astype(np.float32)
            got = power(a, b)
            np.testing.assert_allclose(got, expected, rtol=1.2e-7, atol=1e-45, err_msg=f"{base!r} ** {exponent!r}")
            nonzero = ~np.isnan(expected) & (expected != 0) & (base != 0)  # the signs of zeros are free
            np.testing.assert_array_equal(np.signbit(got[nonzero]), np.signbit(expected[nonzero]))


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="looks for x86 instructions")
def test_loop_is_vectors() -> None:
    assembly = compiled()._library.get_asm_str()
    assert re.search(r"\b(v?mulpd|vf\w+pd)\b", assembly), "no packed multiplication in the loop"
    assert "powf" not in assembly
