"""The description of a stream: a compiled program, and how a signal is cut into its steps."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

import numpy as np

from ..plan import Program
from .output import Event
from .record import Record, Value


class Decoder(Protocol):
    """Makes events of the values of consecutive frames; every stream has one of its own."""

    def decode(self, values: Mapping[str, np.ndarray], /) -> Event | None:
        """Take one frame's values, `[1, ...]` each, and return the event that they decide, if any."""
        ...

    def save(self) -> Mapping[str, Value]:
        """What later events depend on besides later values."""
        ...

    def restore(self, saved: Record, /) -> None:
        """Go on where another one of the same stream was saved. Raises SnapshotError."""
        ...


@dataclass(frozen=True)
class StreamSpec:
    """Everything that the sessions of one model share. All sample counts are at the model's own rate.

    The program's input is a window of `window_samples`; from step to step it moves on by `hop_samples`. A stream of
    feature frames is a stream of flat numbers, its window and hop one frame's `feature_count`.
    """

    name: str
    kind: Literal["audio", "features"]
    program: Program
    backend: str
    input: str
    """The program's input, which holds `window_samples` numbers."""
    sample_rate_hz: int
    """0: feature frames."""
    hop_samples: int
    window_samples: int
    start: Literal["silence", "first_frame"] = "silence"
    """The first window: zeros up to its last hop, or the first `window_samples` of the signal."""
    delay_samples: int = 0
    """Output sample t is made of input sample t - delay_samples."""
    audio: str | None = None
    """The program's output that holds `hop_samples` of enhanced audio."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Name of a value -> the program's output that holds it."""
    feature_count: int = 0
    downmix: bool = False
    """Channels are averaged before the model; otherwise each channel is a lane with state of its own."""
    decoder: Callable[[int], Decoder] | None = None
    """Makes a stream's decoder, given the stream's sample rate in Hz."""
    made_by: Callable[[], str] = str
    """Says what code and settings the numbers depend on beside the program."""

    @property
    def history_samples(self) -> int:
        """Zeros that the first window starts with."""
        return self.window_samples - self.hop_samples if self.start == "silence" else 0

    @property
    def first_frame_samples(self) -> int:
        """Samples of the signal that the first window needs; every further window needs `hop_samples` more."""
        return self.window_samples - self.history_samples

    @property
    def prologue_samples(self) -> int:
        """Zeros that go out before the first step's audio: output t is input t - delay_samples from the start."""
        if self.start != "first_frame" or self.audio is None:
            return 0
        # What a step holds back beyond its window comes out by itself, as what it makes of the zeros before the signal.
        return min(self.delay_samples, self.window_samples - self.hop_samples)

    @cached_property
    def value_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each value in one frame: the output's, less leading axes of size 1; () for a single number."""
        shapes = {}
        for name, output in self.values.items():
            shape = self.program.outputs[output].shape
            while shape[:1] == (1,):
                shape = shape[1:]
            shapes[name] = shape
        return shapes

    @cached_property
    def digest(self) -> str:
        """Names the stream's program, weights and cut: a state goes on only where this is the same, on any back end."""
        program = self.program
        said = (
            *(self.name, self.kind, self.made_by(), self.input, self.sample_rate_hz, self.hop_samples),
            *(self.window_samples, self.start, self.delay_samples, self.audio, sorted(self.values.items())),
            *(self.feature_count, self.downmix, program.inputs, program.outputs, program.arena_bytes),
        )
        digest = hashlib.sha256(repr(said).encode())
        table = program.table
        parts = np.zeros(0) if table.parts is None else table.parts
        for part in (table.kernels, table.operands, table.starts, parts, program.weights, program.initial_state):
            digest.update(len(part).to_bytes(8))
            digest.update(part.tobytes())
        return digest.hexdigest()
