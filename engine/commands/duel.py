"""A model beside onnxruntime on the same networks: first the results, then both ready to be timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import ModelError
from ..models.card import AudioSignal, FeatureSignal, NetworkCard
from ..models.catalogue import weights_path
from ..models.model import Model
from .peer import Peer

COMPARED_STEPS = 50
SIGNAL_LEVEL = 0.1
SEED = 3


@dataclass(slots=True)
class _Network:
    """One network on both sides: its peer, and an input for each of a few steps."""

    peer: Peer
    states: Mapping[str, str]
    constants: dict[str, np.ndarray]
    steps: list[dict[str, np.ndarray]]
    carried: dict[str, np.ndarray]


class Duel:
    """One model against onnxruntime. Its inputs are seeded noise: the time of these kernels does not hang on values."""

    def __init__(self, model: Model, argument: str) -> None:
        """Load the model's networks into onnxruntime too. Raises ModelError for open shapes, BackendError."""
        self._model = model
        self._rng = np.random.default_rng(SEED)
        cards: list[tuple[Path, NetworkCard | None]] = (
            [(Path(argument), None)]
            if model.card is None
            else [(weights_path(model.card, one), one) for one in model.card.networks.values()]
        )
        self._networks = [self._load(path, card) for path, card in cards]

    def compare(self) -> float:
        """The largest |difference| of any output over some steps, each side carrying its own state."""
        largest = 0.0
        for step in range(COMPARED_STEPS if self._streams else 1):
            for network in self._networks:
                inputs = network.steps[step % len(network.steps)]
                network.peer.feeds.update(inputs)
                theirs = network.peer.step()
                ours = self._run(network, inputs)
                for name, array in zip(network.peer.outputs, theirs, strict=False):
                    largest = float(np.maximum(largest, np.abs(ours[name] - array).max()))  # NaN stays
        for network in self._networks:
            network.peer.reset()
            network.carried = {name: np.zeros_like(network.peer.feeds[name]) for name in network.states}
        return largest

    def sides(self) -> dict[str, Callable[[int], object]]:
        """What is to be timed, by name."""

        def run(step: int) -> None:
            for network in self._networks:
                self._run(network, network.steps[step % len(network.steps)])

        def peer(step: int) -> None:
            for network in self._networks:
                network.peer.feeds.update(network.steps[step % len(network.steps)])
                network.peer.step()

        sides: dict[str, Callable[[int], object]] = {"run": run, "onnxruntime": peer}
        if self._streams:
            chunks = self._chunks()
            process = self._model.stream().process
            sides = {"stream": lambda step: process(chunks[step % len(chunks)]), **sides}
        return sides

    @property
    def _streams(self) -> bool:
        return self._model.card is not None and self._model.card.signal.kind != "image"

    def _run(self, network: _Network, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = self._model.run({**inputs, **network.constants, **network.carried})
        for name, output in network.states.items():
            network.carried[name] = outputs[output]
        return outputs

    def _load(self, path: Path, card: NetworkCard | None) -> _Network:
        from ..graph import load_network

        declared = load_network(path).inputs
        states = dict(card.states) if card else {}
        constants = {
            name: np.array(value, declared[name].dtype).reshape([1] * len(declared[name].dims or ()))
            for name, value in (card.constants if card else {}).items()
        }
        shapes: dict[str, tuple[int, ...]] = {}
        for name, kind in declared.items():
            sizes = (card.shapes.get(name) if card else None) or kind.dims
            if sizes is None or not all(isinstance(size, int) for size in sizes):
                raise ModelError(
                    f"input {name!r} of {path.name} is {kind}, which leaves sizes open; a card can fix them"
                )
            shapes[name] = tuple(int(size) for size in sizes if size is not None)
        fed = [name for name in declared if name not in states and name not in constants]
        if wrong := [name for name in fed if declared[name].dtype != np.float32]:
            raise ModelError(
                f"input {wrong[0]!r} of {path.name} is {declared[wrong[0]]}; a card can make it a constant"
            )
        steps = [
            {name: (SIGNAL_LEVEL * self._rng.standard_normal(shapes[name])).astype(np.float32) for name in fed}
            for _ in range(COMPARED_STEPS if self._streams else 1)
        ]
        peer = Peer(path, states=states, constants=constants, state_shapes=shapes)
        carried = {name: np.zeros(shapes[name], np.float32) for name in states}
        return _Network(peer, states, constants, steps, carried)

    def _chunks(self) -> list[np.ndarray]:
        """One hop of noise, or one frame of features, for each of some steps."""
        signal = self._model.card.signal if self._model.card else None
        if isinstance(signal, AudioSignal):
            shape: tuple[int, ...] = (signal.hop_samples,)
        elif isinstance(signal, FeatureSignal):
            shape = (1, signal.feature_count)
        else:
            raise ModelError(f"model {self._model.name!r} does not stream")
        return [(SIGNAL_LEVEL * self._rng.standard_normal(shape)).astype(np.float32) for _ in range(COMPARED_STEPS)]
