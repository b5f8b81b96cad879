"""Collects what the steps of one stream make, and hands it out on the stream's own timeline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .output import Event, Output
from .record import Record, Value
from .resample import Resampler
from .resample_resumable import ResumableResampler
from .spec import StreamSpec


class Results:
    """Audio, values and events since the last drain.

    Audio comes out at the stream's rate; the whole stream gives exactly as many samples as it owes.
    """

    def __init__(self, spec: StreamSpec, sample_rate_hz: int, lanes: int, *, resumable: bool = False) -> None:
        self._spec = spec
        self._sample_rate_hz = sample_rate_hz
        self._lanes = lanes
        self.resampler: Resampler | ResumableResampler | None = None
        if spec.audio is not None and sample_rate_hz != spec.sample_rate_hz:
            kind = ResumableResampler if resumable else Resampler
            self.resampler = kind(spec.sample_rate_hz, sample_rate_hz, lanes)
        self._plain = lanes == 1 and self.resampler is None
        """Whether what a step gives goes out as it is: a lane's `[1, ...]` is a frame's."""
        self.reset()

    def reset(self) -> None:
        """Forget everything; a new signal starts."""
        spec = self._spec
        self.steps = 0
        self.given = 0
        """Samples that were drained."""
        self._decoder = spec.decoder(self._sample_rate_hz) if spec.decoder else None
        self._frames: list[tuple[np.ndarray | None, dict[str, np.ndarray]]] = []
        """Audio and values of each step since the last drain."""
        self._events: list[Event] = []
        self._prologue = spec.prologue_samples
        if self.resampler is not None:
            self.resampler.reset()

    def take(self, audio: np.ndarray | None, values: Sequence[tuple[str, np.ndarray]]) -> None:
        """Copy one step's results: audio if the model makes any, values `[lanes, ...]` by name.

        Audio is `[hop]` of one lane, `[hop, lanes]` of several.
        """
        self.steps += 1
        frame = {name: value.copy() for name, value in values}
        self._frames.append((None if audio is None else audio.copy(), frame))
        if self._decoder is not None and (event := self._decoder.decode(frame)) is not None:
            self._events.append(event)

    def drain(self, *, total_samples: int | None = None, ended: bool = False) -> Output:
        """Everything since the last drain.

        Args:
            total_samples: of the whole stream, once its signal has ended: nothing goes out beyond.
            ended: the last step has run: whatever is missing of the total goes out.
        """
        frames = self._frames
        events: tuple[Event, ...] = ()
        if self._events:
            events, self._events = tuple(self._events), []
        if self._plain and len(frames) == 1 and total_samples is None and not self._prologue:
            samples, values = frames.pop()
            if samples is not None:
                self.given += len(samples)
            return Output(samples, values, events)
        self._frames = []
        values = {
            name: self._joined([frame[name] for _, frame in frames], shape)
            for name, shape in self._spec.value_shapes.items()
        }
        if self._spec.audio is None:
            return Output(None, values, events)
        samples = self._take_audio([audio for audio, _ in frames if audio is not None], ended)
        if total_samples is not None:
            samples = samples[: total_samples - self.given]
        self.given += len(samples)
        return Output(samples, values, events)

    def save(self) -> dict[str, Value]:
        """What later results depend on. Only when all was drained."""
        assert not self._frames, "results that nobody has drained would be lost"
        resampler = self.resampler
        return {
            "steps": self.steps,
            "given": self.given,
            "prologue": self._prologue,
            "decoder": None if self._decoder is None else self._decoder.save(),
            "resampler": resampler.save() if isinstance(resampler, ResumableResampler) else None,
        }

    def restore(self, saved: Record) -> None:
        """Go on where others of the same stream were saved. Raises SnapshotError."""
        self.reset()
        self.steps, self.given, self._prologue = (saved.number(name) for name in ("steps", "given", "prologue"))
        if self._decoder is not None:
            self._decoder.restore(Record.read(saved.data("decoder")))
        if isinstance(self.resampler, ResumableResampler):
            self.resampler.restore(Record.read(saved.data("resampler")))

    def _joined(self, frames: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """One array of the frames' `[lanes, ...]`."""
        if not frames:
            lanes = () if self._lanes == 1 else (self._lanes,)
            return np.zeros((0, *lanes, *shape), np.float32)
        return np.stack(frames) if self._lanes > 1 else np.concatenate(frames)

    def _take_audio(self, blocks: list[np.ndarray], ended: bool) -> np.ndarray:
        if self._prologue or not blocks:
            lanes = () if self._lanes == 1 else (self._lanes,)
            blocks.insert(0, np.zeros((self._prologue, *lanes), np.float32))
            self._prologue = 0
        audio = np.concatenate(blocks)
        if self.resampler is None:
            return audio
        if len(audio):
            audio = self.resampler.process(audio)
        return np.concatenate([audio, self.resampler.flush()]) if ended else audio
