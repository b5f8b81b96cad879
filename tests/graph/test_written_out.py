"""Operators that exporters write out as several nodes: found, made one, and left alone where they only look alike."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.plan.networks import assert_matches, compile_model, parse, signal
from wavetile.engine.graph import fuse, load_network, specialise

CONSTANTS = {
    "eps": np.array(1e-5, np.float32),
    "two": np.array(2, np.float32),
    "three": np.array(3, np.float32),
    "zero": np.zeros(1, np.float32),
    "one": np.ones((), np.float32),
    "scale": signal((3, 5), 1),
    "bias": signal((3, 5), 2),
    "wide": signal((4, 2, 3, 5), 3),
}
NORM = """m = ReduceMean<axes=[-2,-1]>(x) d = Sub(x, m) q = Pow(d, two) v = ReduceMean<axes=[-2,-1]>(q)
    e = Add(v, eps) r = Sqrt(e)"""

NORMS = {
    "scale and bias": (f"{NORM} n = Div(d, r) s = Mul(n, scale) y = Add(s, bias)", {"LayerNormalization": 1}),
    "turned round": (f"{NORM} n = Div(d, r) s = Mul(scale, n) y = Add(bias, s)", {"LayerNormalization": 1}),
    "scale alone": (f"{NORM} n = Div(d, r) y = Mul(n, scale)", {"LayerNormalization": 1}),
    "neither": (f"{NORM} y = Div(d, r)", {"LayerNormalization": 1}),
    "squared by a product": (f"{NORM.replace('Pow(d, two)', 'Mul(d, d)')} y = Div(d, r)", {"LayerNormalization": 1}),
    "the product is read": (
        f"{NORM} n = Div(d, r) s = Mul(n, scale) b = Add(s, bias) y = Add(b, s)",
        {"LayerNormalization": 1, "Add": 2},
    ),
    "the difference is read": (f"{NORM} n = Div(d, r) y = Add(n, d)", {"ReduceMean": 2}),
    "the variance is read": (f"{NORM} n = Div(d, r) y = Add(n, v)", {"ReduceMean": 2}),
    "cubed": (f"{NORM.replace('two', 'three')} y = Div(d, r)", {"ReduceMean": 2}),
    "other axes": (f"{NORM.replace('[-2,-1]', '[1]')} y = Div(d, r)", {"ReduceMean": 2}),
    "mean over fewer axes": (f"{NORM.replace('[-2,-1]', '[-1]', 1)} y = Div(d, r)", {"ReduceMean": 2}),
}

PRELUS = {
    "above": ("c = Greater(x, zero) s = Mul(scale, x) y = Where(c, x, s)", {"PRelu": 1}),
    "below": ("c = Less(x, zero) s = Mul(x, scale) y = Where(c, s, x)", {"PRelu": 1}),
    "zero first": ("c = Less(zero, x) s = Mul(x, scale) y = Where(c, x, s)", {"PRelu": 1}),
    "one slope": ("c = GreaterOrEqual(x, zero) s = Mul(x, two) y = Where(c, x, s)", {"LeakyRelu": 1}),
    "the wrong way round": ("c = Less(x, zero) s = Mul(x, scale) y = Where(c, x, s)", {"Where": 1}),
    "not at zero": ("c = Greater(x, one) s = Mul(x, scale) y = Where(c, x, s)", {"Where": 1}),
    "of another value": ("c = Greater(x, zero) n = Neg(x) s = Mul(n, scale) y = Where(c, x, s)", {"Where": 1}),
    "slopes make it larger": (
        "c = Greater(x, zero) s = Mul(x, wide) z = Where(c, x, s) y = ReduceMean<axes=[0]>(z)",
        {"Where": 1},
    ),
}


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("name", [*NORMS, *PRELUS])
def test_written_out(name: str, backend: str) -> None:
    nodes, counts = (NORMS | PRELUS)[name]
    used = {key: value for key, value in CONSTANTS.items() if key in nodes}
    shape = "1,2,3,5" if "wide" in nodes else "2,3,5"
    model = parse(f"(float[{shape}] x) => (float[{shape}] y) {{ {nodes} }}", constants=used)
    feeds = {"x": signal([int(size) for size in shape.split(",")])}
    assert_matches(model, feeds, backend, tolerance=1e-5)
    found = fuse(specialise(load_network(model.SerializeToString()), {"x": feeds["x"].shape})).histogram()
    assert {op: found.get(op, 0) for op in counts} == counts


@pytest.mark.parametrize("slope", [np.inf, np.nan])
def test_a_slope_must_be_finite(slope: float) -> None:
    """Infinity times 0 is no number, but PRelu gives 0."""
    model = parse(
        "(float[2,3] x) => (float[2,3] y) { c = Greater(x, zero) s = Mul(x, k) y = Where(c, x, s) }",
        constants={"zero": CONSTANTS["zero"], "k": np.array(slope, np.float32)},
    )
    feeds = {"x": np.array([[0, 1, -1], [2, 0, 3]], np.float32)}
    assert_matches(model, feeds, "cpu")


def test_a_norm_is_one_instruction() -> None:
    nodes = NORMS["scale and bias"][0]
    used = {key: CONSTANTS[key] for key in ("eps", "two", "scale", "bias")}
    model = parse(f"(float[2,3,5] x) => (float[2,3,5] y) {{ {nodes} }}", constants=used)
    assert compile_model(model, {"x": signal((2, 3, 5))}).kernel_counts() == {"normalize": 1}


def unfolding(
    indices: np.ndarray, pads: list[int], perm: str = "0,1,3,2,4", shape: str = "1,12,2,7"
) -> onnx.ModelProto:
    """x [1, 4, 2, 7], three neighbours of each place gathered into channels, and a 1x1 convolution."""
    nodes = """p = Pad(x, pads) g = Gather<axis=3>(p, i) t = Transpose<perm=[0,1,3,2,4]>(g) u = Reshape(t, shape)
        y = Conv(u, w, b)"""
    constants = {
        "pads": np.array(pads, np.int64),
        "i": indices,
        "shape": np.array([1, 12, 2, 7], np.int64),
        "w": signal((5, 12, 1, 1), 1),
        "b": signal((5,), 2),
    }
    return parse(f"(float[1,4,2,7] x) => (float[1,5,2,7] y) {{ {nodes} }}", constants=constants)


WINDOWS = np.add.outer(np.arange(3), np.arange(7))
UNFOLDED = {
    "centred": (unfolding(WINDOWS, [0, 0, 0, 1, 0, 0, 0, 1]), 1),
    "from behind": (unfolding(WINDOWS, [0, 0, 0, 2, 0, 0, 0, 0]), 1),
    "backwards": (unfolding(WINDOWS[::-1].copy(), [0, 0, 0, 1, 0, 0, 0, 1]), 0),
    "dilated": (
        unfolding(np.add.outer(2 * np.arange(3), np.arange(7)), [0, 0, 0, 2, 0, 0, 0, 2]),
        0,
    ),
}


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("name", UNFOLDED)
def test_unfolded_neighbours(name: str, backend: str) -> None:
    model, folds = UNFOLDED[name]
    feeds = {"x": signal((1, 4, 2, 7))}
    assert_matches(model, feeds, backend, tolerance=1e-5)
    found = fuse(specialise(load_network(model.SerializeToString()), {"x": (1, 4, 2, 7)})).histogram()
    assert found == ({"Conv": 1} if folds else {"Conv": 1, "Pad": 1, "Gather": 1, "Transpose": 1, "Reshape": 1})
