"""`conv_winograd` against ONNX Runtime at odd sizes, and its rounding error against float64."""

from __future__ import annotations

import numpy as np
import pytest

from wavetile.kernels import packing, packing_winograd
from wavetile.kernels.opcodes import Activation

from .convolution_problems import ConvProblem, random_small_window
from .harness import Constant, Lanes, Out, run_kernel
from .layouts import BACKENDS
from .tolerances import TOLERANCES

TOLERANCE = TOLERANCES["conv_winograd"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seed", range(12))
def test_random_windows(backend: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(4):
        random_small_window(rng).check("conv_winograd", backend, int(rng.choice([1, 3])), "dense", TOLERANCE)


@pytest.mark.parametrize("width", [*range(1, 20, 2), 33, 53, 63, 64, 65, 131])
@pytest.mark.parametrize("height", [1, 4, 6, 37])
def test_every_size(height: int, width: int) -> None:
    ConvProblem(inputs=7, outputs=9, size=(height, width), kernel=(3, 3), pads=(1, 1, 1, 1)).check(
        "conv_winograd", "cpu", 1, "dense", TOLERANCE
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("activation", Activation, ids=lambda activation: activation.name)
def test_activations(backend: str, activation: Activation) -> None:
    problem = ConvProblem(inputs=3, outputs=19, size=(6, 67), kernel=(3, 3), pads=(1, 1, 1, 1), activation=activation)
    problem.check("conv_winograd", backend, 2, "dense", TOLERANCE)


# Several blocks of tiles, of output channels, and both: a strip of the U-Net's first and last levels, SonoNet's last.
@pytest.mark.parametrize(
    ("batch", "inputs", "outputs", "size"),
    [(1, 16, 16, (24, 512)), (1, 128, 128, (33, 64)), (1, 128, 128, (14, 18)), (9, 32, 48, (8, 8))],
)
def test_blocks(batch: int, inputs: int, outputs: int, size: tuple[int, int]) -> None:
    problem = ConvProblem(batch=batch, inputs=inputs, outputs=outputs, size=size, kernel=(3, 3), pads=(1, 1, 1, 1))
    together = problem.check("conv_winograd", "cpu", 2, "dense", TOLERANCE)
    alone = problem.check("conv_winograd", "cpu", 1, "dense", TOLERANCE)
    assert together[:1].tobytes() == alone.tobytes()


def test_bits_do_not_depend_on_the_place_in_the_image() -> None:
    """What threads rely on: rows of tiles computed apart give the same bits."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 1, 20, 24, 72)).astype(np.float32)
    w = rng.standard_normal((24, 20, 3, 3)).astype(np.float32)
    whole = _convolve(x, w, pad_top=1, height=24)
    assert _convolve(x, w, pad_top=1, height=12).tobytes() == whole[..., :12, :].tobytes()
    lower = np.ascontiguousarray(x[..., 11:, :])
    assert _convolve(lower, w, pad_top=0, height=12).tobytes() == whole[..., 12:, :].tobytes()


def test_error_against_float64() -> None:
    """Relative to the largest output, with 64 channels: a few units of rounding, as the tolerance says."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 1, 64, 30, 30)).astype(np.float32)
    w = (rng.standard_normal((32, 64, 3, 3)) / 24).astype(np.float32)
    got = _convolve(x, w, pad_top=1, height=30)[0, 0]
    padded = np.pad(x[0, 0].astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    exact = np.einsum("chwij,ocij->ohw", windows, w.astype(np.float64)) + 1  # the bias
    assert np.abs(got - exact).max() < 3e-6 * np.abs(exact).max()


def _convolve(x: np.ndarray, w: np.ndarray, pad_top: int, height: int) -> np.ndarray:
    return run_kernel(
        "conv_winograd",
        "cpu",
        x=Lanes(x),
        weights=Constant(packing_winograd.conv_winograd(w)),
        bias=Constant(packing.bias(np.ones(len(w)))),
        y=Out((1, len(w), height, x.shape[-1])),
        groups=1,
        **dict.fromkeys(("kernel_height", "kernel_width"), 3),
        **dict.fromkeys(("stride_height", "stride_width", "dilation_height", "dilation_width"), 1),
        pad_top=pad_top,
        pad_left=1,
        activation=Activation.NONE,
        alpha=0.0,
        beta=0.0,
    )["y"]


@pytest.mark.parametrize("groups", [1, 3])
def test_packing_can_be_undone(groups: int) -> None:
    w = np.random.default_rng(0).standard_normal((41 * groups, 5, 3, 3)).astype(np.float32)
    back = packing_winograd.unpack_conv_winograd(packing_winograd.conv_winograd(w, groups), w.shape, groups)
    np.testing.assert_allclose(back, w, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("x", "w", "expected"),
    [
        ((1, 16, 512, 512), (16, 16, 3, 3), True),
        ((1, 128, 12, 16), (128, 128, 3, 3), True),
        ((1, 1, 512, 512), (16, 1, 3, 3), False),  # nothing to share the transforms of the output
        ((8, 32, 8, 8), (32, 32, 3, 3), False),  # two tiles a row
        ((1, 16, 64, 64), (16, 16, 3, 5), False),
    ],
)
def test_where_it_pays(x: tuple[int, ...], w: tuple[int, ...], expected: bool) -> None:
    y = (x[0], w[0], *x[2:])
    assert packing_winograd.pays(x, w, y) is expected
    assert not packing_winograd.pays(x, w, y, strides=(2, 2))
    assert not packing_winograd.pays(x, w, y, dilations=(1, 2))


@pytest.mark.parametrize(
    ("w", "y", "expected"),
    [
        ((64, 32, 5, 5), (1, 64, 25, 33), True),
        ((32, 24, 5, 6), (2, 32, 22, 20), True),
        ((64, 32, 3, 3), (1, 64, 25, 33), False),  # 2 x 2 taps a phase
        ((64, 32, 7, 7), (1, 64, 25, 33), False),
        ((64, 32, 5, 5), (1, 64, 2, 2), False),
    ],
)
def test_where_phases_pay(w: tuple[int, ...], y: tuple[int, ...], expected: bool) -> None:
    assert packing_winograd.pays_in_phases(w, y) is expected
