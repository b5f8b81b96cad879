"""Weights kept as float16: the numbers of the network whose weights were rounded, from half the bytes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import pytest

from tests.plan.networks import parse, run_program, signal
from wavetile.engine.errors import UnsupportedError
from wavetile.engine.graph import fuse, load_network, specialise
from wavetile.engine.plan import Program, Target, compile_graph

BODY = (
    "(float[1,1,20] x, float[1,1,24] h, float[1,1,24] c) => (float[1,40] z) { "
    "y, n, m = LSTM<hidden_size=24>(x, w, r, b, , h, c) s = Squeeze(y, axes) d = MatMul(s, v) k = Relu(d) "
    "t = Reshape(k, shape) q = Conv(t, f) z = Flatten(q) }"
)
SHAPES = {"w": (1, 96, 20), "r": (1, 96, 24), "v": (24, 32), "f": (40, 32, 1, 1)}
WEIGHTS = {name: 0.3 * signal(shape, seed) for seed, (name, shape) in enumerate(SHAPES.items())}
REST = {
    "b": signal((1, 192), 7),
    "axes": np.array([0], np.int64),
    "shape": np.array([1, 32, 1, 1], np.int64),
}
FEEDS = {"x": signal((1, 1, 20), 8), "h": signal((1, 1, 24), 9), "c": signal((1, 1, 24), 10)}


def compiled(weights: Mapping[str, np.ndarray], halved: tuple[str, ...] = ()) -> Program:
    body = BODY.replace("axes)", "first)").replace("MatMul(s, v)", "MatMul(u, v)")
    body = body.replace("d = MatMul", "u = Reshape(s, row) d = MatMul")
    constants = {**weights, **REST, "first": np.array([0], np.int64), "row": np.array([1, 24], np.int64)}
    model: onnx.ModelProto = parse(body, constants=constants)
    shapes = {name: value.shape for name, value in FEEDS.items()}
    return compile_graph(
        fuse(specialise(load_network(model.SerializeToString()), shapes)), target=Target(halved=halved)
    )


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_equals_the_network_with_rounded_weights(backend: str) -> None:
    rounded = {name: value.astype(np.float16).astype(np.float32) for name, value in WEIGHTS.items()}
    half = compiled(WEIGHTS, ("",))
    counts = half.kernel_counts()
    assert counts["lstm_half"] == 1
    assert counts["dense_half"] == 2
    expected = run_program(compiled(rounded), FEEDS, backend)["z"]
    np.testing.assert_allclose(run_program(half, FEEDS, backend)["z"], expected, rtol=1e-5, atol=1e-6)
    assert half.weight_bytes < 0.6 * compiled(WEIGHTS).weight_bytes


def test_only_the_nodes_that_are_named() -> None:
    counts = compiled(WEIGHTS, ("LSTM",)).kernel_counts()
    assert (counts["lstm_half"], counts["dense_half"], counts["dense"]) == (1, 0, 1)


def test_a_weight_beyond_float16_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="65504"):
        compiled(WEIGHTS | {"v": 1e6 * WEIGHTS["v"]}, ("",))
