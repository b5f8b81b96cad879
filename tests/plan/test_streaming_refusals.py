"""Networks that can not stream are refused by the node that hinders them; those that only look so are not."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.plan.networks import parse, signal
from wavetile.engine.errors import ModelError, UnsupportedError
from wavetile.engine.graph import load_network, specialise
from wavetile.engine.plan.streaming import StreamingAxis, StreamPlan, certify, find_axes
from wavetile.engine.plan.streaming.registry import STREAM_RULES, StreamRule
from wavetile.engine.plan.streaming.span import ALIGNED

GRU_WEIGHTS = {"w": signal((1, 12, 5), 1), "r": signal((1, 12, 4), 2), "axis": np.array([1], np.int64)}


def planned(
    model: onnx.ModelProto, shape: tuple[int, ...] = (1, 1, 5), dim: int = 0, step: int | None = None
) -> StreamPlan:
    """Plan the network along one dimension of its input x."""
    network = load_network(model.SerializeToString())
    axis = StreamingAxis("T", {"x": dim})
    return StreamPlan(find_axes(lambda shapes: specialise(network, shapes), {"x": shape}, [axis]), [step])


def recurrent(body: str, **constants: np.ndarray) -> onnx.ModelProto:
    return parse(f"(float[T,1,5] x) => (float[T,1,O] y) {{ {body} }}", constants=GRU_WEIGHTS | constants)


PLAIN = recurrent(
    "t, n = GRU<hidden_size=4>(x, w, r) s = Squeeze(t, axis) m = MatMul(s, v) y = Sigmoid(m)", v=signal((4, 3), 3)
)


@pytest.mark.parametrize("step", [1, 3])
def test_a_hidden_state_is_carried(step: int) -> None:
    certificate = certify(planned(PLAIN, step=step))
    assert certificate.max_difference < 1e-6
    assert certificate.carried_bytes == 16
    assert certificate.axes[0].delay == {"y": 0.0}


def test_an_initial_state_of_its_own_is_where_the_layer_starts() -> None:
    model = recurrent(
        "t, n = GRU<hidden_size=4>(x, w, r, , , h) y = Squeeze(t, axis)", h=np.ones((1, 1, 4), np.float32)
    )
    assert certify(planned(model)).max_difference < 1e-6


def test_a_stream_without_its_state_fails_the_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STREAM_RULES, ("", "GRU"), StreamRule(lambda site: ALIGNED, None))
    with pytest.raises(ModelError, match="differs from the whole"):
        certify(planned(PLAIN))


def test_a_recurrence_over_another_axis_is_left_alone() -> None:
    """Time is the batch of this GRU; it runs along frequency, both ways."""
    model = parse(
        '(float[33,T,5] x) => (float[33,2,T,4] y) { y, n = GRU<hidden_size=4, direction="bidirectional">(x, w, r) }',
        constants={"w": signal((2, 12, 5), 1), "r": signal((2, 12, 4), 2)},
    )
    certificate = certify(planned(model, (33, 1, 5), 1))
    assert (certificate.carried_bytes, certificate.max_difference < 1e-6) == (0, True)


REFUSED = {
    "backwards": (
        recurrent(
            't, n = GRU<hidden_size=4, direction="bidirectional">(x, w2, r2) '
            "a = Slice(t, zero, one, axis) y = Squeeze(a, axis)",
            w2=signal((2, 12, 5), 1),
            r2=signal((2, 12, 4), 2),
            zero=np.array([0], np.int64),
            one=np.array([1], np.int64),
        ),
        "GRU .*direction is 'bidirectional'",
    ),
    "lengths": (
        recurrent("t, n = GRU<hidden_size=4>(x, w, r, , l) y = Squeeze(t, axis)", l=np.array([3], np.int32)),
        "sequence_lens",
    ),
    "mean": (recurrent("m = ReduceMean<axes=[0]>(x) y = Sub(x, m)"), "ReduceMean .* sums or searches along 'T'"),
    "softmax": (recurrent("y = Softmax<axis=0>(x)"), "Softmax .* normalises along 'T'"),
    "best step": (recurrent("a = ArgMax<axis=0>(x) b = Cast<to=1>(a) y = Add(x, b)"), "ArgMax .*'T'"),
    "steps by steps": (
        recurrent("a = ArgMax<axis=2, keepdims=0>(x) b = Squeeze(a, axis) g = Gather<axis=1>(x, b) y = Sub(x, g)"),
        "grows .* each step meets every other one",
    ),
    "last state": (
        parse("(float[T,1,5] x) => (float[1,1,4] y) { t, y = GRU<hidden_size=4>(x, w, r) }", constants=GRU_WEIGHTS),
        "its last state 'y' is an output",
    ),
    "the first steps": (
        recurrent("y = Slice(x, zero, ten, zero)", zero=np.array([0], np.int64), ten=np.array([10], np.int64)),
        "Slice .*depends on the length, or that has an end",
    ),
    "backwards in time": (
        recurrent(
            "y = Slice(x, last, far, zero, last)",
            zero=np.array([0], np.int64),
            last=np.array([-1], np.int64),
            far=np.array([-(1 << 40)], np.int64),
        ),
        "Slice .*turns around",
    ),
    "padded to the same size": (
        parse(
            '(float[1,5,T] x) => (float[1,5,U] y) { y = Conv<auto_pad="SAME_UPPER", strides=[2], group=5>(x, k) }',
            constants={"k": signal((5, 1, 4), 3)},
        ),
        "auto_pad SAME",
    ),
    "wrapped": (
        parse(
            '(float[1,5,T] x) => (float[1,5,U] y) { y = Pad<mode="wrap">(x, p) }',
            constants={"p": np.array([0, 0, 2, 0, 0, 0], np.int64)},
        ),
        "copy of the last one",
    ),
}


@pytest.mark.parametrize("body", ["y = Log(x)", "a = Relu(x) y = Log(a)", "y = Sqrt(x)", "a = Sqrt(x) y = Div(x, a)"])
def test_what_takes_positive_numbers_is_proved_on_them(body: str) -> None:
    assert certify(planned(recurrent(body))).max_difference == 0


def test_numbers_that_are_never_finite_prove_nothing() -> None:
    model = recurrent("a = Neg(x) b = Abs(a) c = Neg(b) y = Log(c)")
    with pytest.raises(ModelError, match="not finite on random signals"):
        certify(planned(model))


def test_what_only_long_signals_show_is_seen() -> None:
    bounds = {"zero": np.array([0], np.int64), "far": np.array([300], np.int64), "last": np.array([-5000], np.int64)}
    for cut in ("zero, far", "last, top"):
        model = recurrent(
            f"a = Relu(x) b = Slice(a, {cut}, zero) y = Abs(b)", **bounds, top=np.array([1 << 62], np.int64)
        )
        with pytest.raises(UnsupportedError, match="treats long signals in another way"):
            planned(model)
    model = recurrent(
        "s = Shape(x) n = Gather(s, first) l = Less(n, limit) c = Cast<to=1>(l) y = Mul(x, c)",
        first=np.array([0], np.int64),
        limit=np.array([1000], np.int64),
    )
    with pytest.raises(UnsupportedError, match="treats long signals in another way"):
        planned(model)


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_the_whole_signal_is_refused_by_name(name: str) -> None:
    model, words = REFUSED[name]
    dim = 0 if model.graph.input[0].type.tensor_type.shape.dim[0].dim_param else 2
    with pytest.raises(UnsupportedError, match=words):
        planned(model, (1, 1, 5) if dim == 0 else (1, 5, 1), dim)
