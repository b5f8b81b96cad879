"""Small models with cards of their own, and a way to call the command line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.commands.said import Command, Said
from wavetile.engine.commands import main

GAIN = 0.5


@pytest.fixture
def wavetile_command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs the command line in this process."""

    def run(*arguments: object) -> Said:
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as ending:  # argparse's own errors
            status = int(ending.code or 0)
        captured = capsys.readouterr()
        return Said(status, captured.out, captured.err)

    return run


@pytest.fixture
def gain_card(tmp_path: Path) -> Path:
    """Return the card of a "denoiser" that halves its signal, frame by overlapping frame."""
    nodes = [helper.make_node("Mul", ["x", "gain"], ["y"])]
    _save(tmp_path / "gain.onnx", nodes, {"x": (1, 320)}, {"y": (1, 320)}, {"gain": np.array([GAIN], np.float32)})
    steps = """
    { operator = "window", input = "frame", shape = "sqrt_hann", output = "windowed" },
    { network = "net", inputs = { x = "windowed" }, outputs = { y = "halved" } },
    { operator = "window", input = "halved", shape = "sqrt_hann", output = "windowed_again" },
    { operator = "overlap_add", input = "windowed_again", output = "enhanced" },
    """
    return _card(tmp_path, "gain", "denoise", 320, 160, steps, 'audio = "enhanced"')


@pytest.fixture
def loudness_card(tmp_path: Path) -> Path:
    """Return the card of a "voice detector" that hears speech where frames of 10 ms are loud."""
    nodes = [
        helper.make_node("Abs", ["x"], ["a"]),
        helper.make_node("ReduceMean", ["a"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["mean", "level"], ["above"]),
        helper.make_node("Mul", ["above", "steepness"], ["scaled"]),
        helper.make_node("Sigmoid", ["scaled"], ["p"]),
    ]
    constants = {"level": np.array([0.1], np.float32), "steepness": np.array([100.0], np.float32)}
    _save(tmp_path / "loudness.onnx", nodes, {"x": (1, 160)}, {"p": (1, 1)}, constants)
    steps = '{ network = "net", inputs = { x = "frame" }, outputs = { p = "probability" } },'
    decoder = """
    [decoder]
    kind = "voice_activity"
    value = "probability"
    threshold = 0.5
    min_silence_ms = 20
    speech_pad_ms = 0
    """
    return _card(tmp_path, "loudness", "voice_activity", 160, 160, steps, 'values = ["probability"]', decoder)


@pytest.fixture
def image_network(tmp_path: Path) -> Path:
    """Return a network that halves images of 8 by 8."""
    return _halving(tmp_path / "halve.onnx", (1, 1, 8, 8))


@pytest.fixture
def volume_network(tmp_path: Path) -> Path:
    """Return a network that halves volumes of 4 slices of 5 by 6."""
    return _halving(tmp_path / "halve_volume.onnx", (1, 1, 4, 5, 6))


def _halving(path: Path, shape: tuple[int, ...]) -> Path:
    nodes = [helper.make_node("Mul", ["image", "gain"], ["halved"])]
    _save(path, nodes, {"image": shape}, {"halved": shape}, {"gain": np.array([GAIN], np.float32)})
    return path


def _save(path: Path, nodes: list, inputs: dict, outputs: dict, constants: dict) -> None:
    def declared(values: dict) -> list:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in values.items()]

    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, path.stem, declared(inputs), declared(outputs), initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def _card(
    folder: Path, name: str, task: str, frame_samples: int, hop_samples: int, steps: str, gives: str, rest: str = ""
) -> Path:
    digest = hashlib.sha256((folder / f"{name}.onnx").read_bytes()).hexdigest()
    path = folder / f"{name}.toml"
    path.write_text(
        f"""
        name = "{name}"
        title = "A model of the tests"
        task = "{task}"
        licence = "Apache-2.0"
        attribution = "wavetile's tests"
        budget_ms = 10.0
        [signal]
        kind = "audio"
        sample_rate_hz = 16000
        frame_samples = {frame_samples}
        hop_samples = {hop_samples}
        start = "silence"
        [networks.net]
        file = "tests/{name}.onnx"
        sha256 = "{digest}"
        source = "{name}.onnx"
        [stream]
        steps = [{steps}]
        {gives}
        {rest}
        """
    )
    return path
