"""`conv_short` against ONNX Runtime: edges, both strides, groups, activations, lanes, and whole bits across lanes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wavetile.kernels import packing
from wavetile.kernels.contract import Space
from wavetile.kernels.opcodes import Activation

from .convolution_problems import ConvProblem, random_problem
from .layouts import ALL_BACKENDS
from .tolerances import TOLERANCES

TOLERANCE = TOLERANCES["conv_short"]


def short_problem(rng: np.random.Generator, largest_width: int = 70) -> ConvProblem:
    problem = random_problem(rng, largest_width=largest_width)
    return replace(problem, stride=(problem.stride[0], min(problem.stride[1], 2)))


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("seed", range(12))
def test_random_convolutions(backend: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(4):
        short_problem(rng, 140).check("conv_short", backend, int(rng.choice([1, 3])), "dense", TOLERANCE)


@pytest.mark.parametrize("width", range(1, 140, 3))
@pytest.mark.parametrize("stride", [1, 2])
def test_every_width(stride: int, width: int) -> None:
    ConvProblem(inputs=3, outputs=13, size=(3, width), kernel=(3, 3), pads=(1, 1, 1, 1), stride=(1, stride)).check(
        "conv_short", "cpu", 1, "dense", TOLERANCE
    )


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("activation", Activation, ids=lambda activation: activation.name)
def test_activations(backend: str, activation: Activation) -> None:
    problem = ConvProblem(inputs=5, outputs=19, size=(2, 37), kernel=(1, 3), pads=(0, 1, 0, 1), activation=activation)
    problem.check("conv_short", backend, 2, "dense", TOLERANCE)


@pytest.mark.parametrize("seed", range(8))
def test_lanes_do_not_change_bits(seed: int) -> None:
    problem = short_problem(np.random.default_rng(seed))
    together = problem.check("conv_short", "cpu", 5, "dense", TOLERANCE)
    # One lane sees the first numbers that five lanes see.
    assert together[:1].tobytes() == problem.check("conv_short", "cpu", 1, "dense", TOLERANCE).tobytes()


def test_states() -> None:
    ConvProblem(inputs=2, outputs=20, size=(1, 20), kernel=(1, 3)).check(
        "conv_short", "cpu", 3, "dense", TOLERANCE, Space.STATE
    )


@pytest.mark.parametrize(
    ("x", "w", "y", "stride", "expected"),
    [
        ((1, 9, 1, 129), (16, 9, 1, 5), (1, 16, 1, 65), (1, 2), True),
        ((1, 24, 1, 33), (16, 24, 1, 1), (1, 16, 1, 33), (1, 1), True),
        ((1, 8, 1, 99), (16, 8, 1, 3), (1, 16, 1, 33), (1, 3), False),
        ((1, 16, 64, 64), (16, 16, 3, 3), (1, 16, 62, 62), (1, 1), False),
    ],
)
def test_choice(x: tuple, w: tuple, y: tuple, stride: tuple, expected: bool) -> None:
    assert packing.has_short_rows(x, w, y, stride) == expected
