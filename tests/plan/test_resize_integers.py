"""Resized integers: blends are rounded and kept within the type, as ONNX's own evaluator gives them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from tests.plan.networks import parse
from wavetile.engine.onnx_backend import CpuBackend, ReferenceBackend


@pytest.mark.parametrize("backend", [CpuBackend, ReferenceBackend])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32"])
def test_blends_are_rounded_and_saturate(dtype: str, mode: str, backend: type[CpuBackend]) -> None:
    body = f'({dtype}[1,2,5,6] x) => ({dtype}[1,2,10,12] y) {{ y = Resize<mode="{mode}">(x, , , sizes) }}'
    model = parse(body, opset=19, constants={"sizes": np.array([1, 2, 10, 12])})
    limits = np.iinfo(dtype)
    # At both ends of the type, so that cubic blends go beyond; doubling has exact weights, and ties.
    low, high = max(limits.min, -1000), min(limits.max, 1000)
    x = np.random.default_rng(0).choice([low, low + 1, high - 2, high], (1, 2, 5, 6)).astype(dtype)
    (y,) = backend.run_model(model, [x])
    (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, expected)
