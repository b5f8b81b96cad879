"""Neural Amp Modeler's WaveNets as offline ONNX networks, from the numbers in a .nam file.

Source: NeuralAmpModelerCore, NAM/wavenet.cpp (order of the weights, and what a layer computes).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from onnx.numpy_helper import from_array, to_array

RATE_HZ = 48000


def _standard(input_size: int, channels: int, head_size: int, head_bias: bool) -> dict[str, Any]:
    """Ten layers that see 2047 samples."""
    return {
        "input_size": input_size,
        "condition_size": 1,
        "channels": channels,
        "head_size": head_size,
        "head_bias": head_bias,
        "kernel_size": 3,
        "dilations": [1 << power for power in range(10)],
        "activation": "Tanh",
        "gated": False,
    }


STREAMED_CONFIG = {"layers": [_standard(1, 16, 8, False), _standard(16, 8, 1, True)]}
"""Of nam_wavenet_stream.onnx: NAM's standard architecture."""


def read_nam(path: Path) -> tuple[Mapping[str, Any], np.ndarray]:
    """The configuration and the weights `[count]` of a WaveNet."""
    content = json.loads(path.read_text("utf-8"))
    assert content["architecture"] == "WaveNet"
    assert content["sample_rate"] == RATE_HZ
    return content["config"], np.array(content["weights"], np.float32)


def read_streamed(path: Path) -> tuple[Mapping[str, Any], np.ndarray]:
    """Configuration and weights of nam_wavenet_stream.onnx, in the order of a .nam file."""
    model = onnx.load(path)
    arrays = {tensor.name: to_array(tensor) for tensor in model.graph.initializer}
    parts = []
    for index, array in enumerate(STREAMED_CONFIG["layers"]):
        channels, layers = array["channels"], len(array["dilations"])
        # The last layer's mixing matrix and its bias lead nowhere, and are not in the file.
        unused = {5 * layers - 2: (channels, channels, 1), 5 * layers - 1: (channels,)} if index else {}
        for name in ("re", *(f"ps.{number}" for number in range(5 * layers)), "hw", "hb"):
            number = int(name[3:]) if name.startswith("ps.") else None
            if number in unused:
                parts.append(np.zeros(unused[number], np.float32))
            elif name != "hb" or array["head_bias"]:
                parts.append(arrays[f"a.{index}.{name}"])
    producers = {node.output[0]: node for node in model.graph.node}
    scale = producers[producers["y"].input[1]].attribute[0].t
    return STREAMED_CONFIG, np.concatenate([part.reshape(-1) for part in (*parts, to_array(scale))])


class _Builder:
    """Takes the weights one after the other, and makes the nodes that read them."""

    def __init__(self, weights: np.ndarray, padded: bool) -> None:
        self._weights, self._padded, self._taken = weights, padded, 0
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def convolve(
        self, source: str, name: str, inside: int, outside: int, *, reach: int = 1, dilation: int = 1, bias: bool
    ) -> str:
        """A convolution that sees nothing to come."""
        inputs = [source, self.constant(f"{name}.weight", self.take(outside, inside, reach))]
        if bias:
            inputs.append(self.constant(f"{name}.bias", self.take(outside)))
        pads = [(reach - 1) * dilation if self._padded else 0, 0]
        return self.node("Conv", inputs, name, dilations=[dilation], kernel_shape=[reach], pads=pads)

    def cropped(self, source: str, name: str, first: int) -> str:
        """What a convolution without padding leaves room for; with padding, all of it."""
        if self._padded:
            return source
        bounds = [(f"{name}.first", first), (f"{name}.last", np.iinfo(np.int64).max), (f"{name}.axis", 2)]
        return self.node("Slice", [source, *(self.constant(*bound) for bound in bounds)], name)

    def node(self, op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(make_node(op, inputs, [name], name=f"{op} {name}", **attributes))
        return name

    def constant(self, name: str, value: np.ndarray | int) -> str:
        array = np.array([value], np.int64) if isinstance(value, int) else value
        self.constants.append(from_array(np.ascontiguousarray(array), name))
        return name

    def take(self, *shape: int) -> np.ndarray:
        count = int(np.prod(shape))
        self._taken += count
        return self._weights[self._taken - count : self._taken].reshape(shape)

    @property
    def is_complete(self) -> bool:
        return self._taken == len(self._weights)


def offline_network(config: Mapping[str, Any], weights: np.ndarray, *, padded: bool = True) -> onnx.ModelProto:
    """x `[1, 1, T]` -> y `[1, 1, T]`; `padded`: as if zeros came before each layer, which is how the plug-in begins.

    Otherwise y is shorter by what the network sees of the past, and everything beside a convolution is cropped, which
    is how NAM trains.
    """
    build = _Builder(weights, padded)
    source, head = "x", ""
    seen = 0
    for index, array in enumerate(config["layers"]):
        channels, reach = array["channels"], array["kernel_size"]
        assert array["activation"] == "Tanh"
        assert not array["gated"]
        source = build.convolve(source, f"{index}.in", array["input_size"], channels, bias=False)
        for layer, dilation in enumerate(array["dilations"]):
            name, crop = f"{index}.{layer}", (reach - 1) * dilation
            seen += crop
            z = build.convolve(source, f"{name}.conv", channels, channels, reach=reach, dilation=dilation, bias=True)
            mixed = build.convolve("x", f"{name}.mixed", array["condition_size"], channels, bias=False)
            z = build.node("Add", [z, build.cropped(mixed, f"{name}.condition", seen)], f"{name}.z")
            z = build.node("Tanh", [z], f"{name}.tanh")
            inner = build.convolve(z, f"{name}.inner", channels, channels, bias=True)
            source = build.node("Add", [build.cropped(source, f"{name}.straight", crop), inner], f"{name}.out")
            head = build.node("Add", [build.cropped(head, f"{name}.older", crop), z], f"{name}.head") if head else z
        head = build.convolve(head, f"{index}.head", channels, array["head_size"], bias=array["head_bias"])
    scale = build.constant("scale", build.take(1))
    build.node("Mul", [head, scale], "y")
    assert build.is_complete
    value = make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 1, "T"])
    result = make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 1, "T" if padded else "U"])
    graph = make_graph(build.nodes, "wavenet", [value], [result], build.constants)
    return make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=8)


def receptive_field(config: Mapping[str, Any]) -> int:
    """Samples that one output sample sees, its own included."""
    return 1 + sum((array["kernel_size"] - 1) * sum(array["dilations"]) for array in config["layers"])
