"""Taps on the streams that somebody looks at, for as long as they look."""

from __future__ import annotations

import asyncio

from ...activity import OpenStream
from ...served import ModelDescription
from .image_tap import ImageTap
from .signal_tap import SignalTap

LOOK_S = 5.0
"""A tap that nobody has read for this long is taken away."""
MAX_TAPS = 8
"""At once; each takes a little time of the server."""

AnyTap = SignalTap | ImageTap


class Looking:
    """Which streams have taps. For one event loop."""

    def __init__(self) -> None:
        self._taps: dict[OpenStream, tuple[AnyTap, asyncio.TimerHandle]] = {}

    def tap(self, stream: OpenStream, model: ModelDescription) -> AnyTap | None:
        """The tap on `stream`, a new one if need be, which stays for LOOK_S; None: too many are there."""
        if stream in self._taps:
            tap, timer = self._taps[stream]
            timer.cancel()
        elif len(self._taps) >= MAX_TAPS:
            return None
        else:
            tap = stream.tap = _made_for(stream, model)
        timer = asyncio.get_running_loop().call_later(LOOK_S, self._remove, stream)
        self._taps[stream] = (tap, timer)
        return tap

    def _remove(self, stream: OpenStream) -> None:
        stream.tap = None
        del self._taps[stream]


def _made_for(stream: OpenStream, model: ModelDescription) -> AnyTap:
    if stream.form is not None:
        return ImageTap(stream.form)
    return SignalTap(stream.sample_rate_hz, model.sample_rate_hz / model.hop_samples if model.hop_samples else 0.0)
