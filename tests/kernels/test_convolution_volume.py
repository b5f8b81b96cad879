"""`conv_volume` against ONNX Runtime: edges, strides, dilations, groups, activations, lanes, and bits across lanes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from wavetile.kernels import packing
from wavetile.kernels.contract import Space
from wavetile.kernels.opcodes import Activation

from .convolution_problems import ConvProblem
from .layouts import ALL_BACKENDS
from .tolerances import TOLERANCES

CUBE = ConvProblem(size=(1, 1, 1), kernel=(3, 3, 3), stride=(1, 1, 1), dilation=(1, 1, 1), pads=(1,) * 6)


def check(problem: ConvProblem, backend: str = "cpu", lanes: int = 1, layout: str = "dense", **how: Any) -> np.ndarray:
    return problem.check("conv_volume", backend, lanes, layout, TOLERANCES["conv_volume"], **how)


def random_problem(rng: np.random.Generator, largest_width: int = 100) -> ConvProblem:
    """A convolution whose windows meet the volume at least once; kernels may be larger than the volume."""
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    inputs, outputs = (int(rng.choice([1, 2, 3, 5, 7, 9, 12, 14, 17])) for _ in range(2))
    size = (*(int(rng.choice([1, 2, 3, 5, 7])) for _ in range(2)), int(rng.integers(1, largest_width + 1)))
    kernel = (*(int(rng.choice([1, 2, 3])) for _ in range(2)), int(rng.choice([1, 2, 3, 5])))
    dilation = tuple(int(rng.choice([1, 1, 2, 3, 4])) for _ in range(3))
    before, after = [], []
    for n, k, d in zip(size, kernel, dilation, strict=True):
        span = (k - 1) * d + 1
        before.append(int(rng.integers(0, span)) if rng.random() < 0.6 else 0)
        after.append(max(int(rng.integers(0, span)) if rng.random() < 0.6 else 0, span - n - before[-1]))
    return ConvProblem(
        batch=int(rng.choice([1, 1, 2])),
        inputs=inputs * groups,
        outputs=outputs * groups,
        groups=groups,
        size=size,
        kernel=kernel,
        stride=tuple(int(rng.choice([1, 1, 2, 3])) for _ in range(3)),
        dilation=dilation,
        pads=(*before, *after),
        activation=Activation(rng.choice(list(Activation))),
        biased=bool(rng.random() < 0.8),
        seed=int(rng.integers(1 << 30)),
    )


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("layout", ["dense", "shuffled"])
@pytest.mark.parametrize("seed", range(10))
def test_random_convolutions(backend: str, layout: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(6):
        check(random_problem(rng), backend, int(rng.choice([1, 3])), layout)


@pytest.mark.parametrize("outputs", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 21, 25])
def test_every_number_of_channels(outputs: int) -> None:
    problem = replace(CUBE, inputs=3, outputs=outputs, size=(2, 3, 1))
    for width in (1, 15, 16, 17, 33, 48, 64, 65, 80, 97):
        check(replace(problem, size=(2, 3, width)))
    for block in (1, 5, 12):
        check(problem, block=block)


@pytest.mark.parametrize("dilation", [1, 2, 4, 8, 16])
def test_dilated_cubes(dilation: int) -> None:
    problem = replace(CUBE, inputs=5, outputs=5, size=(20, 20, 20), activation=Activation.RELU)
    check(replace(problem, dilation=(dilation,) * 3, pads=(dilation,) * 6))


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_wide_volumes_are_cut_into_strips(stride: int) -> None:
    check(replace(CUBE, inputs=40, outputs=7, size=(3, 4, 700), stride=(1, 1, stride)))


@pytest.mark.parametrize("seed", range(6))
def test_lanes_do_not_change_bits(seed: int) -> None:
    problem = random_problem(np.random.default_rng(seed))
    # One lane sees the first numbers that five lanes see.
    assert check(problem, lanes=5)[:1].tobytes() == check(problem).tobytes()


def test_states() -> None:
    problem = replace(CUBE, inputs=2, outputs=3, size=(2, 3, 20), kernel=(2, 2, 3), pads=(0,) * 6)
    check(problem, lanes=3, space=Space.STATE)


@pytest.mark.parametrize(("groups", "block"), [(1, 6), (2, 8), (3, 5)])
def test_packing_can_be_undone(groups: int, block: int) -> None:
    w = np.random.default_rng(0).standard_normal((13 * groups, 5, 2, 3, 4)).astype(np.float32)
    packed = packing.conv_volume(w, groups, block)
    np.testing.assert_array_equal(packing.unpack_conv_volume(packed, w.shape, groups, block), w)
