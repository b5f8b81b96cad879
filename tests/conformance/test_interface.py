"""The backend interface as ONNX documents it (onnx.backend.base), beside what the conformance suite calls of it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import parser
from onnx.backend.base import Backend, BackendRep
from onnx.helper import make_node

from tests.conformance.cases import all_cases
from wavetile.engine import onnx_backend
from wavetile.engine.errors import BackendError, SignalError, UnsupportedError

X = np.array([[-1.0, 2.0], [3.0, -4.0]], np.float32)


RELU = '<ir_version: 8, opset_import: ["": 18]> g (float[2,2] x) => (float[2,2] y) { y = Relu(x) }'


def relu() -> onnx.ModelProto:
    return parser.parse_model(RELU)


def test_the_module_is_a_backend() -> None:
    documented = {name for name in vars(Backend) if not name.startswith("_")}
    assert all(getattr(onnx_backend, name) is not None for name in documented)
    assert issubclass(onnx_backend.CpuBackend, Backend)


@pytest.mark.parametrize(
    ("device", "there"), [("CPU", True), ("CPU:0", True), ("CUDA", False), ("CUDA:1", False), ("TPU", False)]
)
def test_devices(device: str, there: bool) -> None:
    assert onnx_backend.supports_device(device) is there
    assert onnx_backend.is_compatible(relu(), device) is there
    if not there:
        with pytest.raises(BackendError, match=device):
            onnx_backend.prepare(relu(), device)


def test_a_prepared_network_runs_again_and_again() -> None:
    prepared = onnx_backend.prepare(relu())
    assert isinstance(prepared, BackendRep)
    for x in (X, -X):
        for inputs in ([x], (x,), x, {"x": x}):
            outputs = prepared.run(inputs)
            assert isinstance(outputs, tuple)
            np.testing.assert_array_equal(outputs[0], np.maximum(x, 0))
    np.testing.assert_array_equal(onnx_backend.run_model(relu(), [X])[0], np.maximum(X, 0))


def test_unknown_arguments_are_named() -> None:
    with pytest.raises(SignalError, match="speed"):
        onnx_backend.prepare(relu(), speed=2)
    with pytest.raises(SignalError, match="speed"):
        onnx_backend.prepare(relu()).run([X], speed=2)


def test_one_node() -> None:
    (y,) = onnx_backend.run_node(make_node("Relu", ["x"], ["y"]), [X])
    np.testing.assert_array_equal(y, np.maximum(X, 0))
    values, indices = onnx_backend.run_node(make_node("TopK", ["x", "k"], ["v", "i"]), {"x": X, "k": np.array([1])})
    np.testing.assert_array_equal(values, [[2], [3]])
    np.testing.assert_array_equal(indices, [[1], [0]])
    (where,) = onnx_backend.run_node(make_node("NonZero", ["x"], ["y"]), [np.maximum(X, 0)])
    np.testing.assert_array_equal(where, [[0, 1], [1, 0]])
    (clipped,) = onnx_backend.run_node(make_node("Clip", ["x", "", "high"], ["y"]), [X, np.array(1, np.float32)])
    np.testing.assert_array_equal(clipped, np.minimum(X, 1))
    (square,) = onnx_backend.run_node(make_node("Mul", ["x", "x"], ["y"]), [X])
    np.testing.assert_array_equal(square, X * X)


def test_one_node_of_an_older_operator_set() -> None:
    node = make_node("Softmax", ["x"], ["y"], axis=0)
    (y,) = onnx_backend.run_node(node, [X], opset_version=11)
    np.testing.assert_allclose(y, np.exp(X) / np.exp(X).sum(), rtol=1e-6)
    (y,) = onnx_backend.run_node(node, [X], opset_version=13)
    np.testing.assert_allclose(y, np.exp(X) / np.exp(X).sum(0), rtol=1e-6)


def test_outputs_info_is_checked() -> None:
    node = make_node("Relu", ["x"], ["y"])
    onnx_backend.run_node(node, [X], outputs_info=[(np.dtype(np.float32), (2, 2))])
    with pytest.raises(SignalError, match="float64"):
        onnx_backend.run_node(node, [X], outputs_info=[(np.dtype(np.float64), (2, 2))])


def test_what_one_node_can_not_take() -> None:
    with pytest.raises(SignalError, match="2 inputs"):
        onnx_backend.run_node(make_node("Relu", ["x"], ["y"]), [X, X])
    with pytest.raises(UnsupportedError, match="RandomUniformLike"):
        onnx_backend.run_node(make_node("RandomUniformLike", ["x"], ["y"]), [X])


def test_compatible_is_what_the_suite_runs() -> None:
    run = [case for case in all_cases() if case.reason_to_skip is None]
    assert [case.name for case in run if not onnx_backend.is_compatible(case.model)] == []
    text = [case for case in all_cases() if case.operator == "StringSplit"]
    assert [case.name for case in text if onnx_backend.is_compatible(case.model)] == []
