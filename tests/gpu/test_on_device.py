"""Whole networks on this machine's card; skipped where there is none. `sh tests/gpu/run.sh` runs them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest

import wavetile
from wavetile.engine.errors import BackendError
from wavetile.engine.models.card import find_card
from wavetile.engine.plan import Workspace
from wavetile.engine.plan.devices import cuda
from wavetile.kernels.cuda.backend import CudaBackend
from wavetile.kernels.cuda.cupy_device import CupyDevice

from .networks import convolution_layer, recurrent_layer, unet, voice_activity
from .works import program_of

NETWORKS = {
    "LSTM": lambda: recurrent_layer("LSTM", 200, 3, steps=4),
    "GRU": lambda: recurrent_layer("GRU", 200, 3, steps=4),
    "convolution": lambda: convolution_layer(20, 36, 70),
    "U-Net": lambda: unet(64),
    "voice activity": voice_activity,
}
STREAMS = ("silero_vad", "gtcrn", "dtln", "rnnoise", "deepfilternet3")
IMAGES = {"nuclei_unet/weights.onnx": (1, 1, 512, 512), "meshnet3d/meshnet_model5_gw_ae.onnx": (1, 1, 32, 32, 32)}
LANES, STEPS, ALLOCATION_STEPS = 5, 20, 1000
TOLERANCE = 1e-4
"""Of the largest number of an output."""


@pytest.fixture(scope="module")
def card() -> Iterator[CudaBackend]:
    try:
        yield cuda()
    except BackendError as error:
        pytest.skip(str(error))


def assert_near(got: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE * max(1.0, np.abs(expected).max()))


def assert_same_steps(name: str) -> None:
    """Beside the definitions in NumPy, which need no compiler."""
    native, cuda = (
        Workspace(wavetile.load(name, backend=backend).stream_spec.program, backend, LANES)
        for backend in ("reference", "cuda")
    )
    cuda.poison()
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        for port in native.program.inputs:
            native.input(port)[...] = cuda.input(port)[...] = 0.1 * rng.standard_normal(native.input(port).shape)
        native.run(LANES)
        cuda.run(LANES)
        for port in native.program.outputs:
            assert_near(cuda.output(port), native.output(port))


def by_onnxruntime(model: bytes | str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return {name: np.asarray(result) for name, result in zip(names, session.run(names, dict(inputs)), strict=True)}


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("name", NETWORKS)
def test_a_random_network_on_cuda(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]()
    onnx.save(network.model, tmp_path / "network.onnx")
    expected = by_onnxruntime(network.model.SerializeToString(), network.inputs)
    for output, array in wavetile.load(tmp_path / "network.onnx", backend="cuda").run(network.inputs).items():
        assert_near(array, expected[output])


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("name", STREAMS)
def test_a_trained_stream_on_cuda(name: str, models: Path) -> None:
    for network in find_card(name).networks.values():
        if not (models / network.file).is_file():
            pytest.skip(f"{network.file} is not among the trained networks")
    assert_same_steps(name)


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("name", IMAGES)
def test_a_trained_image_network_on_cuda(name: str, models: Path) -> None:
    if not (models / name).is_file():
        pytest.skip(f"{name} is not among the trained networks")
    image = np.random.default_rng(1).standard_normal(IMAGES[name]).astype(np.float32)
    model = wavetile.load(models / name, backend="cuda")
    (given,) = model.inputs
    inputs = {given: image}
    expected = by_onnxruntime(str(models / name), inputs)
    for output, array in model.run(inputs).items():
        assert_near(array, expected[output])


def test_steps_on_cuda_allocate_nothing(card: CudaBackend) -> None:
    assert isinstance(card.device, CupyDevice)
    pool = card.device._pool  # what is free on the card changes with every process that uses it
    workspace = Workspace(program_of(voice_activity()), "cuda", LANES)
    workspace.run(LANES)
    before = card.budget.taken_bytes, pool.total_bytes(), pool.used_bytes()
    for _ in range(ALLOCATION_STEPS):
        workspace.run(LANES)
    assert (card.budget.taken_bytes, pool.total_bytes(), pool.used_bytes()) == before
