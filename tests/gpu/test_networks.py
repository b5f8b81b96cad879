"""Random networks compute the same in wavetile, onnxruntime and torch: what is timed beside each other is one thing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import wavetile

from .networks import RandomNetwork, convolution_layer, recurrent_layer, unet, voice_activity

SMALL = {
    "LSTM": lambda: recurrent_layer("LSTM", 24, 2),
    "GRU": lambda: recurrent_layer("GRU", 24, 2, steps=5),
    "convolution": lambda: convolution_layer(3, 16, 20),
    "U-Net": lambda: unet(32),
    "voice activity": voice_activity,
}


@pytest.fixture(params=SMALL)
def network(request: pytest.FixtureRequest) -> RandomNetwork:
    return SMALL[request.param]()


@pytest.fixture
def expected(network: RandomNetwork) -> dict[str, np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(network.model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    results = session.run(names, dict(network.inputs))
    return {name: np.asarray(result) for name, result in zip(names, results, strict=True)}


def assert_near(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert set(got) == set(expected)
    for name, array in expected.items():
        assert np.abs(array).max() > 1e-3, f"{name} tells nothing"
        np.testing.assert_allclose(got[name], array, rtol=0, atol=1e-5 * max(1.0, np.abs(array).max()))


def test_wavetile_computes_a_random_network(
    network: RandomNetwork, expected: dict[str, np.ndarray], tmp_path: Path
) -> None:
    onnx.save(network.model, tmp_path / "network.onnx")
    assert_near(wavetile.load(tmp_path / "network.onnx").run(network.inputs), expected)


def test_torch_computes_a_random_network(network: RandomNetwork, expected: dict[str, np.ndarray]) -> None:
    pytest.importorskip("torch")
    from .torch_network import TorchNetwork

    peer = TorchNetwork(network.model, channels_last=True)
    results = peer({name: peer.tensor(array) for name, array in network.inputs.items()})
    assert_near({name: tensor.numpy() for name, tensor in results.items()}, expected)


def test_states_are_inputs_whose_next_values_are_outputs(network: RandomNetwork) -> None:
    outputs = {output.name for output in network.model.graph.output}
    assert set(network.states) <= set(network.inputs)
    assert set(network.states.values()) <= outputs
