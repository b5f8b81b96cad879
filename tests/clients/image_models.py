"""Small networks for images and volumes, with cards."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

KERNEL = 3


def smoothing_card(folder: Path, *, spatial: int, channels: int = 1, pixels: str = "") -> Path:
    """Write a card of two convolutions over `spatial` axes, and a ReLU between them; `pixels` is its normalisation."""
    name = f"smooth{spatial}"
    rng = np.random.default_rng(7)
    kernel, border = (KERNEL,) * spatial, [KERNEL // 2] * 2 * spatial
    weights = {
        "inside": rng.standard_normal((4, channels, *kernel)).astype(np.float32),
        "outside": rng.standard_normal((1, 4, *kernel)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["image", "inside"], ["a"], kernel_shape=kernel, pads=border),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "outside"], ["mask"], kernel_shape=kernel, pads=border),
    ]
    axes = ["depth", "height", "width"][-spatial:]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, channels, *axes])],
        [helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 1, *axes])],
        [numpy_helper.from_array(array, key) for key, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, folder / f"{name}.onnx")
    digest = hashlib.sha256((folder / f"{name}.onnx").read_bytes()).hexdigest()
    path = folder / f"{name}.toml"
    path.write_text(
        f"""
        name = "{name}"
        title = "Smoothing"
        task = "segment"
        licence = "Apache-2.0"
        attribution = "wavetile's tests"
        budget_ms = 1000.0
        [signal]
        kind = "image"
        {pixels}
        [networks.net]
        file = "tests/{name}.onnx"
        sha256 = "{digest}"
        source = "{name}.onnx"
        """
    )
    return path
