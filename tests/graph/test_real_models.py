"""Trained networks: bound and fused, they give ONNX Runtime's numbers for the original."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.graph.networks import assert_same_numbers
from wavetile.engine.graph import fuse, load_network, specialise

Shapes = dict[str, tuple[int, ...]]

SILERO: Shapes = {"input": (1, 576), "state": (2, 1, 128)}
CASES: list[tuple[str, Shapes, dict[str, int]]] = [
    ("silero_vad/silero_vad_16k_op15.onnx", SILERO, {"sr": 16000}),
    ("silero_vad/silero_vad_openvino_16k.onnx", {}, {}),
    ("gtcrn/gtcrn.onnx", {}, {}),
    ("gtcrn/gtcrn_simple.onnx", {}, {}),
    ("dtln/model_1.onnx", {}, {}),
    ("dtln/model_2.onnx", {}, {}),
    ("rnnoise_v0/rnnoise_v0_core.onnx", {}, {}),
    ("nsnet2/nsnet2-20ms-baseline.onnx", {"input": (1, 1, 161)}, {}),
    ("nsnet2/nsnet2-20ms-baseline.onnx", {"input": (1, 7, 161)}, {}),
    ("nuclei_unet/weights.onnx", {}, {}),
]
SIZES = {"S": 3, "T": 5, "frames": 7, "samples": 16000, "audio_length": 8000, "D": 12, "H": 64, "W": 64}
"""Sizes of the named dimensions of all networks; any other is one."""

TOO_LARGE_TO_RUN = {"deepbet_model.onnx"}
"""Bound and fused, but not run: a volume of 128 cubed takes minutes."""


@pytest.mark.parametrize(("path", "shapes", "values"), CASES, ids=lambda case: str(case)[:50])
def test_headline_networks_keep_their_numbers(models: Path, path: str, shapes: Shapes, values: dict[str, int]) -> None:
    network = load_network(models / path)
    graph = specialise(network, shapes, values)
    fused = fuse(graph)
    extra = {name: np.array(value, network.inputs[name].dtype) for name, value in values.items()}
    original = (models / path).read_bytes()
    assert_same_numbers(original, graph, extra=extra)
    assert_same_numbers(original, fused, extra=extra)
    assert not {"BatchNormalization", "Identity", "Constant", "Shape", "If"} & set(fused.histogram())


def test_every_network_can_be_bound(models: Path) -> None:
    paths = sorted(models.glob("*/*.onnx"))
    assert paths
    for path in paths:
        if path.name == "silero_vad_16k_op15.onnx":
            continue
        network = load_network(path)
        shapes = {
            name: tuple(dim if isinstance(dim, int) else SIZES.get(str(dim), 1) for dim in declared.dims or ())
            for name, declared in network.inputs.items()
        }
        fused = fuse(specialise(network, shapes))
        assert fused.outputs == list(network.outputs)
        if path.name not in TOO_LARGE_TO_RUN:
            assert_same_numbers(path.read_bytes(), fused)
