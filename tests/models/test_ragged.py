"""Outputs whose size depends on the data: one program gives what onnxruntime gives, however long it is."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.plan.networks import parse, run_onnxruntime
from wavetile.engine.errors import UnsupportedError
from wavetile.engine.graph import load_network, specialise
from wavetile.engine.models.evaluator import Evaluator
from wavetile.engine.plan import Target, compile_graph

NETWORKS = {
    "NonZero": "(float[3,4,2] x, float[5] c) => (int64[3,N] y) { r = Round(x) y = NonZero(r) }",
    "NonZero of integers": "(float[3,4,2] x, float[5] c) => (int64[3,N] y) { r = Cast<to=7>(x) y = NonZero(r) }",
    "Compress": (
        "(float[3,4,2] x, float[5] c) => (float[N] y, float[3,M,2] z, double[K,4,2] w) { b = Greater(c, zero) "
        "y = Compress(x, b) z = Compress<axis=1>(x, b) d = Cast<to=11>(x) w = Compress<axis=-3>(d, b) }"
    ),
    "Unique": (
        "(float[3,4,2] x, float[5] c) => (float[N] y, int64[N] first, int64[24] which, int64[N] counts) "
        "{ r = Round(x) y, first, which, counts = Unique(r) }"
    ),
    "Unique as they come": (
        "(float[3,4,2] x, float[5] c) => (int64[N] y, int64[24] which) "
        "{ r = Cast<to=7>(x) y, first, which = Unique<sorted=0>(r) }"
    ),
    "Unique slices": (
        "(float[3,4,2] x, float[5] c) => (float[3,N,2] y, int64[N] counts) "
        "{ r = Sign(x) q = Clip(r, zero) y, first, which, counts = Unique<axis=1>(q) }"
    ),
    "twice the same": (
        "(float[3,4,2] x, float[5] c) => (int64[3,N] y, int64[3,N] z) { r = Round(x) y = NonZero(r) z = Identity(y) }"
    ),
}


def evaluator(model: onnx.ModelProto, backend: str) -> Evaluator:
    return Evaluator(load_network(model.SerializeToString()), Target(backend), threads=1)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("name", NETWORKS)
def test_sizes_and_numbers_are_onnxruntimes(name: str, backend: str) -> None:
    model = parse(NETWORKS[name], constants={"zero": np.zeros((), np.float32)})
    network = evaluator(model, backend)
    sizes = set()
    for seed in range(4):
        rng = np.random.default_rng(seed)
        feeds = {"x": rng.standard_normal((3, 4, 2)).astype(np.float32), "c": rng.standard_normal(5).astype(np.float32)}
        feeds["x"] *= seed / 2  # at first nothing at all is found
        theirs = run_onnxruntime(model, feeds)
        ours = network.run(feeds)
        for value, expected in zip(model.graph.output, theirs, strict=True):
            np.testing.assert_array_equal(ours[value.name], expected)
            assert ours[value.name].dtype == expected.dtype
        sizes.add(theirs[0].shape)
    assert len(sizes) > 1


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("center", [0, 1])
@pytest.mark.parametrize("most", [3, 1000])
def test_non_max_suppression(backend: str, center: int, most: int) -> None:
    model = parse(
        "(float[2,40,4] b, float[2,3,40] s, float[1] t) => (int64[N,3] y) "
        f"{{ y = NonMaxSuppression<center_point_box={center}>(b, s, most, iou, t) }}",
        constants={"most": np.array([most]), "iou": np.array([0.3], np.float32)},
    )
    network = evaluator(model, backend)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        scores = rng.permutation(240).reshape(2, 3, 40).astype(np.float32)  # no two alike: their order is not defined
        feeds = {"b": rng.random((2, 40, 4)).astype(np.float32), "s": scores, "t": np.full(1, 60, np.float32)}
        np.testing.assert_array_equal(network.run(feeds)["y"], run_onnxruntime(model, feeds)[0])


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_of_no_boxes_wanted_none_stay(backend: str) -> None:
    model = parse("(float[1,4,4] b, float[1,1,4] s) => (int64[N,3] y) { y = NonMaxSuppression(b, s) }")
    rng = np.random.default_rng(0)
    feeds = {"b": rng.random((1, 4, 4)).astype(np.float32), "s": rng.random((1, 1, 4)).astype(np.float32)}
    assert evaluator(model, backend).run(feeds)["y"].shape == (0, 3)


def test_a_program_without_its_counts_is_refused() -> None:
    model = parse("(float[5] x) => (int64[1,N] y) { y = NonZero(x) }")
    graph = specialise(load_network(model.SerializeToString()))
    with pytest.raises(UnsupportedError, match="output 'y': its size depends on the data"):
        compile_graph(graph)
