"""A graph that was bound to one length, at others: sizes that follow from what arrives, and what has none."""

from __future__ import annotations

import numpy as np
import pytest

from tests.plan.networks import parse, run_onnxruntime, signal
from wavetile.engine.errors import ModelError
from wavetile.engine.graph import Graph, fuse, lengthened, load_network, relative, specialise
from wavetile.engine.plan import Workspace, compile_graph


def bound(body: str, **constants: np.ndarray) -> Graph:
    return specialise(load_network(parse(body, constants=constants).SerializeToString()))


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


FRAMES = np.arange(0, 8, 2)[:, None] + np.arange(3)
"""[4, 3]: frames of three, each two further on."""

NETWORKS = {
    "reshapes": (
        "(float[1,12] x) => (float[1,6,2] y) { a = Reshape(x, s) y = Mul(a, two) }",
        {"s": integers(1, 6, 2), "two": np.array(2, np.float32)},
    ),
    "a size of 0 or -1": (
        "(float[1,12] x) => (float[1,3,4] y) { y = Reshape(x, s) }",
        {"s": integers(0, -1, 4)},
    ),
    "slices": (
        "(float[1,12] x) => (float[1,5] y) { y = Slice(x, a, b, one, two) }",
        {"a": integers(-11), "b": integers(10), "one": integers(1), "two": integers(2)},
    ),
    "a table of frames": (
        "(float[1,12] x) => (float[4,3,1] y) { a = Transpose<perm=[1,0]>(x) y = Gather<axis=0>(a, t) }",
        {"t": FRAMES},
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_a_file_says_of_one_length_follows_from_what_arrives(name: str) -> None:
    body, constants = NETWORKS[name]
    graph = bound(body, **constants)
    part, reasons = relative(graph, {"x": 1})
    assert reasons == {}
    part.outputs = ["y"]
    same, longer = (lengthened(part, {"x": 1}, length) for length in (12, 24))
    assert {key: same.types[key] for key in graph.types if key in same.types} == {
        key: graph.types[key] for key in graph.types if key in same.types
    }
    x = signal((1, 24))
    (expected,) = run_onnxruntime(parse(body, constants=constants), {"x": x[:, :12]})
    np.testing.assert_array_equal(computed(same, x[:, :12]), expected)
    made = computed(longer, x)
    (dim,) = (d for d, sizes in enumerate(zip(made.shape, expected.shape, strict=True)) if sizes[0] != sizes[1])
    # Of the longer signal's elements the first are those of the shorter one.
    np.testing.assert_array_equal(made.take(range(expected.shape[dim]), dim), expected)


def computed(graph: Graph, x: np.ndarray) -> np.ndarray:
    workspace = Workspace(compile_graph(fuse(graph)), "reference")
    workspace.input("x")[0] = x
    workspace.run(1)
    return workspace.output("y")[0].copy()


def test_what_needs_the_length_itself_is_left_out_with_the_reason() -> None:
    graph = bound(
        "(float[1,12] x) => (float[1,5] y, float[1,12] z) "
        "{ a = Relu(x) b = Gemm(a, w) y = Tanh(b) c = Add(a, p) z = Mul(c, c) }",
        w=signal((12, 5)),
        p=signal((1, 12)),
    )
    part, reasons = relative(graph, {"x": 1})
    assert [node.op for node in part.nodes] == ["Relu"]
    by_operator = {node.op: reasons[node.name] for node in graph.nodes if node.name in reasons}
    assert by_operator.keys() == {"Gemm", "Add"}
    assert "can not take the inputs 'a' float32[1, 24], 'w' float32[12, 5]" in by_operator["Gemm"]


@pytest.mark.parametrize(
    ("node", "constants"),
    [
        ("y = ReduceMax<axes=[1], keepdims=1>(x)", {}),
        ("y = Gather<axis=1>(x, t)", {"t": integers(3)}),
        ("y = MatMul(a, x)", {}),
    ],
)
def test_what_does_not_grow_along_one_dimension_is_left_out(node: str, constants: dict[str, np.ndarray]) -> None:
    graph = bound(f"(float[1,12] x) => (float[N,M] y) {{ a = Transpose<perm=[1,0]>(x) {node} }}", **constants)
    part, reasons = relative(graph, {"x": 1})
    assert {node.op for node in part.nodes} <= {"Transpose"}
    (reason,) = reasons.values()
    assert "its output 'y' is float32[" in reason
    assert "of twice the length" in reason


def test_a_length_that_does_not_go_is_refused_with_the_node() -> None:
    graph = bound("(float[1,12] x) => (float[1,3,4] y) { y = Reshape(x, s) }", s=integers(1, 3, 4))
    part, _ = relative(graph, {"x": 1})
    with pytest.raises(ModelError, match="Reshape"):
        lengthened(part, {"x": 1}, 14)
