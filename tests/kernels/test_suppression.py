"""non_max_suppression against ONNX Runtime, and against its definition where scores are alike or NaN."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from wavetile.kernels.contract import ElementType

from .harness import Out, run_kernel
from .layouts import ALL_BACKENDS, random_input
from .test_indexing import LANES

BATCH, CLASSES, BOXES = 2, 3, 150
INPUTS = (
    ("boxes", TensorProto.FLOAT, (BATCH, BOXES, 4)),
    ("scores", TensorProto.FLOAT, (BATCH, CLASSES, BOXES)),
    ("most", TensorProto.INT64, (1,)),
    ("iou_threshold", TensorProto.FLOAT, (1,)),
    ("score_threshold", TensorProto.FLOAT, (1,)),
)


def on_onnxruntime(center: int, most: int, lane: dict[str, np.ndarray]) -> np.ndarray:
    node = helper.make_node("NonMaxSuppression", [name for name, _, _ in INPUTS], ["y"], center_point_box=center)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info(*value) for value in INPUTS],
        [helper.make_tensor_value_info("y", TensorProto.INT64, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {**lane, "most": np.array([most])})[0])


def suppressed(backend: str, center: int, most: int, values: dict[str, np.ndarray], layout: str) -> list[np.ndarray]:
    """Of each lane the rows that are filled."""
    rng = np.random.default_rng(1)
    tensors = {key: random_input(value.shape[1:], LANES, rng, layout, value) for key, value in values.items()}
    rows = BATCH * CLASSES * min(BOXES, most)
    y, count = Out((rows, 3), element=ElementType.INT64), Out((1,), element=ElementType.INT64)
    got = run_kernel(
        "non_max_suppression", backend, lanes=LANES, center_point_box=center, most=most, y=y, count=count, **tensors
    )
    filled = got["count"][:, 0].tolist()
    assert not any(lane[number:].any() for lane, number in zip(got["y"], filled, strict=True))
    return [lane[:number] for lane, number in zip(got["y"], filled, strict=True)]


def problem(seed: int) -> dict[str, np.ndarray]:
    """No two scores of a class are alike, of which ONNX says no order."""
    rng = np.random.default_rng(seed)
    ranks = rng.permuted(np.broadcast_to(np.arange(BOXES), (LANES, BATCH, CLASSES, BOXES)), axis=3)
    return {
        "boxes": rng.random((LANES, BATCH, BOXES, 4), np.float32),
        "scores": ranks.astype(np.float32),
        "iou_threshold": np.full((LANES, 1), 0.3, np.float32),
        "score_threshold": np.array([[20], [BOXES]], np.float32),  # of the second lane none stays
    }


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("layout", ["dense", "shuffled"])
@pytest.mark.parametrize("center", [0, 1])
@pytest.mark.parametrize("most", [4, 1000])
def test_boxes_that_stay(backend: str, layout: str, center: int, most: int) -> None:
    values = problem(most + center)
    for lane, got in enumerate(suppressed(backend, center, most, values, layout)):
        expected = on_onnxruntime(center, most, {key: value[lane] for key, value in values.items()})
        np.testing.assert_array_equal(got, expected)
        assert len(got) == 0 or lane == 0


@pytest.mark.parametrize("backend", ALL_BACKENDS[1:])
def test_of_equals_the_first_stays_and_no_nan(backend: str) -> None:
    values = problem(2)
    values["scores"] = np.where(values["scores"] % 7 == 0, np.nan, values["scores"] // 40).astype(np.float32)
    values["score_threshold"][:] = 0.5
    expected, got = (suppressed(name, 0, BOXES, values, "dense") for name in ("reference", backend))
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert len(ours) > 0
