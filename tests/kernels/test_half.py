"""Kernels with weights of float16: the bits of the same kernel on weights that were rounded before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavetile.kernels import packing
from wavetile.kernels.errors import KernelError
from wavetile.kernels.opcodes import Activation
from wavetile.kernels.packing_half import halved, widened
from wavetile.kernels.schemas.half import HALF, HALVED_WEIGHTS

from .harness import Constant, Lanes, Out, run_kernel
from .layouts import ALL_BACKENDS, TOGETHER
from .recurrent_problems import RecurrentProblem


def check(kernel: str, backend: str, lanes: int, operands: dict[str, Any]) -> None:
    kept = {name: halved(operands[name].array) for name in HALVED_WEIGHTS[kernel]}
    rounded = operands | {name: Constant(widened(words)) for name, words in kept.items()}
    expected = run_kernel(kernel, backend, lanes=lanes, **rounded)
    words = {name: Constant(array) for name, array in kept.items()}
    got = run_kernel(kernel + HALF, backend, lanes=lanes, **(operands | words))
    for name in got:
        if name != "scratch":
            np.testing.assert_array_equal(got[name], expected[name], err_msg=name)


@pytest.mark.parametrize("backend", [*ALL_BACKENDS, *TOGETHER])
@pytest.mark.parametrize("kernel", ["lstm", "gru"])
@pytest.mark.parametrize("sizes", [(1, 1, 5, 33), (3, 2, 16, 16), (1, 7, 3, 40)], ids=str)
@pytest.mark.parametrize("lanes", [1, 3])
def test_recurrent(kernel: str, backend: str, sizes: tuple[int, int, int, int], lanes: int) -> None:
    for linear in (True, False):
        problem = RecurrentProblem(kernel, *sizes, lanes=lanes, linear_before_reset=linear)
        check(kernel, backend, lanes, problem.operands())


@pytest.mark.parametrize("backend", [*ALL_BACKENDS, *TOGETHER])
@pytest.mark.parametrize("sizes", [(1, 7, 5), (1, 64, 130), (3, 33, 48), (9, 5, 17)], ids=str)
@pytest.mark.parametrize("lanes", [1, 3])
def test_dense(backend: str, sizes: tuple[int, int, int], lanes: int) -> None:
    rows, inner, columns = sizes
    random = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype(np.float32)

    operands = {
        "x": Lanes(normal(lanes, rows, inner)),
        "weights": Constant(packing.dense(normal(inner, columns))),
        "bias": Constant(packing.bias(normal(columns))),
        "y": Out((rows, columns)),
        "activation": Activation.SIGMOID,
        "alpha": 0.0,
        "beta": 0.0,
        "slope": None,
    }
    check("dense", backend, lanes, operands)


def check_widening(backend: str) -> None:
    """Through the kernel: one input of 1, and each number as the weight of a column."""
    bits = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    numbers = bits[np.isfinite(bits)].astype(np.float32)
    got = run_kernel(
        "dense_half",
        backend,
        x=Lanes(np.ones((1, 1, 1), np.float32)),
        weights=Constant(halved(packing.dense(numbers[None]))),
        bias=None,
        y=Out((1, numbers.size)),
        activation=Activation.NONE,
        alpha=0.0,
        beta=0.0,
        slope=None,
    )
    np.testing.assert_array_equal(got["y"][0, 0], numbers)


def test_every_finite_number_of_float16_is_widened_exactly() -> None:
    check_widening("cpu")


@pytest.mark.parametrize("backend", [*ALL_BACKENDS[2:], *TOGETHER[:1]])
def test_cuda_widens_as_exactly(backend: str) -> None:
    """Denormals, too, although those of float32 count as zero there."""
    check_widening(backend)


def test_a_machine_without_the_instruction_widens_as_exactly(tmp_path: Path) -> None:
    features = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "+sse,+sse2", "WAVETILE_CACHE": str(tmp_path)}
    test = f"{__file__}::{test_every_finite_number_of_float16_is_widened_exactly.__name__}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        env={**os.environ, **features, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]


def test_rounding_is_within_what_is_said() -> None:
    weights = np.random.default_rng(0).standard_normal(4096).astype(np.float32)
    error = np.abs(widened(halved(weights)) - weights)
    assert (error <= np.maximum(np.abs(weights) * 2.0**-11, 2.0**-25)).all()


@pytest.mark.parametrize("bad", [65536.0, np.inf, np.nan])
def test_what_does_not_fit_is_refused(bad: float) -> None:
    with pytest.raises(KernelError, match="float16"):
        halved(np.array([1.0, bad], np.float32))
