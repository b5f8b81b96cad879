"""Times the back end "cuda" beside its peers, in one process, taking turns, results compared first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec

import numpy as np

import wavetile
from tests.benchmarks.rows import OURS, Row
from wavetile.engine.commands.duel import Duel
from wavetile.engine.commands.measure import Timing, take_turns
from wavetile.engine.errors import WeightsError
from wavetile.engine.models.card import find_card
from wavetile.engine.models.catalogue import locate
from wavetile.engine.models.model import Model
from wavetile.engine.plan import Workspace
from wavetile.kernels.cuda.device import Device
from wavetile.kernels.table import Memory, aligned_bytes

from .device_runner import DeviceRunner
from .networks import RandomNetwork, unet
from .works import REAL_TIME, TICKS, held_name, layer_name, layers, program_of, tick_name, tile_name

TOLERANCES = {"": 1e-4, "tf32": 5e-3, "float16": 5e-2}
"""Largest |difference| relative to the output's largest |number|, of peers that multiply so."""
SKIPPED = "skipped"
NATIVE = "wavetile on the CPU"
REPLAYS = 20
"""In a row, between two events."""
Rows = Iterator[tuple[str, str, Callable[[], Row]]]


def rows(device: Device, seconds: float, *, native: bool) -> Rows:
    """Every row's group, name, and what measures it in about `seconds`; `native`: the CPU's kernels are compiled."""
    for card in TICKS:
        yield "tick", tick_name(card), partial(tick, card, seconds, native=native)
    for card in REAL_TIME:
        yield "held", held_name(card), partial(held, card, REAL_TIME[card], seconds)
    for group, _, network, unit in layers():
        yield group, layer_name(network, unit), partial(layer, group, network, unit, device, seconds)
    for unit in ("tf32", "float16"):
        yield "tile", tile_name(unit), partial(tile, unet(), unit, seconds, native=native)


def measured(planned: Rows, deadline_s: float) -> Iterator[Row]:
    """Each row, or why it has no numbers. `deadline_s`: of `time.monotonic`, after which none is begun."""
    for group, name, measure in planned:
        if time.monotonic() > deadline_s:
            yield Row(group, name, "", refusal=f"{SKIPPED}: no time was left")
            continue
        try:
            yield measure()
        except WeightsError:
            yield Row(group, name, "", refusal=f"{SKIPPED}: its trained network is not here")
        except Exception as error:  # noqa: BLE001 - whatever a peer or the card raises, the other rows are measured
            yield Row(group, name, "", refusal=" ".join(str(error).split()) or type(error).__name__)


def failed(row: Row) -> bool:
    """Whether a row has no numbers although it should."""
    return bool(row.refusal) and not row.refusal.startswith(SKIPPED)


class DifferenceError(Exception):
    """Two sides do not compute the same; nothing is timed."""


def trained(card: str, backend: str) -> Model:
    """A model, whose networks are not fetched: where there is no network, trying takes long.

    Raises WeightsError: they are not here.
    """
    for network in find_card(card).networks.values():
        if locate(sha256=network.sha256, file=network.file) is None:
            raise WeightsError(f"{network.file} is not here")
    return wavetile.load(card, backend=backend)


def tick(card: str, seconds: float, *, native: bool) -> Row:
    """One stream, hop by hop, beside onnxruntime on the card's networks alone, and our own processor."""
    sides: dict[str, Callable[[int], object]] = {}
    difference = 0.0
    for side, backend in ((OURS, "cuda"), (NATIVE, "cpu"))[: 1 + native]:
        duel = Duel(trained(card, backend), card)
        difference = max(difference, duel.compare())
        both = duel.sides()
        sides |= {side: both["stream"], "onnxruntime on the CPU": both["onnxruntime"]}
    _check(card, difference, TOLERANCES[""])
    return Row("tick", tick_name(card), "a hop", difference, take_turns(sides, seconds=seconds))


def held(card: str, streams: int, seconds: float) -> Row:
    """A tick of many streams, engine level: inputs from the host, outputs to it; the last one is compared."""
    cuda, reference = (
        Workspace(trained(card, backend).stream_spec.program, backend, lanes)
        for backend, lanes in (("cuda", streams), ("reference", 1))
    )
    rng = np.random.default_rng(0)
    for name in cuda.program.inputs:
        cuda.input(name)[...] = 0.1 * rng.standard_normal(cuda.input(name).shape)
        reference.input(name)[0] = cuda.input(name)[-1]
    cuda.run(streams)
    reference.run(1)
    difference = max(_difference(cuda.output(name)[-1], reference.output(name)[0]) for name in cuda.program.outputs)
    _check(card, difference, TOLERANCES[""])
    timings = take_turns({OURS: lambda step: cuda.run(streams)}, seconds=seconds)
    return Row("held", held_name(card), "a tick", difference, timings, note=cuda.choice.executor if cuda.choice else "")


def layer(group: str, network: RandomNetwork, unit: str, device: Device, seconds: float) -> Row:
    """A layer on the card alone, its inputs and outputs staying there, beside cuDNN in torch."""
    program = program_of(network, unit=unit)
    memory = Memory(
        program.weights, aligned_bytes(1, program.arena_bytes), aligned_bytes(1, max(64, len(program.initial_state)))
    )
    memory.state[:, : len(program.initial_state)] = program.initial_state
    ports = {**program.inputs, **program.outputs}
    views = {
        name: memory.arena[0, port.offset_bytes :].view(port.dtype)[: int(np.prod(port.shape))].reshape(port.shape)
        for name, port in ports.items()
    }
    for name, array in network.inputs.items():
        views[name][...] = array
    runner = DeviceRunner(program.table, memory, device)
    sides = {OURS: runner.microseconds(1, REPLAYS)}
    runner.compute(1)
    difference = 0.0
    if find_spec("torch"):
        from .torch_calls import OnCard

        peer = OnCard(network.model, network.inputs, unit)
        expected = peer.results()
        difference = max(_difference(views[name], array) for name, array in expected.items())
        _check(network.name, difference, TOLERANCES[unit])
        sides["torch"] = peer.microseconds(peer.eager, REPLAYS)
        sides["torch graph"] = peer.microseconds(peer.graph(), REPLAYS)
    return Row(group, layer_name(network, unit), "on the card", difference, by_events(sides, seconds))


def tile(network: RandomNetwork, unit: str, seconds: float, *, native: bool) -> Row:
    """A U-Net from host to host, beside torch and our own processor."""
    sides: dict[str, Callable[[int], object]] = {}
    results: list[dict[str, np.ndarray]] = []
    for side, backend, rounded in ((OURS, "cuda", unit), (NATIVE, "cpu", ""))[: 1 + native]:
        workspace = Workspace(program_of(network, backend, rounded), backend)
        for name, array in network.inputs.items():
            workspace.input(name)[0] = array
        workspace.run(1)
        results.append({name: workspace.output(name)[0].copy() for name in workspace.program.outputs})
        sides[side] = partial(_run_lane, workspace)
    if find_spec("torch"):
        from .torch_calls import OnCard

        peer = OnCard(network.model, network.inputs, unit)
        results.append(peer.results())
        for name, compute in (("torch", peer.eager), ("torch graph", peer.graph())):
            sides[name] = peer.host_to_host(compute)
    difference = max(_difference(other[name], array) for other in results for name, array in results[0].items())
    _check(network.name, difference, TOLERANCES[unit])
    return Row("tile", tile_name(unit), "host to host", difference, take_turns(sides, seconds=seconds, warm_steps=3))


def _run_lane(workspace: Workspace, step: int) -> None:
    workspace.run(1)


def by_events(sides: Mapping[str, Callable[[], float]], seconds: float) -> dict[str, Timing]:
    """Times that sides say themselves, in microseconds, taking turns; the first of each is not counted."""
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        side()
    deadline = time.monotonic() + seconds
    while min(map(len, spent.values())) < 5 or time.monotonic() < deadline:
        for name in list(sides) if len(spent[OURS]) % 2 else reversed(list(sides)):
            spent[name].append(sides[name]())
    return {
        name: Timing(len(times), float(np.median(times)), float(np.percentile(times, 99)), times[0])
        for name, times in spent.items()
    }


def _difference(ours: np.ndarray, expected: np.ndarray) -> float:
    """Relative to the largest |number|; NaN stays."""
    return float(np.abs(ours - expected).max() / max(np.abs(expected).max(), 1e-9))


def _check(name: str, difference: float, tolerance: float) -> None:
    if not difference <= tolerance:
        raise DifferenceError(f"{name} differs by {difference:.1e}, more than {tolerance:.0e}")
