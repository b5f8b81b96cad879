"""Random convolutions, run on a kernel and on ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from wavetile.kernels import packing, packing_winograd, windows
from wavetile.kernels.contract import Space
from wavetile.kernels.opcodes import Activation
from wavetile.kernels.schemas.window import window_operands

from .harness import Constant, run_kernel
from .layouts import random_input, random_output

PACK = {
    "conv_wide": packing.conv_wide,
    "conv_short": packing.conv_wide,
    "conv_narrow": packing.conv_narrow,
    "conv_winograd": packing_winograd.conv_winograd,
    "conv_depthwise": lambda w, groups: packing.conv_depthwise(w),
    "conv_volume": packing.conv_volume,
}


def onnx_node(operator: str, inputs: list[np.ndarray], **attributes: Any) -> np.ndarray:
    """The one output of a one-node network on ONNX Runtime."""
    names = [f"input{i}" for i in range(len(inputs))]
    node = helper.make_node(operator, names, ["y"], **attributes)
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, i.shape) for n, i in zip(names, inputs, strict=True)]
    graph = helper.make_graph([node], "one", values, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, dict(zip(names, inputs, strict=True)))[0])


def activated(x: np.ndarray, activation: Activation, alpha: float, beta: float, slope: np.ndarray) -> np.ndarray:
    """The activation of x [n, channels, ...] by ONNX Runtime."""
    match activation:
        case Activation.NONE:
            return x
        case Activation.LEAKY_RELU:
            return onnx_node("LeakyRelu", [x], alpha=alpha)
        case Activation.ELU:
            return onnx_node("Elu", [x], alpha=alpha)
        case Activation.HARD_SIGMOID:
            return onnx_node("HardSigmoid", [x], alpha=alpha, beta=beta)
        case Activation.CLIP:
            return np.clip(x, np.float32(alpha), np.float32(beta))
        case Activation.PRELU:
            return onnx_node("PRelu", [x, slope.reshape(-1, *[1] * (x.ndim - 2))])
        case Activation.HARD_SWISH:
            return onnx_node("HardSwish", [x])
        case Activation.SWISH:
            return x * onnx_node("Sigmoid", [np.float32(alpha) * x])
    return onnx_node({"RELU": "Relu", "SIGMOID": "Sigmoid", "TANH": "Tanh"}[activation.name], [x])


ALPHA_BETA = {
    Activation.HARD_SIGMOID: (0.2, 0.5),
    Activation.CLIP: (-0.3, 0.8),
    Activation.ELU: (1.3, 0.0),
    Activation.SWISH: (1.7, 0.0),
}


@dataclass
class ConvProblem:
    """One convolution of images or volumes; sizes are those of x, ends of the padding may be negative for none."""

    batch: int = 1
    inputs: int = 1
    outputs: int = 1
    groups: int = 1
    size: tuple[int, ...] = (1, 1)
    kernel: tuple[int, ...] = (1, 1)
    stride: tuple[int, ...] = (1, 1)
    dilation: tuple[int, ...] = (1, 1)
    pads: tuple[int, ...] = (0, 0, 0, 0)
    """Those at the start of each axis, then those at the end."""
    activation: Activation = Activation.NONE
    biased: bool = True
    seed: int = field(default=0)

    @property
    def output_size(self) -> tuple[int, ...]:
        axes = len(self.size)
        return tuple(
            (n + before + after - (k - 1) * d - 1) // s + 1
            for n, before, after, k, d, s in zip(
                self.size, self.pads[:axes], self.pads[axes:], self.kernel, self.dilation, self.stride, strict=True
            )
        )

    def check(
        self,
        kernel: str,
        backend: str,
        lanes: int,
        layout: str,
        tolerance: dict[str, Any],
        space: Space = Space.ARENA,
        block: int | None = None,
    ) -> np.ndarray:
        """Run the problem with x in `space`, hold it against ONNX Runtime; what the kernel gave, [lanes, ...].

        `block`: of the weights of `conv_volume`; None takes what the engine does.
        """
        rng = np.random.default_rng(self.seed)
        shape = (self.outputs, self.inputs // self.groups, *self.kernel)
        w = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        b = rng.standard_normal(self.outputs).astype(np.float32)
        slope = rng.random(self.outputs).astype(np.float32)
        alpha, beta = ALPHA_BETA.get(self.activation, (0.1, 0.0))
        x = random_input((self.batch, self.inputs, *self.size), lanes, rng, layout)
        x = replace(x, space=space)
        block = block or windows.volume_block(self.outputs // self.groups)
        blocks = {"block": block} if kernel == "conv_volume" else {}
        got = run_kernel(
            kernel,
            backend,
            lanes=lanes,
            x=x,
            weights=Constant(PACK[kernel](w, self.groups, **blocks)),
            bias=Constant(packing.bias(b)) if self.biased else None,
            y=random_output((self.batch, self.outputs, *self.output_size), rng, layout),
            groups=self.groups,
            **blocks,
            **window_operands(self.kernel, self.stride, self.dilation, self.pads[: len(self.size)]),
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
        np.testing.assert_allclose(got, expected, **tolerance, err_msg=f"{kernel} on {backend}: {self}")
        return got


def random_problem(rng: np.random.Generator, *, depthwise: bool = False, largest_width: int = 70) -> ConvProblem:
    """A convolution whose windows meet the image at least once; kernels may be larger than the image."""
    channels = (1, 2, 3, 5, 8, 16, 17, 33)
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    inputs = int(rng.choice(channels))
    outputs = int(rng.choice(channels))
    if depthwise:
        groups, inputs, outputs = inputs, 1, int(rng.choice([1, 1, 2, 3]))
    size = int(rng.choice([1, 1, 2, 7, 12])), int(rng.integers(1, largest_width + 1))
    kernel = int(rng.choice([1, 1, 2, 3, 5])), int(rng.choice([1, 2, 3, 5, 8]))
    dilation = int(rng.choice([1, 1, 2, 3])), int(rng.choice([1, 1, 2, 3]))
    pads = []
    for axis in range(2):
        span = (kernel[axis] - 1) * dilation[axis] + 1
        before, after = (int(rng.integers(0, span)) if rng.random() < 0.6 else 0 for _ in range(2))
        pads.append((before, max(after, span - size[axis] - before)))
    return ConvProblem(
        batch=int(rng.choice([1, 1, 2])),
        inputs=inputs * groups,
        outputs=outputs * groups,
        groups=groups,
        size=size,
        kernel=kernel,
        stride=(int(rng.choice([1, 1, 2, 3])), int(rng.choice([1, 1, 2, 3, 4]))),
        dilation=dilation,
        pads=(pads[0][0], pads[1][0], pads[0][1], pads[1][1]),
        activation=Activation(rng.choice(list(Activation))),
        biased=bool(rng.random() < 0.8),
        seed=int(rng.integers(1 << 30)),
    )


def random_small_window(rng: np.random.Generator, largest_width: int = 70) -> ConvProblem:
    """A convolution of 3x3 windows, stride and dilation 1, with any padding, on images that may be smaller."""
    size = int(rng.choice([1, 2, 3, 4, 5, 8, 13, 37])), int(rng.integers(1, largest_width + 1))
    pads = []
    for extent in size:
        before, after = (int(rng.choice([0, 1, 1, 2, 3])) for _ in range(2))
        pads.append((before, max(after, 3 - extent - before)))
    groups = int(rng.choice([1, 1, 1, 2]))
    return ConvProblem(
        batch=int(rng.choice([1, 1, 2, 3])),
        inputs=int(rng.choice([1, 2, 5, 16, 17, 40])) * groups,
        outputs=int(rng.choice([1, 3, 8, 16, 33, 70])) * groups,
        groups=groups,
        size=size,
        kernel=(3, 3),
        pads=(pads[0][0], pads[1][0], pads[0][1], pads[1][1]),
        activation=Activation(rng.choice(list(Activation))),
        biased=bool(rng.random() < 0.8),
        seed=int(rng.integers(1 << 30)),
    )
