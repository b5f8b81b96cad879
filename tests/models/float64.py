"""Networks in float64, by ONNX's own evaluator: what float32 results are held against where rounding is amplified."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto
from onnx.numpy_helper import from_array, to_array
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun


def float64_outputs(path: Path, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The named outputs of a network of float32, all of it computed in float64."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        _widen(tensor)
    for attribute in (attribute for node in model.graph.node for attribute in node.attribute):
        if attribute.HasField("t"):
            _widen(attribute.t)
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    evaluator = ReferenceEvaluator(model, new_ops=[Conv, ConvTranspose, MaxPool])
    wide = {name: array.astype(np.float64) for name, array in inputs.items()}
    return [np.asarray(output) for output in evaluator.run(names, wide)]


def _widen(tensor: TensorProto) -> None:
    assert tensor.data_type in (TensorProto.FLOAT, TensorProto.INT64), tensor.name
    if tensor.data_type == TensorProto.FLOAT:
        tensor.CopyFrom(from_array(to_array(tensor).astype(np.float64), tensor.name))


def _windows(x: np.ndarray, kernel: Sequence[int], attributes: dict[str, Any], outside: float) -> np.ndarray:
    """[batch, channels, *out, *kernel] of x [batch, channels, *in], which is padded."""
    rank = len(kernel)
    pads, strides = attributes["pads"] or [0] * 2 * rank, attributes["strides"] or [1] * rank
    assert set(attributes["dilations"] or [1]) == {1}
    around = [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(x, around, constant_values=outside), kernel, tuple(range(2, 2 + rank))
    )
    return windows[(..., *(slice(None, None, stride) for stride in strides), *(slice(None),) * rank)]


class Conv(OpRun):
    """Of one group and one image; ONNX's own takes minutes for a volume."""

    def _run(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None, **attributes: Any) -> tuple[np.ndarray]:
        assert attributes["group"] == 1
        windows = _windows(x, w.shape[2:], attributes, 0.0)[0]
        y = np.empty((1, len(w), *windows.shape[1 : w.ndim - 1]))
        kernel = list(range(windows.ndim - 1 - len(w.shape[2:]), windows.ndim - 1))
        for first in range(windows.shape[1]):  # the windows of all would be gigabytes
            y[0, :, first] = np.tensordot(w, windows[:, first], ([1, *range(2, w.ndim)], [0, *kernel]))
        return (y if b is None else y + b.reshape(-1, *(1,) * (y.ndim - 2)),)


class ConvTranspose(OpRun):
    """Of one group and one image."""

    def _run(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None, **attributes: Any) -> tuple[np.ndarray]:
        rank = x.ndim - 2
        strides, pads = attributes["strides"] or [1] * rank, attributes["pads"] or [0] * 2 * rank
        more = attributes["output_padding"] or [0] * rank
        assert attributes["group"] == 1
        assert set(attributes["dilations"] or [1]) == {1}
        sizes = [(n - 1) * s + k + m for n, s, k, m in zip(x.shape[2:], strides, w.shape[2:], more, strict=True)]
        y = np.zeros((1, w.shape[1], *sizes))
        for tap in product(*map(range, w.shape[2:])):
            reached = tuple(slice(t, t + (n - 1) * s + 1, s) for t, n, s in zip(tap, x.shape[2:], strides, strict=True))
            y[(0, slice(None), *reached)] += np.tensordot(w[(..., *tap)], x[0], (0, 0))
        y = y[(..., *(slice(pads[axis], size - pads[rank + axis]) for axis, size in enumerate(sizes)))]
        return (y if b is None else y + b.reshape(-1, *(1,) * rank),)


class MaxPool(OpRun):
    """Without indices and ceil_mode."""

    def _run(self, x: np.ndarray, **attributes: Any) -> tuple[np.ndarray]:
        assert not attributes["ceil_mode"]
        kernel = tuple(attributes["kernel_shape"])
        windows = _windows(x, kernel, attributes, -np.inf)
        return (windows.max(axis=tuple(range(-len(kernel), 0))),)
