"""A step computes without denormal numbers; on the processor it leaves its thread's arithmetic as it found it."""

from __future__ import annotations

import numpy as np
import pytest

from wavetile.kernels.opcodes import Binary

from .harness import Lanes, Out, run_kernel
from .layouts import NATIVE_BACKENDS, ones_before

SHAPE = ones_before((40,))


def multiplied(a: float, b: float, backend: str) -> np.ndarray:
    """Products of 40 numbers in a native step."""
    filled = [Lanes(np.full((1, *SHAPE), number, np.float32)) for number in (a, b)]
    return run_kernel("binary", backend, operator=Binary.MUL, a=filled[0], b=filled[1], y=Out(SHAPE))["y"].reshape(-1)


@pytest.mark.parametrize("backend", NATIVE_BACKENDS)
def test_results_and_operands_that_are_denormal_count_as_nothing(backend: str) -> None:
    assert not multiplied(1e-30, 1e-10, backend).any(), "a result of 1e-40"
    assert not multiplied(1e-40, 1e20, backend).any(), "an operand of 1e-40"
    np.testing.assert_array_equal(multiplied(1e-30, 2, backend), np.full(40, 1e-30, np.float32) * 2)


@pytest.mark.parametrize("backend", NATIVE_BACKENDS)
def test_the_thread_keeps_its_denormals(backend: str) -> None:
    before = np.full(40, 1e-30, np.float32) * np.float32(1e-10)
    multiplied(1, 1, backend)
    after = np.full(40, 1e-30, np.float32) * np.float32(1e-10)
    assert after.all()
    np.testing.assert_array_equal(after, before)
