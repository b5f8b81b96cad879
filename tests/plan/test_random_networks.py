"""Random chains of data movement and arithmetic against onnxruntime: views, elided copies and shared memory survive."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.plan.networks import assert_matches, compile_model, run_program, signal
from wavetile.engine.plan import compile as compiling


class _Growing:
    """A network under construction: values with their shapes, each step appends a node on random earlier values."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.shapes: dict[str, tuple[int, ...]] = {"x": (2, 4, 6), "z": (2, 4, 6)}

    def pick(self) -> str:
        return str(self.rng.choice(list(self.shapes)))

    def constant(self, values: list[int]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def add(self, op: str, inputs: list[str], shape: tuple[int, ...], **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=f"{op}_{name}", **attributes))
        self.shapes[name] = shape
        return name

    def step(self) -> None:
        getattr(
            self,
            f"_{self.rng.choice(['unary', 'binary', 'concat', 'slice', 'transpose', 'reshape', 'pad', 'scatter'])}",
        )()

    def _unary(self) -> None:
        source = self.pick()
        self.add(str(self.rng.choice(["Tanh", "Relu", "Neg"])), [source], self.shapes[source])

    def _binary(self) -> None:
        first = self.pick()
        same = [name for name, shape in self.shapes.items() if shape == self.shapes[first]]
        self.add(str(self.rng.choice(["Add", "Mul", "Sub"])), [first, str(self.rng.choice(same))], self.shapes[first])

    def _concat(self) -> None:
        first = self.pick()
        shape = self.shapes[first]
        axis = int(self.rng.integers(len(shape)))
        if shape[axis] > 12:
            return
        fitting = [
            n
            for n, s in self.shapes.items()
            if len(s) == len(shape) and s[:axis] + s[axis + 1 :] == shape[:axis] + shape[axis + 1 :]
        ]
        parts = [first, *map(str, self.rng.choice(fitting, self.rng.integers(1, 3)))]
        total = sum(self.shapes[part][axis] for part in parts)
        self.add("Concat", parts, (*shape[:axis], total, *shape[axis + 1 :]), axis=axis)

    def _slice(self) -> None:
        source = self.pick()
        shape = self.shapes[source]
        axis = int(self.rng.integers(len(shape)))
        start = int(self.rng.integers(shape[axis]))
        stop = int(self.rng.integers(start + 1, shape[axis] + 1))
        inputs = [source, self.constant([start]), self.constant([stop]), self.constant([axis])]
        self.add("Slice", inputs, (*shape[:axis], stop - start, *shape[axis + 1 :]))

    def _transpose(self) -> None:
        source = self.pick()
        order = self.rng.permutation(len(self.shapes[source])).tolist()
        self.add("Transpose", [source], tuple(self.shapes[source][axis] for axis in order), perm=order)

    def _reshape(self) -> None:
        source = self.pick()
        size = int(np.prod(self.shapes[source]))
        first = int(self.rng.choice([d for d in range(1, size + 1) if size % d == 0]))
        second = int(self.rng.choice([d for d in range(1, size // first + 1) if (size // first) % d == 0]))
        shape = (first, second, size // first // second)
        self.add("Reshape", [source, self.constant(list(shape))], shape)

    def _pad(self) -> None:
        source = self.pick()
        before, after = self.rng.integers(0, 2, 3).tolist(), self.rng.integers(0, 2, 3).tolist()
        shape = tuple(b + s + a for b, s, a in zip(before, self.shapes[source], after, strict=True))
        self.add("Pad", [source, self.constant(before + after)], shape)

    def _scatter(self) -> None:
        source = self.pick()
        shape = self.shapes[source]
        row = int(self.rng.integers(shape[0]))
        updates = [name for name, other in self.shapes.items() if other[1:] == shape[1:] and other[0] == 1]
        if updates:
            name = self.constant([row])
            self.constants[-1] = numpy_helper.from_array(np.array([[row]], np.int64), name)
            self.add("ScatterND", [source, name, str(self.rng.choice(updates))], shape)

    def model(self) -> onnx.ModelProto:
        names = [node.output[0] for node in self.nodes]
        chosen = {names[-1], *map(str, self.rng.choice(names, min(3, len(names)), replace=False))}
        graph = helper.make_graph(
            self.nodes,
            "random",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, self.shapes[n]) for n in ("x", "z")],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, self.shapes[n]) for n in sorted(chosen)],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _grow(seed: int) -> onnx.ModelProto:
    growing = _Growing(seed)
    while len(growing.nodes) < 14:
        growing.step()
    return growing.model()


FEEDS = {"x": signal((2, 4, 6), 1), "z": signal((2, 4, 6), 2)}


@pytest.mark.parametrize("seed", range(120))
def test_random_network_matches_onnxruntime(seed: int) -> None:
    assert_matches(_grow(seed), FEEDS, "cpu")


@pytest.mark.parametrize("seed", range(0, 120, 10))
def test_eliding_copies_changes_no_bit(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _grow(seed)
    elided = compile_model(model, FEEDS)
    monkeypatch.setattr(compiling, "elide_copies", lambda builder: None)
    plain = compile_model(model, FEEDS)
    assert elided.instruction_count <= plain.instruction_count
    with_copies, without = run_program(plain, FEEDS, "cpu"), run_program(elided, FEEDS, "cpu")
    assert all(with_copies[name].tobytes() == without[name].tobytes() for name in with_copies)
