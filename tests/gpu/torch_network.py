"""The networks of networks.py in torch, operator by operator, on any of its devices: what wavetile is timed beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

torch: Any = import_module("torch")
functional: Any = import_module("torch.nn.functional")

Tensors = dict[str, Any]
_LSTM_ROWS = (0, 2, 3, 1)
"""Where torch's gates i, f, g, o are in ONNX's i, o, f, c."""
_GRU_ROWS = (1, 0, 2)
"""Where torch's gates r, z, n are in ONNX's z, r, h."""


class TorchNetwork:
    """A network whose weights are on one device, in one type; `channels_last` lays images out as cuDNN likes them."""

    def __init__(
        self, model: onnx.ModelProto, *, device: str = "cpu", dtype: Any = torch.float32,
        channels_last: bool = False,
    ) -> None:  # fmt: skip
        """Raises ValueError: an operator that networks.py does not use."""
        self._nodes = list(model.graph.node)
        if unknown := {node.op_type for node in self._nodes} - set(_OPERATORS) - set(_LAYERS):
            raise ValueError(f"no torch for {', '.join(sorted(unknown))}")
        self._outputs = [output.name for output in model.graph.output]
        self._device, self._dtype, self._channels_last = device, dtype, channels_last
        arrays = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
        self._arrays = {name: array for name, array in arrays.items() if array.dtype == np.int64}
        self._weights = {name: self.tensor(array) for name, array in arrays.items() if array.dtype != np.int64}
        self._layers = {
            id(node): _layer(node, arrays).to(device=device, dtype=dtype)
            for node in self._nodes
            if node.op_type in _LAYERS
        }
        for layer in self._layers.values():
            layer.flatten_parameters()

    def tensor(self, array: np.ndarray) -> Any:
        """An array where the network wants it, as it wants it."""
        tensor = torch.from_numpy(np.array(array)).to(device=self._device, dtype=self._dtype)
        return (
            tensor.contiguous(memory_format=torch.channels_last) if self._channels_last and tensor.ndim == 4 else tensor
        )

    @torch.inference_mode()
    def __call__(self, inputs: Mapping[str, Any]) -> Tensors:
        """Every output by its name."""
        values = {**self._weights, **inputs}
        for node in self._nodes:
            if layer := self._layers.get(id(node)):
                _run_layer(node, layer, values)
                continue
            given: list[Any] = [self._arrays[name] if name in self._arrays else values.get(name) for name in node.input]
            attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
            values[node.output[0]] = _OPERATORS[node.op_type](*given, **attributes)
        return {name: values[name] for name in self._outputs}


def _conv(x: Any, weights: Any, bias: Any, **attributes: Any) -> Any:
    pads = attributes.get("pads", [0])
    begins, ends = pads[: len(pads) // 2] or [0], pads[len(pads) // 2 :] or [0]
    if begins != ends:
        x, begins = functional.pad(x, [pad for pair in zip(begins, ends, strict=True) for pad in pair]), [0]
    convolve = functional.conv2d if x.ndim == 4 else functional.conv1d
    return convolve(x, weights, bias, attributes.get("strides", 1), begins if len(begins) == x.ndim - 2 else begins[0])


def _max_pool(x: Any, *, kernel_shape: list[int], strides: list[int]) -> Any:
    return functional.max_pool2d(x, kernel_shape, strides)


def _slice(x: Any, first: Any, last: Any, axis: Any) -> Any:
    return x.narrow(int(axis[0]), int(first[0]), int(last[0] - first[0]))


_OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": torch.add,
    "Concat": lambda *parts, axis: torch.cat(parts, axis),
    "Conv": _conv,
    "MatMul": torch.matmul,
    "MaxPool": _max_pool,
    "Mul": torch.mul,
    "Relu": torch.relu,
    "Resize": lambda x, _roi, scales, **_: functional.interpolate(x, scale_factor=2.0, mode="bilinear"),
    "Sigmoid": torch.sigmoid,
    "Slice": _slice,
    "Sqrt": torch.sqrt,
    "Transpose": lambda x, perm: x.permute(*perm),
}
_LAYERS = {"LSTM": (torch.nn.LSTM, _LSTM_ROWS), "GRU": (torch.nn.GRU, _GRU_ROWS)}


def _layer(node: onnx.NodeProto, arrays: Mapping[str, np.ndarray]) -> Any:
    kind, rows = _LAYERS[node.op_type]
    weights, hidden_weights, bias = (arrays[name][0] for name in node.input[1:4])
    hidden = hidden_weights.shape[1]
    layer = kind(weights.shape[1], hidden)
    gates = len(rows)

    def ordered(array: np.ndarray) -> Any:
        return torch.from_numpy(array.reshape(gates, hidden, -1)[list(rows)].reshape(array.shape).copy())

    with torch.no_grad():
        layer.weight_ih_l0.copy_(ordered(weights))
        layer.weight_hh_l0.copy_(ordered(hidden_weights))
        layer.bias_ih_l0.copy_(ordered(bias[: gates * hidden]))
        layer.bias_hh_l0.copy_(ordered(bias[gates * hidden :]))
    return layer


def _run_layer(node: onnx.NodeProto, layer: Any, values: Tensors) -> None:
    states = [values[name] for name in node.input[5:]]
    y, after = layer(values[node.input[0]], tuple(states) if len(states) == 2 else states[0])
    results = [y.unsqueeze(1), *(after if isinstance(after, tuple) else [after])]
    values.update(zip(node.output, results, strict=True))
