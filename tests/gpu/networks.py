"""Random networks in the shapes of trained ones, for machines that have no trained ones, and single layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

GATES = {"LSTM": 4, "GRU": 3}
TILE = 512
"""Pixels along each side of a U-Net's tile."""


@dataclass(frozen=True)
class RandomNetwork:
    """A network in ONNX, what it is fed with, and which outputs are its next states."""

    name: str
    model: onnx.ModelProto
    inputs: Mapping[str, np.ndarray]
    states: Mapping[str, str] = field(default_factory=dict)
    """State input -> output."""


class _Builder:
    """Nodes with random weights, whose results are about as large as what goes in."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._initialisers: list[onnx.TensorProto] = []

    def node(self, operator: str, inputs: Sequence[str], *, outputs: Sequence[str] = (), **attributes: Any) -> str:
        named = list(outputs) or [f"{operator.lower()}_{len(self._nodes)}"]
        self._nodes.append(helper.make_node(operator, list(inputs), named, **attributes))
        return named[0]

    def constant(self, array: np.ndarray) -> str:
        name = f"constant_{len(self._initialisers)}"
        self._initialisers.append(numpy_helper.from_array(array, name))
        return name

    def weights(self, *shape: int, inner: int) -> str:
        return self.constant((self._rng.standard_normal(shape) * np.sqrt(2 / inner)).astype(np.float32))

    def convolution(self, x: str, inputs: int, outputs: int, kernel: Sequence[int], **attributes: Any) -> str:
        weights = self.weights(outputs, inputs, *kernel, inner=inputs * int(np.prod(kernel)))
        return self.node("Conv", [x, weights, self.weights(outputs, inner=100)], kernel_shape=kernel, **attributes)

    def recurrent(self, operator: str, x: str, hidden: int, inner: int, states: Sequence[str]) -> None:
        """A layer of one direction; its outputs are y, h_out and, of an LSTM, c_out."""
        rows = GATES[operator] * hidden
        parts = [
            self.weights(1, rows, inner, inner=2 * inner),
            self.weights(1, rows, hidden, inner=2 * hidden),
            self.weights(1, 2 * rows, inner=100),
        ]
        extra = {"linear_before_reset": 1} if operator == "GRU" else {}
        outputs = ["y", *(f"{state}_out" for state in states)]
        self.node(operator, [x, *parts, "", *states], outputs=outputs, hidden_size=hidden, **extra)

    def finish(self, name: str, shapes: Mapping[str, Sequence[int]], outputs: Mapping[str, Sequence[int]],
               states: Sequence[str] = ()) -> RandomNetwork:  # fmt: skip
        """`states`: inputs whose next values are outputs of that name with `_out`."""
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in shapes.items()],
            [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in outputs.items()],
            self._initialisers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        inputs = {
            key: (0.5 * self._rng.standard_normal(tuple(shape))).astype(np.float32) for key, shape in shapes.items()
        }
        return RandomNetwork(name, model, inputs, {state: f"{state}_out" for state in states})


def recurrent_layer(operator: str, hidden: int, batch: int, steps: int = 1) -> RandomNetwork:
    """One LSTM or GRU layer with as many inputs as cells; its state is an input and an output."""
    builder = _Builder()
    states = ["h", "c"] if operator == "LSTM" else ["h"]
    builder.recurrent(operator, "x", hidden, hidden, states)
    state = [1, batch, hidden]
    return builder.finish(
        f"{operator} {hidden}, batch {batch}, {steps} steps" if steps > 1 else f"{operator} {hidden}, batch {batch}",
        {"x": [steps, batch, hidden], **dict.fromkeys(states, state)},
        {"y": [steps, 1, batch, hidden], **{f"{name}_out": state for name in states}},
        states,
    )


def convolution_layer(inputs: int, outputs: int, pixels: int) -> RandomNetwork:
    """A 3x3 convolution of an image, with bias and ReLU."""
    builder = _Builder()
    y = builder.convolution("x", inputs, outputs, (3, 3), pads=[1, 1, 1, 1])
    builder.node("Relu", [y], outputs=["y"])
    return builder.finish(
        f"convolution 3x3, {inputs} to {outputs}, {pixels} x {pixels}",
        {"x": [1, inputs, pixels, pixels]},
        {"y": [1, outputs, pixels, pixels]},
    )


def unet(pixels: int = TILE) -> RandomNetwork:
    """The shapes of the card nuclei_unet: 16 to 128 channels, two 3x3 convolutions a level, linear upsampling."""
    builder = _Builder()

    def level(x: str, inputs: int, outputs: int) -> str:
        x = builder.convolution(x, inputs, outputs, (3, 3), pads=[1, 1, 1, 1])
        return builder.node("Relu", [builder.convolution(x, outputs, outputs, (3, 3), pads=[1, 1, 1, 1])])

    x, channels, skipped = "image", 1, []
    for wider in (16, 32, 64):
        x = level(x, channels, wider)
        skipped.append(x)
        x, channels = builder.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2]), wider
    x, channels = level(x, channels, 128), 128
    for narrower in (64, 32, 16):
        scales = builder.constant(np.array([1, 1, 2, 2], np.float32))
        x = builder.node("Resize", [x, "", scales], mode="linear", coordinate_transformation_mode="half_pixel")
        x = builder.node("Concat", [skipped.pop(), builder.convolution(x, channels, narrower, (1, 1))], axis=1)
        x, channels = level(x, channels, narrower), narrower
    builder.node("Sigmoid", [builder.convolution(x, channels, 1, (1, 1))], outputs=["mask"])
    return builder.finish("U-Net", {"image": [1, 1, pixels, pixels]}, {"mask": [1, 1, pixels, pixels]})


def voice_activity() -> RandomNetwork:
    """The shapes of Silero VAD at 16 kHz: a transform as a convolution, four convolutions, an LSTM, a sigmoid."""
    builder, bins = _Builder(), 129
    spectrum = builder.convolution("frame", 1, 2 * bins, (256,), strides=[128], pads=[0, 64])
    parts = []
    for first in (0, bins):
        places = [builder.constant(np.array([place], np.int64)) for place in (first, first + bins, 1)]
        part = builder.node("Slice", [spectrum, *places])
        parts.append(builder.node("Mul", [part, part]))
    x = builder.node("Sqrt", [builder.node("Add", parts)])
    for inputs, outputs, stride in ((bins, 128, 1), (128, 64, 2), (64, 64, 2), (64, 128, 1)):
        x = builder.convolution(x, inputs, outputs, (3,), pads=[1, 1], strides=[stride])
        x = builder.node("Relu", [x])
    builder.recurrent("LSTM", builder.node("Transpose", [x], perm=[2, 0, 1]), 128, 128, ["h", "c"])
    last = builder.node("Relu", ["h_out"])
    builder.node("Sigmoid", [builder.node("MatMul", [last, builder.weights(128, 1, inner=128)])], outputs=["speech"])
    state = [1, 1, 128]
    return builder.finish(
        "voice activity",
        {"frame": [1, 1, 576], "h": state, "c": state},
        {"speech": [1, 1, 1], "h_out": state, "c_out": state},
        ["h", "c"],
    )
