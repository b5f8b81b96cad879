"""A rule that is broken on purpose is found out before anything streams: by the planner, or by the certificate.

Mutations that are let through are harmless: what streams is still what onnxruntime makes of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx
import pytest

from tests.plan.mutations import (
    DIFFERS,
    EXCEPTIONS,
    HARMLESS,
    REFUSED,
    SHIFTED,
    SLOWER,
    Mutate,
    chain,
    fill,
    integers,
    neighbours,
    node_as_it_is,
)
from tests.plan.networks import parse, run_onnxruntime, signal
from wavetile.engine.errors import ModelError, UnsupportedError
from wavetile.engine.graph import load_network, specialise
from wavetile.engine.plan.streaming import StreamingAxis, StreamPlan, certify, find_axes
from wavetile.engine.plan.streaming.span import Flow, Margin, Scaled, Spread, Strided, Window
from wavetile.engine.plan.streaming.windows import Growth
from wavetile.engine.session.axis_stream import AxisStream

W3, W4 = signal((2, 2, 3), 1), signal((2, 2, 4), 2)
GRU_WEIGHTS = {"w": signal((1, 12, 2), 3), "r": signal((1, 12, 4), 4)}
NETWORKS: dict[str, onnx.ModelProto] = {
    "convolution": chain("Conv<strides=[2], pads=[2, 1]>(w)", w=W3),
    "two convolutions": chain("Conv<pads=[2, 0]>(w)", "Conv<pads=[0, 2], dilations=[2]>(w)", w=W3),
    "causal": chain("Conv<pads=[2, 0]>(w)", "Tanh()", "Conv<pads=[4, 0], dilations=[2]>(w)", w=W3),
    "pool": chain("MaxPool<kernel_shape=[3], strides=[2], pads=[1, 0], ceil_mode=1>()"),
    "transposed": chain("ConvTranspose<strides=[3], pads=[1, 0], output_padding=[1]>(w)", w=W4),
    "linear": chain('Resize<mode="linear">(, s)', s=np.array([1, 1, 2], np.float32)),
    "nearest": chain('Resize<mode="nearest", nearest_mode="ceil">(, s)', s=np.array([1, 1, 3], np.float32)),
    "mirror": chain('Pad<mode="reflect">(p)', "Tanh()", p=integers(0, 0, 2, 0, 0, 3)),
    "margin": chain(
        "Tanh()", "Pad(p, half)", "Conv(w)", p=integers(0, 0, 2, 0, 0, 3), half=np.array(0.5, np.float32), w=W3
    ),
    "around": parse(
        "(float[1,2,T] x) => (float[1,2,U] y) "
        "{ a = Tanh(x) b = Concat<axis=2>(f, a, l, f) y = Conv<pads=[1, 0]>(b, w) }",
        constants={"f": signal((1, 2, 3), 8), "l": signal((1, 2, 2), 9), "w": W3},
    ),
    "slice": chain("Slice(a, z, two, two)", "Conv(w)", a=integers(1), z=integers(-2), two=integers(2), w=W3),
    "joined": chain(
        "Transpose<perm=[0, 2, 1]>()", "Reshape(s)", "Conv(w)", s=integers(1, 1, -1), w=signal((1, 1, 3), 5)
    ),
    "split": chain(
        "Reshape(s)",
        "Transpose<perm=[0, 1, 3, 2]>()",
        "Reshape(t)",
        "Conv(w)",
        s=integers(1, 2, -1, 2),
        t=integers(1, 4, -1),
        w=signal((2, 4, 3), 6),
    ),
    "layer": parse(
        "(float[1,2,T] x) => (float[T,1,1,4] y) "
        "{ a = Conv<pads=[1, 1]>(x, k) b = Transpose<perm=[2, 0, 1]>(a) y, n = GRU<hidden_size=4>(b, w, r) }",
        constants=GRU_WEIGHTS | {"k": W3},
    ),
    "scan": parse(
        """(float[1,2,T] x) => (float[1,2,T] y) { a = Conv<pads=[1, 1]>(x, k) last, y = Scan<num_scan_inputs=1,
        scan_input_axes=[2], scan_output_axes=[2], body = cell (float[1,2] s, float[1,2] e)
        => (float[1,2] n, float[1,2] o) { m = Mul(s, e) n = Tanh(m) o = Neg(n) }>(z, a) }""",
        constants={"k": W3, "z": np.ones((1, 2), np.float32)},
    ),
    "branches": parse(
        "(float[1,2,T] x) => (float[1,2,T] y) "
        "{ a = Conv<pads=[2, 0]>(x, w) b = Conv<pads=[0, 2]>(x, w) y = Mul(a, b) }",
        constants={"w": W3},
    ),
}


FLOWS: dict[type[Flow], tuple[str, ...]] = {
    Flow: ("causal", "branches", "layer"),
    Window: ("convolution", "two convolutions", "causal", "pool"),
    Spread: ("transposed",),
    Growth: ("linear", "nearest"),
    Margin: ("mirror", "margin", "around"),
    Strided: ("slice",),
    Scaled: ("joined", "split"),
}


@dataclass(frozen=True)
class Mutation:
    """A rule that is broken on purpose."""

    mutate: Mutate
    flow: type[Flow]
    more: int
    networks: tuple[str, ...]
    harmless: str | None = None
    """Why numbers may stay right; `verdict` looks whether they do."""


MUTATIONS: dict[str, Mutation] = {}
for _flow, _networks in FLOWS.items():
    for _mutate, _reasons in SHIFTED.items():
        for _more, _reason in zip((-1, 1), _reasons, strict=True):
            _name = f"{_flow.__name__}.{_mutate.__name__}{_more:+}"
            MUTATIONS[_name] = Mutation(_mutate, _flow, _more, _networks, EXCEPTIONS.get(_name, _reason))
MUTATIONS |= {
    "Window.fill": Mutation(fill, Window, 1, ("causal",)),
    "Margin.fill": Mutation(fill, Margin, 1, ("margin",)),
    "Growth._neighbours-1": Mutation(neighbours, Growth, -1, ("linear", "nearest")),
    "Growth._neighbours+1": Mutation(neighbours, Growth, 1, ("linear", "nearest"), SLOWER),
}
for _operator, _network in {
    "Conv": "convolution",
    "MaxPool": "pool",
    "ConvTranspose": "transposed",
    "Resize": "linear",
    "Pad": "margin",
    "Slice": "slice",
    "GRU": "layer",  # every step of it begins anew
    "Scan": "scan",
}.items():
    MUTATIONS[f"{_operator} as it is"] = Mutation(partial(node_as_it_is, _operator), Flow, 0, (_network,))


def planned(model: onnx.ModelProto) -> StreamPlan:
    network = load_network(model.SerializeToString())
    axis = StreamingAxis("T", {"x": 2})
    return StreamPlan(find_axes(lambda shapes: specialise(network, shapes, whole_scans=True), {"x": (1, 2, 1)}, [axis]))


def verdict(model: onnx.ModelProto) -> str:
    """Who finds out that a network would not stream right; fails if nobody does."""
    try:
        plan = planned(model)
        certify(plan)
    except UnsupportedError:
        return REFUSED
    except ModelError:
        return DIFFERS
    for length in (8, 10, 17, 23):
        try:
            plan.lengths([length])
        except ModelError:
            continue
        x = signal((1, 2, length), 7)
        (whole,) = run_onnxruntime(model, {"x": x}, as_written=True)
        stream = AxisStream(plan, poisoned=True)
        parts = [stream.process({"x": x[:, :, start : start + 3]})["y"] for start in range(0, length, 3)]
        streamed = np.concatenate([*parts, stream.flush()["y"]], plan.bindings.dims["y"][0])
        np.testing.assert_allclose(streamed, whole, atol=1e-4, err_msg=f"{length} elements")
    return HARMLESS


@pytest.mark.parametrize("name", NETWORKS)
def test_rules_as_they_are_let_every_network_stream(name: str) -> None:
    assert verdict(NETWORKS[name]) == HARMLESS


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_rule_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation = MUTATIONS[name]
    mutation.mutate(mutation.flow, mutation.more, monkeypatch)
    verdicts = {network: verdict(NETWORKS[network]) for network in mutation.networks}
    assert mutation.harmless or set(verdicts.values()) != {HARMLESS}
