"""Decoders: what happened in the signal, from the values of its frames."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..session import Event
from ..session.record import Record, Value
from .card import VoiceActivity


class VoiceActivityDecoder:
    """Speech start and end with hysteresis, as `VADIterator` of Silero VAD decides them.

    Speech starts with the first frame whose probability reaches `threshold`; its start is the frame's start, less the
    padding. It ends once probabilities have not reached `threshold` again for `min_silence_ms` after a frame below
    `negative_threshold`; its end is the start of that frame, plus the padding. Speech that goes on when the signal ends
    has no end event. Source: silero_vad/utils_vad.py of silero-vad 6.2.3.
    """

    def __init__(self, card: VoiceActivity, model_rate_hz: int, hop_samples: int, stream_rate_hz: int) -> None:
        self._value = card.value
        self._threshold = card.threshold
        self._negative_threshold = card.negative_threshold
        self._min_silence_samples = model_rate_hz * card.min_silence_ms / 1000
        self._pad_samples = model_rate_hz * card.speech_pad_ms / 1000
        self._hop_samples = hop_samples
        self._model_rate_hz = model_rate_hz
        self._stream_rate_hz = stream_rate_hz
        self._position = 0  # end of the newest frame, at the model's rate
        self._speaking = False
        self._silent_since: int | None = None  # end of the first silent frame

    def decode(self, values: Mapping[str, np.ndarray], /) -> Event | None:
        """Take one frame's values and return the event that they decide, if any."""
        probability = values[self._value].item()
        self._position += self._hop_samples
        if probability >= self._threshold:
            self._silent_since = None
            if not self._speaking:
                self._speaking = True
                start = max(0, self._position - self._pad_samples - self._hop_samples)
                return self._event("speech_start", start, probability)
        elif self._speaking and probability < self._negative_threshold:
            if self._silent_since is None:
                self._silent_since = self._position
            if self._position - self._silent_since >= self._min_silence_samples:
                end = self._silent_since + self._pad_samples - self._hop_samples
                self._speaking, self._silent_since = False, None
                return self._event("speech_end", end, probability)
        return None

    def save(self) -> dict[str, Value]:
        """Where in the signal it is, and whether in speech."""
        return {"position": self._position, "speaking": self._speaking, "silent_since": self._silent_since}

    def restore(self, saved: Record, /) -> None:
        """Go on where another one was saved. Raises SnapshotError."""
        self._position = saved.number("position")
        self._speaking = saved.flag("speaking")
        self._silent_since = saved.number("silent_since") if saved.has("silent_since") else None

    def _event(self, kind: str, position: float, probability: float) -> Event:
        sample = int(position)
        if self._stream_rate_hz != self._model_rate_hz:
            sample = sample * self._stream_rate_hz // self._model_rate_hz
        return Event(kind, sample, sample / self._stream_rate_hz, probability)  # type: ignore[arg-type]
