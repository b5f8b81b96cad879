"""Networks of other types than float32: right, or refused with their node named."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import parser

from wavetile.engine.errors import ModelError, UnsupportedError
from wavetile.engine.onnx_backend import CpuBackend, ReferenceBackend

BACKENDS = pytest.mark.parametrize("backend", [CpuBackend, ReferenceBackend], ids=["cpu", "reference"])


def network(text: str, opset: int = 18) -> onnx.ModelProto:
    return parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> {text}')


REFUSED = {
    "logarithm": ("g (double[1,4] x) => (int64[1,1] y) { i = Cast<to=7>(x) y = ReduceLogSum(i) }", "ReduceLogSum"),
    "conv": ("g (double[1,1,5] x, double[1,1,3] w) => (double[1,1,3] y) { y = Conv(x, w) }", "Conv"),
    "pool": ("g (double[1,1,6] x) => (double[1,1,3] y) { y = MaxPool<kernel_shape=[2], strides=[2]>(x) }", "MaxPool"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_there_is_refused_with_its_node(name: str) -> None:
    text, operator = REFUSED[name]
    model = network(text)
    inputs = [
        np.ones([dim.dim_value for dim in one.type.tensor_type.shape.dim], np.float64) for one in model.graph.input
    ]
    with pytest.raises(UnsupportedError, match=operator):
        CpuBackend.run_model(model, inputs)


@BACKENDS
def test_one_value_under_several_names(backend: type[CpuBackend]) -> None:
    model = network("g (float[3] x) => (float[3] y, float[3] z) { q = Relu(x) y = Identity(q) z = Identity(q) }")
    x = np.array([-1, 0, 2], np.float32)
    for output in backend.run_model(model, [x]):
        np.testing.assert_array_equal(output, np.maximum(x, 0))


def test_float64_is_computed_where_fusion_would_only_know_float32() -> None:
    model = network(
        "g (double[2,3] x) => (double[2,3] y) { zero = Constant<value = double {0.0}>()"
        " slope = Constant<value = double {0.25}>() above = Greater(x, zero) below = Mul(x, slope)"
        " y = Where(above, x, below) }"
    )
    x = np.array([[-4, 0, 2], [1, -1, 8]], np.float64)
    np.testing.assert_array_equal(CpuBackend.run_model(model, [x])[0], np.where(x > 0, x, x / 4))


@BACKENDS
def test_a_slope_of_float64(backend: type[CpuBackend]) -> None:
    model = network("g (double[4] x, double[4] s) => (double[4] y) { y = PRelu(x, s) }")
    x, slope = np.array([-1.5, 2, 0, -4]), np.array([0.1, 3, 3, -2])
    np.testing.assert_array_equal(backend.run_model(model, [x, slope])[0], np.where(x < 0, x * slope, x))


def test_what_follows_a_product_of_float64_is_not_lost() -> None:
    model = network(
        "g (double[2,2] x) => (double[2,2] y) { w = Constant<value = double[2,2] {1, 2, 3, 4}>()"
        " b = Constant<value = double[2] {-9, 1}>() p = MatMul(x, w) s = Add(p, b) r = Relu(s) g = Gemm(r, w, b)"
        " y = Relu(g) }"
    )
    x, w, b = np.ones((2, 2)), np.array([[1.0, 2], [3, 4]]), np.array([-9.0, 1])
    expected = np.maximum(np.maximum(x @ w + b, 0) @ w + b, 0)
    np.testing.assert_array_equal(CpuBackend.run_model(model, [x])[0], expected)


@pytest.mark.parametrize("bounds", [(0.0, np.inf, 1.0), (0.0, 1.0, 0.0), (np.nan, 1.0, 1.0)])
def test_a_range_without_end_is_refused(bounds: tuple[float, float, float]) -> None:
    model = network("g (float a, float b, float c) => (float[N] y) { y = Range(a, b, c) }")
    with pytest.raises(ModelError, match="Range"):
        CpuBackend.run_model(model, [np.array(bound, np.float32) for bound in bounds])


@BACKENDS
def test_a_sum_of_truth_values_is_a_truth_value(backend: type[CpuBackend]) -> None:
    model = network(
        "g (bool[3] x, int64[3,1] i, bool[3] u) => (int32[3] y)"
        ' { s = ScatterND<reduction="add">(x, i, u) y = Cast<to=6>(s) }'
    )
    x, indices, updates = np.array([True, False, False]), np.array([[0], [1], [1]]), np.array([True, True, True])
    np.testing.assert_array_equal(backend.run_model(model, [x, indices, updates])[0], [1, 1, 0])


TYPES = (("float", "float32"), ("float16", "float16"), ("double", "float64"))
"""Names of ONNX and of NumPy; layers take float32 alone in."""


@BACKENDS
@pytest.mark.parametrize("before", ["p = Identity(x)", "p = Conv(x, one)"], ids=["alone", "fused"])
def test_absent_limits_are_those_of_the_type(backend: type[CpuBackend], before: str) -> None:
    for kind, name in TYPES[: 1 if "Conv" in before else 3]:
        model = network(
            f"g ({kind}[1,1,5] x) => ({kind}[1,1,5] low, {kind}[1,1,5] high) {{"
            f" t = Constant<value_float = 2.0>() two = CastLike(t, x) one = Constant<value = float[1,1,1] {{1}}>()"
            f" {before} low = Clip(p, two) q = Neg(p) r = Neg(q) high = Clip(r, , two) }}"
        )
        x, most = np.array([[[-np.inf, -3, 0, 5, np.inf]]], name), np.finfo(name).max
        low, high = backend.run_model(model, [x])
        np.testing.assert_array_equal(low, np.clip(x, 2, most))
        np.testing.assert_array_equal(high, np.clip(x, -most, 2))
