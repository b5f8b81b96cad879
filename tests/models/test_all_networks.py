"""Every trained network that is at hand gives ONNX Runtime's numbers, at several sizes where its axes are free."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import wavetile
from tests.models.float64 import float64_outputs
from tests.models.networks import onnx_outputs
from tests.models.real_networks import REAL_NETWORKS, RealNetwork
from wavetile.engine.graph import load_network

LUCK = 1.25
"""How much farther than onnxruntime's results ours may be from float64's, where rounding decides it for both."""


def test_no_network_is_forgotten(models: Path) -> None:
    listed = [real.path for real in REAL_NETWORKS]
    assert listed == sorted(set(listed))
    assert {str(path.relative_to(models)) for path in models.glob("*/*.onnx")} == set(listed)


@pytest.mark.parametrize("real", REAL_NETWORKS, ids=lambda real: real.path)
def test_network_gives_the_numbers_of_onnxruntime(models: Path, data: Path, real: RealNetwork) -> None:
    model, network = wavetile.load(models / real.path), load_network(models / real.path)
    for sizes in real.sizes:
        inputs = real.inputs(network, sizes, data)
        outputs = model.run(inputs)
        names = list(network.outputs)
        for name, expected in zip(names, onnx_outputs(models / real.path, names, inputs), strict=True):
            got = outputs[name]
            assert (got.shape, got.dtype) == (expected.shape, expected.dtype), name
            scale = max(float(np.abs(expected).max()), np.finfo(np.float32).tiny)
            difference = float(np.abs(got.astype(np.float64) - expected).max()) / scale
            assert difference <= real.tolerance, f"{name}: {difference:.1e} of its scale at sizes {dict(sizes)}"


@pytest.mark.parametrize("real", [one for one in REAL_NETWORKS if one.amplifies], ids=lambda real: real.path)
def test_amplified_rounding_is_no_larger_than_that_of_onnxruntime(models: Path, data: Path, real: RealNetwork) -> None:
    path = models / real.path
    inputs = real.inputs(load_network(path), real.sizes[0], data)
    ours = wavetile.load(path).run(inputs)
    names = list(ours)
    exact = float64_outputs(path, names, inputs)
    for name, theirs, truth in zip(names, onnx_outputs(path, names, inputs), exact, strict=True):
        errors = np.abs(ours[name] - truth), np.abs(theirs - truth)
        assert truth.dtype == np.float64
        assert errors[0].max() <= LUCK * errors[1].max()
        assert np.square(errors[0]).mean() <= LUCK**2 * np.square(errors[1]).mean()
        assert errors[1].max() > 1e-4 * np.abs(truth).max(), f"{name}: 1e-4 is within reach; amplifies is not needed"
