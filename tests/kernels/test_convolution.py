"""The convolutions against ONNX Runtime: edges, strides, groups, activations, lanes, and whole bits across lanes."""

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

KERNELS = ("conv_wide", "conv_narrow", "conv_depthwise")
LAYOUTS = ("dense", "shuffled")


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("seed", range(12))
def test_random_convolutions(kernel: str, backend: str, layout: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(4):
        problem = random_problem(rng, depthwise=kernel == "conv_depthwise")
        problem.check(kernel, backend, int(rng.choice([1, 3])), layout, TOLERANCES[kernel])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("width", range(1, 71, 3))
def test_every_width(kernel: str, width: int) -> None:
    channels = 6
    groups = channels if kernel == "conv_depthwise" else 1
    problem = ConvProblem(
        inputs=channels, outputs=channels, groups=groups, size=(3, width), kernel=(3, 3), pads=(1, 1, 1, 1)
    )
    for stride in (1, 2, 3):
        replace(problem, stride=(1, stride)).check(kernel, "cpu", 1, "dense", TOLERANCES[kernel])


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("activation", Activation, ids=lambda activation: activation.name)
def test_activations(kernel: str, backend: str, activation: Activation) -> None:
    groups = 19 if kernel == "conv_depthwise" else 1
    problem = ConvProblem(
        inputs=19, outputs=19, groups=groups, size=(2, 37), kernel=(1, 3), pads=(0, 1, 0, 1), activation=activation
    )
    problem.check(kernel, backend, 2, "dense", TOLERANCES[kernel])


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("outputs", [5, 13, 30, 70])
def test_several_tiles(backend: str, outputs: int) -> None:
    problem = ConvProblem(batch=2, inputs=3, outputs=outputs, size=(11, 37), kernel=(3, 2), pads=(1, 1, 1, 0))
    problem.check("conv_wide", backend, 1, "dense", TOLERANCES["conv_wide"])


# Real shapes: nuclei U-Net, Silero VAD's encoder and transform, GTCRN's encoder, one long 1x1.
REAL = {
    "unet_first": ConvProblem(outputs=16, size=(40, 512), kernel=(3, 3), pads=(1, 1, 1, 1)),
    "unet_middle": ConvProblem(inputs=64, outputs=64, size=(20, 128), kernel=(3, 3), pads=(1, 1, 1, 1)),
    "unet_point": ConvProblem(inputs=32, outputs=33, size=(24, 200)),
    "silero_transform": ConvProblem(outputs=258, size=(1, 640), kernel=(1, 256), stride=(1, 128)),
    "silero_encoder": ConvProblem(inputs=129, outputs=128, size=(1, 4), kernel=(1, 3), pads=(0, 1, 0, 1)),
    "silero_stride": ConvProblem(inputs=128, outputs=64, size=(1, 4), kernel=(1, 3), stride=(1, 2), pads=(0, 1, 0, 1)),
    "gtcrn_encoder": ConvProblem(inputs=9, outputs=16, size=(1, 129), kernel=(1, 5), stride=(1, 2), pads=(0, 2, 0, 2)),
    "gtcrn_groups": ConvProblem(
        inputs=16, outputs=16, groups=2, size=(1, 65), kernel=(1, 5), stride=(1, 2), pads=(0, 2, 0, 2)
    ),
    "one_output": ConvProblem(inputs=128, outputs=1, activation=Activation.SIGMOID),
}


@pytest.mark.parametrize("kernel", ["conv_wide", "conv_narrow"])
@pytest.mark.parametrize("name", REAL)
def test_real_shapes(kernel: str, name: str) -> None:
    REAL[name].check(kernel, "cpu", 2, "dense", TOLERANCES[kernel])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("seed", range(8))
def test_lanes_do_not_change_bits(kernel: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, depthwise=kernel == "conv_depthwise")
    if seed < 4:  # a single output: the lanes may run as the rows of one product
        problem = replace(problem, batch=1, size=problem.kernel, dilation=(1, 1), pads=(0, 0, 0, 0))
    together = problem.check(kernel, "cpu", 11, "dense", TOLERANCES[kernel])
    # One lane sees the first numbers that eleven lanes see.
    alone = problem.check(kernel, "cpu", 1, "dense", TOLERANCES[kernel])
    assert together[:1].tobytes() == alone.tobytes()


@pytest.mark.parametrize("kernel", KERNELS)
def test_states(kernel: str) -> None:
    problem = ConvProblem(inputs=1, outputs=20, size=(1, 3), kernel=(1, 3))
    for size in ((1, 3), (1, 20)):
        replace(problem, size=size).check(kernel, "cpu", 3, "dense", TOLERANCES[kernel], Space.STATE)


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_packing_can_be_undone(groups: int) -> None:
    w = np.random.default_rng(0).standard_normal((21 * groups, 5, 2, 3)).astype(np.float32)
    for pack, unpack in (
        (packing.conv_wide, packing.unpack_conv_wide),
        (packing.conv_narrow, packing.unpack_conv_narrow),
    ):
        np.testing.assert_array_equal(unpack(pack(w, groups), w.shape, groups), w)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("unet_first", "conv_wide"),
        ("unet_middle", "conv_wide"),
        ("silero_transform", "conv_narrow"),
        ("silero_encoder", "conv_narrow"),
        ("gtcrn_encoder", "conv_wide"),
        ("one_output", "conv_narrow"),
    ],
)
def test_choice_of_kernel(name: str, expected: str) -> None:
    p = REAL[name]
    shapes = (1, p.inputs, *p.size), (p.outputs, p.inputs // p.groups, *p.kernel), (1, p.outputs, *p.output_size)
    assert packing.choose_convolution(*shapes, p.groups, p.stride, p.dilation) == expected


@pytest.mark.parametrize(
    ("x", "w", "y", "groups", "strides", "expected"),
    [
        ((1, 1, 49, 10), (64, 1, 10, 4), (1, 64, 25, 5), 1, (2, 2), True),
        ((2, 3, 13, 7), (64, 3, 4, 3), (2, 64, 7, 3), 1, (2, 2), True),
        ((1, 64, 25, 5), (64, 64, 1, 1), (1, 64, 25, 5), 1, (1, 1), False),  # one row as it is
        ((1, 64, 25, 5), (64, 32, 3, 3), (1, 64, 25, 5), 2, (1, 1), False),
        ((1, 16, 1, 65), (16, 16, 1, 5), (1, 16, 1, 33), 1, (1, 2), False),
        ((1, 1, 512, 512), (16, 1, 3, 3), (1, 16, 512, 512), 1, (1, 1), False),
    ],
)
def test_choice_of_unfolding(x: tuple, w: tuple, y: tuple, groups: int, strides: tuple, expected: bool) -> None:
    assert packing.pays_unfolded(x, w, y, groups, strides) == expected


def test_choice_of_depthwise_and_huge_windows() -> None:
    assert packing.choose_convolution((1, 16, 3, 33), (16, 1, 3, 3), (1, 16, 1, 33), 16) == "conv_depthwise"
    huge = (1, 64, 300, 300), (64, 64, 101, 101), (1, 64, 200, 200)
    assert packing.choose_convolution(*huge) == "conv_narrow"


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize(
    ("size", "kernel", "dilation"),
    [
        ((25, 5), (3, 3), (1, 1)),
        ((25, 1), (5, 1), (2, 1)),
        ((2, 3), (5, 7), (1, 1)),  # windows larger than the image
        ((30, 17), (1, 3), (1, 4)),
        ((9, 33), (3, 5), (3, 2)),
        ((12, 11), (9, 9), (1, 1)),  # more taps than a table of masks holds
        ((131, 7), (3, 3), (1, 1)),
    ],
)
def test_depthwise_rows_that_run_on(
    backend: str, size: tuple[int, int], kernel: tuple[int, int], dilation: tuple[int, int]
) -> None:
    top, left = ((taps - 1) * step // 2 for taps, step in zip(kernel, dilation, strict=True))
    pads = (top, left, top, left)
    problem = ConvProblem(
        batch=2, inputs=5, outputs=5, groups=5, size=size, kernel=kernel, dilation=dilation, pads=pads
    )
    for activation in (Activation.NONE, Activation.RELU, Activation.LEAKY_RELU, Activation.PRELU, Activation.SIGMOID):
        replace(problem, activation=activation, biased=activation is not Activation.RELU).check(
            "conv_depthwise", backend, 2, "dense", TOLERANCES["conv_depthwise"]
        )


def test_depthwise_rows_that_run_on_and_change_height() -> None:
    for pads in ((0, 1, 0, 1), (2, 0, 0, 2), (0, 2, 2, 0), (3, 1, 4, 1)):
        problem = ConvProblem(inputs=7, outputs=7, groups=7, size=(6, 5), kernel=(3, 3), pads=pads)
        problem.check("conv_depthwise", "cpu", 1, "dense", TOLERANCES["conv_depthwise"])
