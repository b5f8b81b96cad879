"""Collects what the steps of one stream make, and hands it out on the stream's own timeline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .output import Event, Output
from .resample import Resampler
from .spec import StreamSpec


class Results:
    """Audio, values and events since the last drain.

    Audio comes out at the stream's rate; the whole stream gives exactly as many samples as it owes.
    """

    def __init__(self, spec: StreamSpec, sample_rate_hz: int, lanes: int) -> None:
        self._spec = spec
        self._sample_rate_hz = sample_rate_hz
        self._lanes = lanes
        self.resampler: Resampler | None = None
        if spec.audio is not None and sample_rate_hz != spec.sample_rate_hz:
            self.resampler = Resampler(spec.sample_rate_hz, sample_rate_hz, lanes)
        self.reset()

    def reset(self) -> None:
        """Forget everything; a new signal starts."""
        spec = self._spec
        self.steps = 0
        self._given = 0
        self._decoder = spec.decoder(self._sample_rate_hz) if spec.decoder else None
        self._values: dict[str, list[np.ndarray]] = {name: [] for name in spec.value_shapes}
        self._events: list[Event] = []
        self._audio: list[np.ndarray] = []
        if spec.prologue_samples:
            self._audio.append(self._zeros(spec.prologue_samples))
        if self.resampler is not None:
            self.resampler.reset()

    def take(self, audio: np.ndarray | None, values: Sequence[tuple[str, np.ndarray]]) -> None:
        """Copy one step's results: audio `[lanes, hop]` if the model makes any, values `[lanes, ...]` by name."""
        self.steps += 1
        if audio is not None:
            self._audio.append(audio[0].copy() if self._lanes == 1 else np.ascontiguousarray(audio.T))
        if values:
            frame = {}
            for name, value in values:
                frame[name] = copied = value.copy()
                self._values[name].append(copied)
            if self._decoder is not None:
                event = self._decoder.decode(frame)
                if event is not None:
                    self._events.append(event)

    def drain(self, *, total_samples: int | None = None, ended: bool = False) -> Output:
        """Everything since the last drain.

        Args:
            total_samples: of the whole stream, once its signal has ended: nothing goes out beyond.
            ended: the last step has run: whatever is missing of the total goes out.
        """
        values = {}
        for name, frames in self._values.items():
            values[name] = frames.pop() if len(frames) == 1 == self._lanes else self._joined(name, frames)
        events: tuple[Event, ...] = ()
        if self._events:
            events, self._events = tuple(self._events), []
        if self._spec.audio is None:
            return Output(None, values, events)
        samples = self._take_audio(ended)
        if total_samples is not None:
            samples = samples[: total_samples - self._given]
        self._given += len(samples)
        return Output(samples, values, events)

    def _joined(self, name: str, frames: list[np.ndarray]) -> np.ndarray:
        """One array of the frames' `[lanes, ...]`; the list is emptied."""
        if not frames:
            lanes = () if self._lanes == 1 else (self._lanes,)
            return np.zeros((0, *lanes, *self._spec.value_shapes[name]), np.float32)
        joined = np.stack(frames) if self._lanes > 1 else np.concatenate(frames)
        frames.clear()
        return joined

    def _take_audio(self, ended: bool) -> np.ndarray:
        blocks, self._audio = self._audio, []
        audio = blocks[0] if len(blocks) == 1 else np.concatenate(blocks or [self._zeros(0)])
        if self.resampler is None:
            return audio
        if len(audio):
            audio = self.resampler.process(audio)
        return np.concatenate([audio, self.resampler.flush()]) if ended else audio

    def _zeros(self, count: int) -> np.ndarray:
        return np.zeros(count if self._lanes == 1 else (count, self._lanes), np.float32)
