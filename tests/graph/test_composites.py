"""Composites against their formulae, run by wavetile and by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

import wavetile
from wavetile.engine.graph.composites import COMPOSITE_DOMAIN, probabilistic_max_pool, with_composites


def model_of(block: int, shape: tuple[int, ...], opset: int = 17) -> onnx.ModelProto:
    node = helper.make_node("ProbabilisticMaxPool", ["x"], ["detection", "pooled"], domain=COMPOSITE_DOMAIN)
    outputs = [helper.make_tensor_value_info(name, 1, list("NCHW")) for name in ("detection", "pooled")]
    graph = helper.make_graph([node], "net", [helper.make_tensor_value_info("x", 1, shape)], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return with_composites(model, probabilistic_max_pool(block, opset=opset))


def by_formula(x: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """The paper's formula, in float64."""
    batch, channels, height, width = x.shape
    blocks = x.astype(np.float64).reshape(batch, channels, height // block, block, width // block, block)
    energy = np.exp(blocks)
    total = energy.sum(axis=(3, 5), keepdims=True)
    return (energy / (1 + total)).reshape(x.shape), (total / (1 + total))[:, :, :, 0, :, 0]


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("block", [1, 2, 3])
def test_probabilistic_max_pool(block: int, backend: str, tmp_path: Path) -> None:
    x = np.random.default_rng(block).normal(0, 3, (2, 5, 6, 12)).astype(np.float32)
    model = model_of(block, x.shape)
    onnx.save(model, tmp_path / "pool.onnx")
    detection, pooled = by_formula(x, block)
    got = wavetile.load(tmp_path / "pool.onnx", backend=backend).run({"x": x})
    np.testing.assert_allclose(got["detection"], detection, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(got["pooled"], pooled, rtol=1e-5, atol=1e-7)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for ours, theirs in zip(got.values(), session.run(None, {"x": x}), strict=True):
        np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-5, atol=1e-7)


def test_large_inputs_do_not_overflow(tmp_path: Path) -> None:
    x = np.full((1, 1, 2, 2), -500, np.float32)
    x[0, 0, 0, 1] = 500
    onnx.save(model_of(2, x.shape), tmp_path / "pool.onnx")
    got = wavetile.load(tmp_path / "pool.onnx").run({"x": x})
    np.testing.assert_array_equal(got["detection"].ravel(), [0, 1, 0, 0])
    np.testing.assert_array_equal(got["pooled"].ravel(), [1])


@pytest.mark.parametrize(("block", "opset"), [(0, 17), (2, 12)])
def test_what_can_not_be_made_is_refused(block: int, opset: int) -> None:
    with pytest.raises(ValueError, match="needed"):
        probabilistic_max_pool(block, opset=opset)
