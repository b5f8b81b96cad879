"""Scans that stay one node: their bodies are bound once, and unrolling gives the numbers of ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx.parser
import pytest
from onnx import ModelProto
from onnx.numpy_helper import from_array

from tests.graph.networks import assert_same_numbers, bound_graph, normal
from wavetile.engine.errors import LimitError
from wavetile.engine.graph import Limits, Scan, fuse, load_network, specialise, unroll_scans, whole_scans


def network(body: str, **constants: np.ndarray) -> ModelProto:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> net {body}')
    model.graph.initializer.extend(from_array(value, name) for name, value in constants.items())
    return model


CELL = """cell (float[2,3] s, float[2,4] e) => (float[2,3] n, float[2,3] o)
    { a = MatMul(e, w) b = Add(s, a) n = Tanh(b) o = Mul(n, scale) }"""
WEIGHTS = {"w": normal(4, 3), "scale": np.array(2.0, np.float32), "z": normal(2, 3)}
DIRECTIONS = "scan_input_directions=[{}], scan_output_directions=[{}]"

NETWORKS = {
    f"{'back' if taken else 'forth'} and {'back' if given else 'forth'}": network(
        f"""(float[2,5,4] x) => (float[2,3] last, float[2,3,5] y) {{
        last, y = Scan<num_scan_inputs=1, scan_input_axes=[1], scan_output_axes=[-1],
        {DIRECTIONS.format(taken, given)}, body = {CELL}>(z, x) }}""",
        **WEIGHTS,
    )
    for taken in (0, 1)
    for given in (0, 1)
} | {
    "what is read from around": network(
        f"""(float[5,2,4] x, float[4,3] w) => (float[2,3] last, float[5,2,3] y) {{
        scale = ReduceMax<keepdims=0>(w) last, y = Scan<num_scan_inputs=1, body = {CELL}>(z, x) }}""",
        z=WEIGHTS["z"],
    ),
    "a constant that is gone over": network(
        """(float[2] x) => (float[2] last, float[5,2] y) { last, y = Scan<num_scan_inputs=1,
        body = cell (float[2] s, float[2] e) => (float[2] n, float[2] o) { n = Add(s, e) o = Exp(e) }>(x, c) }""",
        c=normal(5, 2),
    ),
    "values that are handed on": network(
        """(float[5,2] x) => (float[2] last, float[5,2] y, float[5,2] v, float[5] k) { last, y, v, k =
        Scan<num_scan_inputs=1, body = cell (float[2] s, float[2] e) => (float[2] n, float[2] o, float[2] p, float q)
        { n = Identity(e) o = Identity(s) p = Identity(s) q = Constant<value = float {3.0}>() }>(z, x) }""",
        z=normal(2),
    ),
    "a scan in a scan": network(
        """(float[4,3,2] x) => (float[2] last, float[4,3,2] y) { last, y = Scan<num_scan_inputs=1,
        body = outer (float[2] s, float[3,2] e) => (float[2] n, float[3,2] o) {
            n, o = Scan<num_scan_inputs=1, body = inner (float[2] t, float[2] f) => (float[2] m, float[2] p)
            { a = Mul(t, s) m = Add(a, f) p = Tanh(m) }>(s, e) }>(z, x) }""",
        z=normal(2),
    ),
    "a loop that gathers, along two axes": network(
        """(float[4,4] x) => (float[4] last, float[4,4] y) { last, y = Loop<body =
        cell (int64 i, bool c, float[4] s) => (bool c, float[4] n, float[4] o) {
            e = Gather<axis=0>(x, i) f = Gather<axis=-1>(x, i) a = Mul(s, f) n = Add(a, e) o = Sub(n, w) }>(T, yes, z)
        }""",
        T=np.array(4),
        yes=np.array(True),
        z=normal(4),
        w=normal(4),
    ),
    "a loop that counts and appends": network(
        """(float[4,2] x) => (float[2,8] y, float[4,2] o) { none = SequenceEmpty() last, all, o = Loop<body =
        cell (int64 i, bool c, float[2] s, seq(float[?,?]) q) => (bool d, float[2] n, seq(float[?,?]) r, float[2] p) {
            d = Identity(yes) e = Gather<axis=0>(x, i) n = Add(s, e) j = Cast<to=1>(i) p = Mul(n, j)
            f = Unsqueeze(n, one) g = Concat<axis=1>(f, f) r = SequenceInsert(q, g) }>(T, , z, none)
        y = ConcatFromSequence<axis=-1>(all) }""",
        T=np.array(4),
        yes=np.array(True),
        z=normal(2),
        one=np.array([1]),
    ),
    "a branch that is known": network(
        """(float[4,2] x) => (float[2] last, float[4,2] y) { last, y = Scan<num_scan_inputs=1,
        body = cell (float[2] s, float[2] e) => (float[2] n, float[2] o) {
            n = If(yes) <then_branch = one () => (float[2] a) { a = Add(s, e) },
                else_branch = two () => (float[2] b) { b = Sub(s, e) }> o = Neg(n) }>(z, x) }""",
        z=normal(2),
        yes=np.array(True),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_one_step_stands_for_all(name: str) -> None:
    model = NETWORKS[name]
    graph = bound_graph(model, whole_scans=True)
    assert len(whole_scans(graph)) == 1
    assert not graph.unrolled
    assert_same_numbers(model, unroll_scans(graph))
    assert_same_numbers(model, fuse(graph))
    assert len(whole_scans(graph)) == 1


def test_a_body_is_bound_once() -> None:
    graph = bound_graph(NETWORKS["forth and forth"], whole_scans=True)
    (node,) = graph.nodes
    scan: Scan = node.attributes["scan"]
    assert [inner.op for inner in scan.body] == ["MatMul", "Add", "Tanh", "Mul"]
    assert node.inputs == ("z", "x", "w", "scale")
    assert not scan.body.constants


def test_those_that_are_named_are_unrolled() -> None:
    model = NETWORKS["a scan in a scan"]
    graph = unroll_scans(bound_graph(model, whole_scans=True), {"Scan_0"})
    assert list(whole_scans(graph).values()) == [3] * 4
    assert_same_numbers(model, unroll_scans(graph))


def test_a_state_that_steers_what_is_done_is_unrolled() -> None:
    """Its value is known at every step, and is not the same."""
    model = network(
        """(float[4,2] x) => (int64 last, float[4,R] y) { last, y = Scan<num_scan_inputs=1,
        body = cell (int64 i, float[2] e) => (int64 j, float[2] o) { j = Sub(one, i) w = Cast<to=9>(i)
            o = If(w) <then_branch = a () => (float[2] p) { p = Neg(e) },
                else_branch = b () => (float[2] q) { q = Exp(e) }> }>(none, x) }""",
        none=np.array(0),
        one=np.array(1),
    )
    graph = bound_graph(model, whole_scans=True)
    (unrolled,) = graph.unrolled
    assert (unrolled.loop, unrolled.steps) == ("Scan 'last, y'", 4)
    assert "its condition 'w' depends on the data" in unrolled.reason
    assert graph.histogram()["Neg"] == graph.histogram()["Exp"] == 2
    assert_same_numbers(model, graph)


def test_a_scan_of_too_many_steps_is_not_unrolled() -> None:
    model = NETWORKS["forth and forth"]
    graph = specialise(load_network(model.SerializeToString(), limits=Limits(nodes=16)), whole_scans=True)
    with pytest.raises(LimitError, match=r"Scan 'Scan_0': 5 steps at once would be too many nodes, 4 would work"):
        fuse(graph)
