"""Hidden state lifted out of offline networks, and the networks that must be refused instead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

from tests.plan.networks import parse, signal
from wavetile.engine.errors import ModelError, UnsupportedError
from wavetile.engine.graph import Graph, fuse, load_network, specialise
from wavetile.engine.plan import certify, compile_graph, lift_state

GRU_WEIGHTS = {"w": signal((1, 12, 5), 1), "r": signal((1, 12, 4), 2), "axis": np.array([1], np.int64)}


def bound(model: onnx.ModelProto, steps: int, shape: tuple[int, ...] = (1, 5)) -> Graph:
    """The network with `steps` on the free first axis of x."""
    return fuse(specialise(load_network(model.SerializeToString()), {"x": (steps, *shape)}))


def recurrent(body: str, **constants: np.ndarray) -> onnx.ModelProto:
    return parse(f"(float[T,1,5] x) => (float[T,1,O] y) {{ {body} }}", constants=GRU_WEIGHTS | constants)


PLAIN = recurrent(
    "t, n = GRU<hidden_size=4>(x, w, r) s = Squeeze(t, axis) m = MatMul(s, v) y = Sigmoid(m)", v=signal((4, 3), 3)
)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_lifted_stream_equals_the_whole(steps: int) -> None:
    lifted = lift_state(bound(PLAIN, steps), bound(PLAIN, 12))
    (state,) = lifted.states
    assert state.shape == (1, 1, 4)
    certificate = certify(compile_graph(lifted), compile_graph(bound(PLAIN, 12)))
    assert (certificate.steps, certificate.max_difference < 1e-6) == (12 // steps, True)


def test_a_stream_without_its_state_fails_the_certificate() -> None:
    with pytest.raises(ModelError, match="differs from the whole"):
        certify(compile_graph(bound(PLAIN, 1)), compile_graph(bound(PLAIN, 12)))


def test_a_recurrence_over_another_axis_is_left_alone() -> None:
    """Time is the batch of this GRU; it runs along frequency, both ways."""
    model = parse(
        '(float[33,T,5] x) => (float[33,2,T,4] y) { y, n = GRU<hidden_size=4, direction="bidirectional">(x, w, r) }',
        constants={"w": signal((2, 12, 5), 1), "r": signal((2, 12, 4), 2)},
    )
    graphs = [fuse(specialise(load_network(model.SerializeToString()), {"x": (33, t, 5)})) for t in (1, 6)]
    assert lift_state(graphs[0], graphs[1]).states == []


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
        "direction is 'bidirectional'",
    ),
    "initial state": (
        recurrent("t, n = GRU<hidden_size=4>(x, w, r, , , h) y = Squeeze(t, axis)", h=np.ones((1, 1, 4), np.float32)),
        "initial state 'h' is not zero",
    ),
    "lengths": (
        recurrent("t, n = GRU<hidden_size=4>(x, w, r, , l) y = Squeeze(t, axis)", l=np.array([3], np.int32)),
        "sequence_lens",
    ),
    # Its memory is longer than any certificate that a load has time for.
    "convolution": (
        recurrent(
            "c = Transpose<perm=[1,2,0]>(x) d = Conv<dilations=[16], pads=[16,0], group=5>(c, k) "
            "e = Transpose<perm=[2,0,1]>(d) t, n = GRU<hidden_size=4>(e, w, r) y = Squeeze(t, axis)",
            k=signal((5, 1, 2), 3),
        ),
        "Conv .* works across the steps",
    ),
    "mean over time": (
        recurrent("m = ReduceMean<axes=[0]>(x) c = Sub(x, m) t, n = GRU<hidden_size=4>(c, w, r) y = Squeeze(t, axis)"),
        "ReduceMean .* works across the steps",
    ),
    "softmax over time": (
        recurrent("c = Softmax<axis=0>(x) t, n = GRU<hidden_size=4>(c, w, r) y = Squeeze(t, axis)"),
        "Softmax .* works across the steps",
    ),
    "best step": (
        recurrent(
            "a = ArgMax<axis=0>(x) b = Cast<to=1>(a) c = Add(x, b) t, n = GRU<hidden_size=4>(c, w, r) "
            "y = Squeeze(t, axis)"
        ),
        "ArgMax .* works across the steps",
    ),
    "steps by steps": (
        recurrent(
            "a = ArgMax<axis=2, keepdims=0>(x) b = Squeeze(a, axis) g = Gather<axis=1>(x, b) c = Sub(x, g) "
            "t, n = GRU<hidden_size=4>(c, w, r) y = Squeeze(t, axis)"
        ),
        "Gather .* works across the steps",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_works_across_steps_is_refused_by_name(name: str) -> None:
    model, words = REFUSED[name]
    with pytest.raises(UnsupportedError, match=words):
        lift_state(bound(model, 1), bound(model, 20))


def test_lifting_does_not_change_its_argument() -> None:
    step, longer = bound(PLAIN, 1), bound(PLAIN, 4)
    before = replace(step, nodes=list(step.nodes), inputs=dict(step.inputs), outputs=list(step.outputs))
    lift_state(step, longer)
    assert (step.nodes, step.inputs, step.outputs) == (before.nodes, before.inputs, before.outputs)
