"""Casts to float8_e8m0 against Python's own exponents, and bits looked at as another type."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from wavetile.engine import onnx_backend

VALUES = [0.0, 2.0**-130, 0.124, 0.25, 0.75, 1.1, 1.5, 2.0, 3.0, 3.9, 1e38, 3.4e38, math.inf, math.nan]
ROUND = {
    "up": lambda m, e: e if m == 0.5 else e + 1,
    "down": lambda m, e: e,
    "nearest": lambda m, e: e + 1 if m >= 0.75 else e,
}


def expected(x: float, mode: str, saturate: bool) -> float:
    if math.isnan(x):
        return math.nan
    if x in (0.0, math.inf):
        return (2.0**-127 if x == 0 else 2.0**127) if saturate else math.nan
    mantissa, exponent = math.frexp(x)  # x = mantissa 2^exponent, mantissa from 0.5 on
    power = ROUND[mode](mantissa, exponent) - 1
    if -127 <= power <= 127:
        return 2.0**power
    return (2.0**-127 if power < 0 else 2.0**127) if saturate else math.nan


@pytest.mark.parametrize("backend", [onnx_backend.CpuBackend, onnx_backend.ReferenceBackend])
@pytest.mark.parametrize("saturate", [True, False])
@pytest.mark.parametrize("mode", ROUND)
def test_cast_to_powers_of_two(mode: str, saturate: bool, backend: type[onnx_backend.CpuBackend]) -> None:
    kind = TensorProto.FLOAT8E8M0
    graph = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["y"], to=kind, round_mode=mode, saturate=int(saturate))],
        "powers",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, [2, 7])],
        [helper.make_tensor_value_info("y", kind, [2, 7])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)])
    (y,) = backend.run_model(model, [np.array(VALUES).reshape(2, 7)])
    np.testing.assert_array_equal(y.astype(np.float64).ravel(), [expected(x, mode, saturate) for x in VALUES])


@pytest.mark.parametrize("backend", [onnx_backend.CpuBackend, onnx_backend.ReferenceBackend])
def test_bits_of_doubles_of_two_axes(backend: type[onnx_backend.CpuBackend]) -> None:
    body = "(double[2,3] x) => (int64[2,3] y) { i = BitCast<to=7>(x) o = Neg(i) y = Neg(o) }"
    x = np.random.default_rng(0).standard_normal((2, 3))
    (y,) = backend.run_model(onnx.parser.parse_model(f'<ir_version: 12, opset_import: ["" : 26]> net {body}'), [x])
    np.testing.assert_array_equal(y, x.view(np.int64))
