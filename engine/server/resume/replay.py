"""What a resumed stream computes again and its client already has: it is not sent again."""

from __future__ import annotations

import numpy as np

from ...session import Output
from ...session.scheduled import FrameResult


class Replay:
    """Lets frames through once those have passed that the client has, and of their audio what it does not have.

    Frames and samples are counted apart: a resampler may have a sample ready a frame earlier than it had before.
    """

    def __init__(self, frames: int, samples: int) -> None:
        """`frames` and `samples` (at the stream's rate) are still to be dropped."""
        self._frames = frames
        self._samples = samples
        self._early: list[np.ndarray] = []
        """What the client does not have, of frames that it has."""

    def frame(self, result: FrameResult) -> FrameResult | None:
        """What of it the client does not have; None: nothing that can not wait for the next frame."""
        samples = self._new(result.output.samples)
        if self._frames:
            self._frames -= 1
            if samples is not None:
                self._early.append(samples)
            return None
        return result._replace(output=Output(samples, result.output.values, result.output.events))

    def tail(self, output: Output) -> Output:
        """The same of what follows the last frame."""
        return Output(self._new(output.samples), output.values, output.events)

    def _new(self, samples: np.ndarray | None) -> np.ndarray | None:
        if samples is None:
            return None
        dropped = min(self._samples, len(samples))
        self._samples -= dropped
        early, self._early = self._early, []
        return np.concatenate([*early, samples[dropped:]]) if early else samples[dropped:]
