"""The work that is timed on a card: what each row computes, what it is to reach, and the floor under it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

import wavetile
from wavetile.engine.graph import load_network
from wavetile.engine.models.evaluator import Evaluator
from wavetile.engine.plan import Program, Target
from wavetile.kernels.rounding import Products

from .floors import Floor, counts, graph_floor, resident_floor
from .networks import TILE, RandomNetwork, convolution_layer, recurrent_layer, unet

REAL_TIME = {"gtcrn": 10_000, "deepfilternet3": 2_000, "silero_vad": 30_000}
"""Card -> streams that one device is to hold in real time."""
TICKS = {"gtcrn": "GTCRN", "silero_vad": "Silero VAD"}
STEPS = (("LSTM", 128), ("LSTM", 512), ("LSTM", 1024), ("GRU", 128), ("GRU", 512), ("GRU", 1024))
STEP_BATCHES = (1, 4, 64)
SEQUENCES = (("LSTM", 256), ("LSTM", 1024), ("GRU", 256), ("GRU", 1024))
SEQUENCE_BATCHES = (1, 8)
SEQUENCE_STEPS = 100
LAYERS = ((16, 16, 512), (32, 16, 512), (32, 32, 256), (64, 64, 128), (128, 128, 64))
"""Channels in and out of 3x3 convolutions of the U-Net, and the pixels along each side."""


HEADLINES = (
    "tick", "held", "LSTM 512, batch 1", "GRU 512, batch 4", "LSTM 256, batch 1, 100 steps",
    "convolution 3x3, 64 to 64, 128 x 128, tf32", "convolution 3x3, 64 to 64, 128 x 128, float16", "tile",
)  # fmt: skip
"""Groups and rows that the README shows; docs/gpu.md has all."""


@dataclass(frozen=True)
class Work:
    """One row of the table."""

    group: str
    name: str
    target: str
    floor: Floor

    @property
    def headline(self) -> bool:
        """Whether the README shows it."""
        return self.group in HEADLINES or self.name in HEADLINES


def recurrent_target(batch: int) -> str:
    """Of one step of a recurrent layer."""
    return "2x cuDNN" if batch <= 4 else "1x cuDNN"


def program_of(network: RandomNetwork, backend: str = "cuda", unit: str = "") -> Program:
    """A random network, compiled for a back end, which need not be here; `unit`: what its convolutions round to."""
    products = (("", Products[unit.upper()]),) if unit else ()
    with TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        onnx.save(network.model, path)
        evaluator = Evaluator(load_network(path), Target(backend, products=products), threads=1)
        program = evaluator.program({name: array.shape for name, array in network.inputs.items()})
    assert program is not None, "its outputs are no constants"
    return program


def tick_name(card: str) -> str:
    """The row of one stream of a card."""
    return f"{TICKS[card]}, one stream, a tick"


def held_name(card: str) -> str:
    """The row of all the streams that are to be held."""
    return f"{card}, a tick of {REAL_TIME[card]:,} streams"


def layer_name(network: RandomNetwork, unit: str) -> str:
    """The row of a layer, multiplied by these units; "" for float32 without tensor cores."""
    return f"{network.name}, {unit}" if unit else network.name


def tile_name(unit: str) -> str:
    """The row of a U-Net's tile."""
    return f"U-Net, a tile of {TILE} x {TILE}, {unit}"


def works() -> Iterator[Work]:
    """All rows; those of cards need their trained networks. Raises WeightsError: they are not here."""
    for name in TICKS:
        step = counts(wavetile.load(name).stream_spec.program)
        yield Work("tick", tick_name(name), "3x the better of torch, onnxruntime", resident_floor(step, 1))
    for name, streams in REAL_TIME.items():
        spec = wavetile.load(name).stream_spec
        floor = resident_floor(counts(spec.program), streams)
        hop_us = 1e6 * spec.hop_samples / spec.sample_rate_hz
        yield Work("held", held_name(name), f"a hop, {hop_us:.0f} us", floor)
    yield from layer_works()


def layers() -> Iterator[tuple[str, str, RandomNetwork, str]]:
    """Single layers: group, target, network, and the units that multiply."""
    for operator, hidden in STEPS:
        for batch in STEP_BATCHES:
            yield "step", recurrent_target(batch), recurrent_layer(operator, hidden, batch), ""
    for operator, hidden in SEQUENCES:
        for batch in SEQUENCE_BATCHES:
            yield "sequence", "1.5x cuDNN", recurrent_layer(operator, hidden, batch, SEQUENCE_STEPS), ""
    for inputs, outputs, pixels in LAYERS:
        network = convolution_layer(inputs, outputs, pixels)
        for unit in ("tf32", "float16"):
            yield "convolution", "0.9x cuDNN", network, unit


def layer_works() -> Iterator[Work]:
    """The rows of networks whose weights are random."""
    for group, target, network, unit in layers():
        floor = graph_floor(counts(program_of(network)), unit=unit, host=False)
        yield Work(group, layer_name(network, unit), target, floor)
    step = counts(program_of(unet()))
    for unit, target in (("tf32", "40x our CPU on one core"), ("float16", "1.2x torch eager, 1x its graph")):
        yield Work("tile", tile_name(unit), target, graph_floor(step, unit=unit))
