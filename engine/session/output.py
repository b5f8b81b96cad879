"""What a stream gives back: enhanced samples, values of each frame, and events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in the input signal."""

    kind: Literal["speech_start", "speech_end"]
    sample: int
    """Index of the input sample, at the stream's rate, counted from the stream's start."""
    seconds: float
    """The same instant in seconds from the stream's start."""
    probability: float
    """The model's probability in the frame that decided it."""


class Output(NamedTuple):
    """What came out of a stream since the last output. A tuple, because one is made for every chunk."""

    samples: np.ndarray | None
    """Enhanced audio, `[samples]`, or `[samples, channels]` of several, float32; None if the model makes none."""
    values: dict[str, np.ndarray]
    """Values of each frame by name, `[frames, ...]` (of several channels: `[frames, channels, ...]`) float32.

    Every name of the model is there, if only with 0 frames.
    """
    events: tuple[Event, ...] = ()
