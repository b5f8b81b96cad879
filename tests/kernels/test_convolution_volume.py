"""`conv_volume` against ONNX Runtime: edges, strides, dilations, groups, activations, lanes, and bits across lanes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from wavetile.kernels import packing, packing_volume, windows
from wavetile.kernels.contract import Space
from wavetile.kernels.opcodes import Activation

from .convolution_problems import ALPHA_BETA, activated, onnx_node
from .harness import Constant, run_kernel
from .layouts import BACKENDS, random_input, random_output
from .tolerances import TOLERANCES

AXES = ("depth", "height", "width")


@dataclass
class VolumeProblem:
    """One convolution; sizes are those of x, pads are those at the start, then those at the end."""

    batch: int = 1
    inputs: int = 1
    outputs: int = 1
    groups: int = 1
    size: tuple[int, ...] = (1, 1, 1)
    kernel: tuple[int, ...] = (1, 1, 1)
    stride: tuple[int, ...] = (1, 1, 1)
    dilation: tuple[int, ...] = (1, 1, 1)
    pads: tuple[int, ...] = (0,) * 6
    activation: Activation = Activation.NONE
    biased: bool = True
    seed: int = field(default=0)

    def check(
        self, backend: str, lanes: int = 1, layout: str = "dense", space: Space = Space.ARENA, block: int | None = None
    ) -> np.ndarray:
        """Run the problem with x in `space`, hold it against ONNX Runtime; what the kernel gave, [lanes, ...]."""
        rng = np.random.default_rng(self.seed)
        shape = (self.outputs, self.inputs // self.groups, *self.kernel)
        w = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        b = rng.standard_normal(self.outputs).astype(np.float32)
        slope = rng.random(self.outputs).astype(np.float32)
        alpha, beta = ALPHA_BETA.get(self.activation, (0.1, 0.0))
        x = replace(random_input((self.batch, self.inputs, *self.size), lanes, rng, layout), space=space)
        output = [
            (n + before + after - (k - 1) * d - 1) // s + 1
            for n, before, after, k, d, s in zip(
                self.size, self.pads[:3], self.pads[3:], self.kernel, self.dilation, self.stride, strict=True
            )
        ]
        block = block or windows.volume_block(self.outputs // self.groups)
        geometry = {
            f"{what}_{axis}": values[index]
            for what, values in (("kernel", self.kernel), ("stride", self.stride), ("dilation", self.dilation))
            for index, axis in enumerate(AXES)
        }
        got = run_kernel(
            "conv_volume",
            backend,
            lanes=lanes,
            x=x,
            weights=Constant(packing_volume.conv_volume(w, self.groups, block)),
            bias=Constant(packing.bias(b)) if self.biased else None,
            y=random_output((self.batch, self.outputs, *output), rng, layout),
            groups=self.groups,
            block=block,
            **geometry,
            pad_front=self.pads[0],
            pad_top=self.pads[1],
            pad_left=self.pads[2],
            activation=self.activation,
            alpha=alpha,
            beta=beta,
            slope=Constant(packing.bias(slope)) if self.activation is Activation.PRELU else None,
        )["y"]
        expected = onnx_node(
            "Conv",
            [x.array.reshape(-1, *x.array.shape[2:]), w, *([b] if self.biased else [])],
            group=self.groups,
            strides=self.stride,
            dilations=self.dilation,
            pads=self.pads,
        )
        expected = activated(expected, self.activation, alpha, beta, slope).reshape(got.shape)
        np.testing.assert_allclose(got, expected, **TOLERANCES["conv_volume"], err_msg=f"on {backend}: {self}")
        return got


def random_problem(rng: np.random.Generator, largest_width: int = 100) -> VolumeProblem:
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
    return VolumeProblem(
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


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("layout", ["dense", "shuffled"])
@pytest.mark.parametrize("seed", range(10))
def test_random_convolutions(backend: str, layout: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(6):
        random_problem(rng).check(backend, int(rng.choice([1, 3])), layout)


@pytest.mark.parametrize("outputs", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 21, 25])
def test_every_number_of_channels(outputs: int) -> None:
    problem = VolumeProblem(inputs=3, outputs=outputs, size=(2, 3, 1), kernel=(3, 3, 3), pads=(1,) * 6)
    for width in (1, 15, 16, 17, 33, 48, 64, 65, 80, 97):
        replace(problem, size=(2, 3, width)).check("cpu")
    for block in (1, 5, 12):
        problem.check("cpu", block=block)


@pytest.mark.parametrize("dilation", [1, 2, 4, 8, 16])
def test_dilated_cubes(dilation: int) -> None:
    problem = VolumeProblem(inputs=5, outputs=5, size=(20, 20, 20), kernel=(3, 3, 3), activation=Activation.RELU)
    replace(problem, dilation=(dilation,) * 3, pads=(dilation,) * 6).check("cpu")


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_wide_volumes_are_cut_into_strips(stride: int) -> None:
    problem = VolumeProblem(inputs=40, outputs=7, size=(3, 4, 700), kernel=(3, 3, 3), stride=(1, 1, stride))
    replace(problem, pads=(1, 1, 1, 1, 1, 1)).check("cpu")


@pytest.mark.parametrize("seed", range(6))
def test_lanes_do_not_change_bits(seed: int) -> None:
    problem = random_problem(np.random.default_rng(seed))
    # One lane sees the first numbers that five lanes see.
    assert problem.check("cpu", 5)[:1].tobytes() == problem.check("cpu", 1).tobytes()


def test_states() -> None:
    VolumeProblem(inputs=2, outputs=3, size=(2, 3, 20), kernel=(2, 2, 3)).check("cpu", 3, space=Space.STATE)


@pytest.mark.parametrize(("groups", "block"), [(1, 6), (2, 8), (3, 5)])
def test_packing_can_be_undone(groups: int, block: int) -> None:
    w = np.random.default_rng(0).standard_normal((13 * groups, 5, 2, 3, 4)).astype(np.float32)
    packed = packing_volume.conv_volume(w, groups, block)
    np.testing.assert_array_equal(packing_volume.unpack_conv_volume(packed, w.shape, groups, block), w)
