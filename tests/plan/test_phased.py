"""Strided convolutions by phases: equal to ONNX Runtime's for all paddings and sizes, and only where they pay."""

from __future__ import annotations

import numpy as np
import pytest
from onnx.helper import make_node

from tests.graph.networks import network_proto, session
from wavetile.engine.graph import fuse, load_network, specialise
from wavetile.engine.plan import Program, Workspace, compile_graph


def strided(kernel: tuple[int, int], pads: list[int], size: tuple[int, int], inputs: int = 20, **more: object) -> bytes:
    w = (np.random.default_rng(0).standard_normal((40, inputs, *kernel)) / 25).astype(np.float32)
    node = make_node("Conv", ["x", "w", "b"], ["y"], **{"strides": [2, 2], "pads": pads, **more})
    constants = {"w": w, "b": np.linspace(-1, 1, 40, dtype=np.float32)}
    return network_proto([node], {"x": [2, inputs, *size]}, ["y"], constants).SerializeToString()


def compiled(model: bytes) -> Program:
    return compile_graph(fuse(specialise(load_network(model), {})))


@pytest.mark.parametrize("size", [(54, 70), (55, 69), (53, 66)])
@pytest.mark.parametrize(
    ("kernel", "pads"),
    [
        ((5, 5), [0, 0, 0, 0]),
        ((5, 5), [2, 2, 2, 2]),
        ((5, 5), [1, 2, 2, 1]),
        ((5, 5), [3, 1, 0, 4]),
        ((6, 5), [2, 1, 3, 3]),
        ((6, 6), [0, 4, 1, 1]),
    ],
)
def test_equals_onnxruntime(kernel: tuple[int, int], pads: list[int], size: tuple[int, int]) -> None:
    model = strided(kernel, pads, size)
    program = compiled(model)
    assert program.kernel_counts()["conv_winograd"] == 1
    workspace = Workspace(program)
    x = np.random.default_rng(1).standard_normal((2, 20, *size)).astype(np.float32)
    workspace.input("x")[0] = x
    workspace.run(1)
    (expected,) = session(model).run(None, {"x": x})
    np.testing.assert_allclose(workspace.output("y")[0], expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(
    "model",
    [
        strided((6, 6), [1, 1, 1, 1], (54, 70)),  # four taps of the first phase
        strided((3, 3), [1, 1, 1, 1], (54, 70)),
        strided((5, 5), [2, 2, 2, 2], (54, 70), inputs=1),
        strided((5, 5), [2, 2, 2, 2], (54, 70), strides=[2, 1]),
        strided((5, 5), [2, 2, 2, 2], (54, 70), dilations=[2, 1]),
    ],
    ids=["taps", "small", "few channels", "one stride", "dilation"],
)
def test_others_stay_as_they_are(model: bytes) -> None:
    program = compiled(model)
    assert program.kernel_counts()["conv_winograd"] == 0
    assert program.kernel_counts()["copy"] == 0
