"""Batches in parts: the same bits as image by image, less memory, and nothing turned that must not be."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto
from onnx.helper import make_node

from tests.graph.networks import network_proto, session
from wavetile.engine.graph import fuse, load_network, specialise
from wavetile.engine.plan import Program, Workspace, compile_graph

SIZE = (40, 36)


def residual_network(batch: int, *last: NodeProto, outputs: tuple[str, ...] = ("y",)) -> bytes:
    """Two residual blocks with a stride between them, and a mean of each image at the end."""
    rng = np.random.default_rng(0)
    shapes = {"a": (16, 4, 3, 3), "b": (16, 16, 3, 3), "c": (16, 16, 1, 1), "d": (24, 16, 3, 3), "e": (24, 16, 1, 1)}
    constants = {name: (rng.standard_normal(shape) / 8).astype(np.float32) for name, shape in shapes.items()}
    constants["scale"] = np.linspace(0.5, 1.5, 16, dtype=np.float32).reshape(1, -1, 1, 1)
    pads = [1, 1, 1, 1]
    nodes = [
        make_node("Conv", ["x", "a"], ["p"], pads=pads),
        make_node("Mul", ["p", "scale"], ["s"]),
        make_node("Relu", ["s"], ["r"]),
        make_node("Conv", ["r", "b"], ["q"], pads=pads),
        make_node("Add", ["q", "p"], ["sum"]),
        make_node("MaxPool", ["sum"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        make_node("Conv", ["m", "d"], ["t"], pads=pads),
        make_node("Conv", ["m", "e"], ["u"]),
        make_node("Add", ["t", "u"], ["v"]),
        *(last or [make_node("GlobalAveragePool", ["v"], ["y"])]),
    ]
    return network_proto(nodes, {"x": [batch, 4, *SIZE]}, list(outputs), constants).SerializeToString()


def compiled(model: bytes) -> Program:
    return compile_graph(fuse(specialise(load_network(model), {})))


def run(program: Program, x: np.ndarray, backend: str = "cpu") -> dict[str, np.ndarray]:
    workspace = Workspace(program, backend)
    workspace.input("x")[0] = x
    workspace.run(1)
    return {name: workspace.output(name)[0].copy() for name in program.outputs}


def images(batch: int) -> np.ndarray:
    return np.random.default_rng(batch).standard_normal((batch, 4, *SIZE)).astype(np.float32)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("batch", [8, 13])
def test_batches_equal_onnxruntime(batch: int, backend: str) -> None:
    model, x = residual_network(batch), images(batch)
    program = compiled(model)
    assert program.instruction_count > 2 * compiled(residual_network(1)).instruction_count  # it is turned
    (expected,) = session(model).run(None, {"x": x})
    np.testing.assert_allclose(run(program, x, backend)["y"], np.asarray(expected), rtol=1e-4, atol=1e-5)


def test_turning_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = residual_network(12), images(12)
    turned = compiled(model)
    monkeypatch.setattr("wavetile.engine.plan.compile.turn_batches", lambda builder: None)
    straight = compiled(model)
    assert turned.instruction_count > straight.instruction_count
    assert turned.arena_bytes < 0.7 * straight.arena_bytes  # parts share their memory
    assert run(turned, x)["y"].tobytes() == run(straight, x)["y"].tobytes()


def test_values_that_mix_images_are_computed_between() -> None:
    batch = 9
    last = [
        make_node("ReduceMean", ["p"], ["mean"], axes=[0], keepdims=1),
        make_node("Sub", ["sum", "mean"], ["rest"]),
        make_node("Transpose", ["rest"], ["turned"], perm=[1, 0, 2, 3]),
        make_node("Neg", ["turned"], ["y"]),
    ]
    model, x = residual_network(batch, *last, outputs=("y", "v")), images(batch)
    expected = dict(zip(("y", "v"), session(model).run(["y", "v"], {"x": x}), strict=True))
    got = run(compiled(model), x)
    for name, want in expected.items():
        np.testing.assert_allclose(got[name], np.asarray(want), rtol=1e-4, atol=1e-5)
