"""The certificate compares outputs of every type, and says what it found."""

from __future__ import annotations

import numpy as np
import pytest

from tests.plan.networks import parse, signal
from wavetile.engine.errors import ModelError
from wavetile.engine.graph import load_network, specialise
from wavetile.engine.plan.streaming import StreamingAxis, StreamPlan, certify, find_axes
from wavetile.engine.plan.streaming.certificate import TELLING
from wavetile.engine.plan.streaming.span import Window

LAST_NODES = {
    "bool": "y = Greater(a, limit)",
    "int64": "y = ArgMax<axis=1>(a)",
    "int8": "b = Mul(a, scale) y = Cast<to=3>(b)",
    "int32": "b = Mul(a, scale) y = Cast<to=6>(b)",
    "uint64": "b = Mul(a, scale) c = Relu(b) y = Cast<to=13>(c)",
    "float16": "y = Cast<to=10>(a)",
    "double": "y = Cast<to=11>(a)",
}


def planned(dtype: str, axes: str) -> StreamPlan:
    """A network of one or two axes whose output has this type."""
    rank = len(axes.split(","))
    model = parse(
        f"(float[1,2,{axes}] x) => ({dtype}[1,C,{axes.lower()}] y) "
        f"{{ a = Conv<pads={[1] * 2 * rank}>(x, w) {LAST_NODES[dtype]} }}",
        constants={
            "w": signal((3, 2, *[3] * rank)),
            "limit": np.array(0.1, np.float32),
            "scale": np.array(30, np.float32),
        },
    )
    network = load_network(model.SerializeToString())
    streaming = [StreamingAxis(name, {"x": 2 + place}) for place, name in enumerate(axes.split(","))]
    return StreamPlan(find_axes(lambda shapes: specialise(network, shapes), {"x": (1, 2, *[1] * rank)}, streaming))


@pytest.mark.parametrize("axes", ["T", "H,W"])
@pytest.mark.parametrize("dtype", LAST_NODES)
def test_outputs_of_every_type(dtype: str, axes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(dtype, axes)
    assert certify(plan).max_difference < 1e-5
    whole = Window.reads
    # Nothing may stay right by chance because a type has no NaN.
    monkeypatch.setattr(Window, "reads", lambda self, made, total: whole(self, made, total)._replace(start=made.start))
    with pytest.raises(ModelError, match="differs from the whole"):
        certify(planned(dtype, axes))


@pytest.mark.parametrize("dtype", ["bool", "int64", "float16"])
def test_what_never_comes_out_is_missed(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(dtype, "T")
    whole = Window.count
    monkeypatch.setattr(Window, "count", lambda self, arrived, ended: whole(self, arrived, False))
    with pytest.raises(ModelError, match="differs from the whole by nan"):
        certify(plan)


def plain(body: str, **constants: np.ndarray) -> StreamPlan:
    network = load_network(
        parse(f"(float[1,2,T] x) => (float[1,C,U] y) {{ {body} }}", constants=constants).SerializeToString()
    )
    axis = StreamingAxis("T", {"x": 2})
    return StreamPlan(find_axes(lambda shapes: specialise(network, shapes), {"x": (1, 2, 1)}, [axis]))


def test_a_network_that_signals_saturate_is_proved_on_fainter_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    body = "a = Mul(x, x) b = Conv<pads=[2,0]>(a, w) y = Sigmoid(b)"
    constants = {"w": np.full((1, 2, 3), 300, np.float32)}
    certificate = certify(plain(body, **constants))
    assert certificate.max_difference < 1e-5
    assert certificate.variation > TELLING
    whole = Window.reads
    monkeypatch.setattr(Window, "reads", lambda self, made, total: whole(self, made, total)._replace(start=made.start))
    with pytest.raises(ModelError, match="differs from the whole"):
        certify(plain(body, **constants))


def test_outputs_that_never_vary_show_nothing() -> None:
    assert certify(plain("y = Sub(x, x)")).variation == 0
