"""The evaluation in float64 computes what onnxruntime does, but for rounding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import parser
from onnx.numpy_helper import from_array

from tests.models.float64 import float64_outputs
from tests.models.networks import onnx_outputs

TEXT = """<ir_version: 8, opset_import: ["": 17]>
g (float[1,2,9,8,7] x) => (float[1,3,A,B,C] conv, float[1,2,D,E,F] pool, float[1,4,G,H,I] up) {
    conv = Conv<kernel_shape=[3,2,1], strides=[2,1,1], pads=[1,0,1,0,1,2]>(x, w, b)
    pool = MaxPool<kernel_shape=[3,3,2], strides=[2,2,1], pads=[1,1,0,1,0,1]>(x)
    up = ConvTranspose<strides=[2,2,1], pads=[1,0,0,1,1,0], output_padding=[1,0,0]>(x, v)
}"""


def test_float64_differs_by_rounding_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    model = parser.parse_model(TEXT)
    for name, shape in {"w": (3, 2, 3, 2, 1), "b": (3,), "v": (2, 4, 3, 2, 2)}.items():
        model.graph.initializer.append(from_array(rng.standard_normal(shape, np.float32), name))
    path = tmp_path / "volume.onnx"
    onnx.save(model, path)
    inputs, names = {"x": rng.standard_normal((1, 2, 9, 8, 7), np.float32)}, ["conv", "pool", "up"]
    for exact, rounded in zip(float64_outputs(path, names, inputs), onnx_outputs(path, names, inputs), strict=True):
        assert exact.dtype == np.float64
        np.testing.assert_allclose(exact, rounded, rtol=1e-5, atol=1e-5)
