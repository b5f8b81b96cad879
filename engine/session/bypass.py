"""A stream's input in place of its late frames: aligned with the model's delay, cross-faded at both edges."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import SignalError, SnapshotError
from .record import Record, Value
from .results import Results
from .ring import Ring
from .spec import StreamSpec


class Bypass:
    """Stands between a session's steps and its results; at the model's rate, a frame at a time.

    - A late frame gives out its input in place of what the model would have made of it, `delay_samples` later as the
      model would have. The model's state stays as it was.
    - Of the first late frame, nothing is known that the model made. What it would have made is guessed, as the input
      times the gain that fits the frame before best, plus what makes it go on where that frame ended; and the guess
      fades into the input.
    - After a gap the model gives out, for `delay_samples`, what it had heard before the gap. So the input goes on for
      so long while the model hears again, then fades into the model's output.
    """

    def __init__(self, spec: StreamSpec, ring: Ring, results: Results, lanes: int) -> None:
        self._ring = ring
        self._results = results
        self._hop = spec.hop_samples
        self._lead = spec.history_samples + spec.prologue_samples - spec.delay_samples
        """Of the ring's oldest sample that the next window reads, where that window's output belongs."""
        self._catch_up_frames = math.ceil(spec.delay_samples / spec.hop_samples)
        lane_axis = () if lanes == 1 else (lanes,)
        self._inputs = np.zeros((2 * self._hop, *lane_axis), np.float32)
        """What belongs to the output of two frames, one before the other."""
        self._made = np.zeros((self._hop, *lane_axis), np.float32)
        """What went out of the last frame."""
        rise = np.sin(np.pi / 2 * np.arange(1, self._hop + 1) / (self._hop + 1)) ** 2
        self._rise = rise.astype(np.float32).reshape(-1, *(1 for _ in lane_axis))
        self.begin()

    @staticmethod
    def check(spec: StreamSpec) -> None:
        """Raise SignalError unless frames of this model can be bypassed."""
        if spec.audio is None:
            raise SignalError(
                f"model {spec.name!r} returns no audio, so late frames can not be bypassed; process or skip would work"
            )
        if spec.values or spec.decoder is not None:
            names = ", ".join(spec.values) or "events"
            raise SignalError(
                f"model {spec.name!r} returns {names} beside audio, which a bypassed frame has not; "
                "process or skip would work"
            )

    @staticmethod
    def samples_behind(spec: StreamSpec) -> int:
        """How much of what was read a ring has to keep for this."""
        return max(0, spec.hop_samples + spec.delay_samples - spec.history_samples - spec.prologue_samples)

    def begin(self) -> None:
        """Start a new signal."""
        self._made[:] = 0.0
        self._passing = False  # the input goes out
        self._frames_to_hear = 0  # before the model is heard again
        self.bypassed = False
        """Whether the input of the last frame went out, and nothing of the model."""

    @property
    def nbytes(self) -> int:
        """Of the signal in what `save` gives."""
        return self._made.nbytes

    def save(self) -> dict[str, Value]:
        """What later frames depend on, besides what the ring keeps."""
        return {
            "made": self._made.copy(),
            "passing": self._passing,
            "frames_to_hear": self._frames_to_hear,
            "bypassed": self.bypassed,
        }

    def restore(self, saved: Record) -> None:
        """Go on where another one of the same stream was saved. Raises SnapshotError."""
        made = saved.array("made")
        if made.shape != self._made.shape:
            raise SnapshotError(f"a frame of shape {list(made.shape)} does not fit {list(self._made.shape)}")
        self._made[:] = made
        self._passing, self.bypassed = saved.flag("passing"), saved.flag("bypassed")
        self._frames_to_hear = saved.number("frames_to_hear")

    def take(self, audio: np.ndarray | None, values: Sequence[tuple[str, np.ndarray]] = ()) -> None:
        """As `Results.take`, of a step whose window was read; there are no values."""
        assert audio is not None
        assert not values
        if self._frames_to_hear:
            self._frames_to_hear -= 1
            audio = self._heard()
        else:
            self.bypassed = False
            if self._passing:
                self._passing = False
                heard = self._heard()
                audio = heard + self._rise * (audio - heard)
        self._give(audio)

    def pass_on(self) -> None:
        """A frame that is not computed."""
        self._ring.read(self._inputs, 0, self._lead - self._hop)
        audio = self._inputs[self._hop :]
        if not self._passing:
            audio = audio + (1.0 - self._rise) * (self._guess(audio) - audio)
        self._passing = self.bypassed = True
        self._frames_to_hear = self._catch_up_frames
        self._ring.skip(self._hop)
        self._give(audio)

    def _give(self, audio: np.ndarray) -> None:
        self._made[:] = audio
        self._results.take(audio, ())

    def _heard(self) -> np.ndarray:
        """What belongs to the output of a frame whose window was read."""
        target = self._inputs[self._hop :]
        self._ring.read(target, 0, self._lead - self._hop)
        return target

    def _guess(self, audio: np.ndarray) -> np.ndarray:
        """What the model would have made of `audio`, after what it made of the frame before."""
        before, made = self._inputs[: self._hop], self._made
        power = (before * before).sum(axis=0)
        gain = np.divide((before * made).sum(axis=0), power, out=np.ones_like(power), where=power > 0)
        gain = np.clip(gain, -1.0, 1.0)
        return gain * audio + (made[-1] - gain * before[-1])
