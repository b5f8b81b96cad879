"""resize_linear against ONNX Runtime's Resize in three coordinate systems."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from wavetile.engine.plan.rules.resize import reads_near

from .harness import Constant, run_kernel
from .layouts import ALL_BACKENDS, random_input, random_output
from .tolerances import TOLERANCES


def onnx_resize(x: np.ndarray, size: tuple[int, int], mode: str) -> np.ndarray:
    sizes = np.array([*x.shape[:2], *size], np.int64)
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear", coordinate_transformation_mode=mode)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [helper.make_tensor("sizes", TensorProto.INT64, [4], sizes)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def table(source: int, target: int, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours [target, 2] int32 and the second one's weight [target], as ONNX Resize defines the coordinates."""
    i = np.arange(target)
    if mode == "align_corners":
        at = i * (source - 1) / (target - 1) if target > 1 else np.zeros(1)
    else:
        offset = 0.5 if mode == "half_pixel" else 0.0
        at = (i + offset) * (source / target) - offset
    at = np.clip(at, 0, source - 1)
    first = np.floor(at).astype(np.int32)
    return np.stack([first, np.minimum(first + 1, source - 1)], 1).astype(np.int32), (at - first).astype(np.float32)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("layout", ["dense", "shuffled"])
@pytest.mark.parametrize("mode", ["half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize(
    "size",
    [
        ((8, 8), (16, 16)),
        ((5, 33), (11, 70)),
        ((9, 20), (4, 7)),
        ((1, 1), (3, 5)),
        ((3, 16), (6, 32)),
        ((2, 37), (2, 53)),
    ],
)
def test_resize(backend: str, layout: str, mode: str, size: tuple[tuple[int, int], tuple[int, int]]) -> None:
    rng = np.random.default_rng(0)
    source, target = size
    x = random_input((2, 3, *source), 2, rng, layout)
    rows, row_weights = table(source[0], target[0], mode)
    columns, column_weights = table(source[1], target[1], mode)
    got = run_kernel(
        "resize_linear",
        backend,
        lanes=2,
        x=x,
        rows=Constant(rows),
        row_weights=Constant(row_weights),
        columns=Constant(columns),
        column_weights=Constant(column_weights),
        near=int(reads_near(columns)),
        y=random_output((2, 3, *target), rng, layout),
    )["y"]
    expected = onnx_resize(x.array.reshape(-1, 3, *source), target, mode)
    np.testing.assert_allclose(got, expected.reshape(got.shape), **TOLERANCES["resize_linear"])


@pytest.mark.parametrize(
    ("source", "target", "near"), [(16, 32, True), (33, 70, True), (20, 7, False), (70, 33, False)]
)
def test_growing_images_read_near(source: int, target: int, near: bool) -> None:
    assert reads_near(table(source, target, "half_pixel")[0]) is near
