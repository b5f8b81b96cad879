"""State that a network carries in parts: it is written over in place, and no step reads what is already new."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from tests.plan.networks import parse, signal
from wavetile.engine.graph import fuse, load_network, specialise
from wavetile.engine.graph.ir import State
from wavetile.engine.plan import Program, Workspace, compile_graph

INDEX = {
    "zero": np.array([0]),
    "one": np.array([1]),
    "two": np.array([2]),
    "three": np.array([3]),
    "four": np.array([4]),
    "five": np.array([5]),
    "axis": np.array([1]),
    "first": np.array([[[0, 0], [0, 1]], [[1, 0], [1, 1]]]),
    "second": np.array([[[0, 2], [0, 3]], [[1, 2], [1, 3]]]),
    "last": np.array([[[0, 3]], [[1, 3]]]),
}
SIGNATURE = "(float[2,1,6] x, float[2,4,6] h) => (float[2,1,6] y, float[2,4,6] n)"

# Name: nodes, and how many copies a step may take.
CASES = {
    # Two windows of two steps each, one behind the other in the cache.
    "two windows": (
        """a = Slice(h, zero, two, axis) b = Concat<axis=1>(a, x) s = ReduceSum<keepdims=1>(b, axis)
        an = Slice(b, one, three, axis) h1 = ScatterND(h, first, an)
        c = Slice(h1, two, four, axis) t = Tanh(s) d = Concat<axis=1>(c, t) y = ReduceSum<keepdims=1>(d, axis)
        cn = Slice(d, one, three, axis) n = ScatterND(h1, second, cn)""",
        4,
    ),
    # The window is read before it is stored, but another node reads the cache it came from.
    "a cache with another reader": (
        """a = Slice(h, zero, two, axis) b = Concat<axis=1>(a, x) s = ReduceSum<keepdims=1>(b, axis)
        an = Slice(b, one, three, axis) n = ScatterND(h, first, an) k = ReduceMax<keepdims=1, axes=[1]>(h)
        y = Add(s, k)""",
        6,
    ),
    # The old value of what was written over is read afterwards.
    "old and new": (
        """a = Slice(h, zero, two, axis) e = Exp(x) two_steps = Concat<axis=1>(e, x)
        n = ScatterND(h, first, two_steps) k = ReduceSum<keepdims=1>(a, axis) y = Add(k, x)""",
        4,
    ),
    "shifted by one": (
        """late = Slice(h, one, four, axis) t = Tanh(x) n = Concat<axis=1>(late, t)
        y = ReduceSum<keepdims=1>(n, axis)""",
        3,
    ),
    "one step replaced": (
        "t = Tanh(x) n = ScatterND(h, last, t) y = ReduceMax<keepdims=1, axes=[1]>(n)",
        1,
    ),
}


def program_of(nodes: str, initial: np.ndarray | None = None) -> tuple[Program, onnxruntime.InferenceSession]:
    model = parse(f"{SIGNATURE} {{ {nodes} }}", constants={key: value.astype(np.int64) for key, value in INDEX.items()})
    graph = fuse(specialise(load_network(model.SerializeToString()), {"x": (2, 1, 6), "h": (2, 4, 6)}))
    program = compile_graph(replace(graph, states=[State("h", "n", (2, 4, 6), initial)]))
    return program, onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("initial", [None, signal((2, 4, 6), 99)], ids=["zeros", "given"])
@pytest.mark.parametrize("name", CASES)
def test_steps(name: str, initial: np.ndarray | None, backend: str) -> None:
    program, session = program_of(CASES[name][0], initial)
    workspace = Workspace(program, backend)
    state = np.zeros((2, 4, 6), np.float32) if initial is None else initial
    for step in range(7):
        x = signal((2, 1, 6), step)
        workspace.input("x")[0] = x
        workspace.run(1)
        expected, state = map(np.asarray, session.run(None, {"x": x, "h": state}))
        np.testing.assert_allclose(workspace.output("y")[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_copies(name: str) -> None:
    program, _ = program_of(CASES[name][0])
    assert program.kernel_counts()["copy"] <= CASES[name][1], program.listing()
