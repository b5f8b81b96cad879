"""The stream that a program holds in its hand: chunks in, results out, in one thread and without a server."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import numpy as np

from ..plan import StatePool
from .executor import Executor
from .output import Output
from .resumable_session import ResumableSession
from .ring import stuck
from .session import check_channels
from .snapshot import Snapshot, take
from .spec import StreamSpec


class Stream:
    """A live signal on one model, computed in the caller's thread as soon as a frame is complete.

    Made by `Model.stream`. Chunks may have any length, down to one sample: what comes out over the whole signal is the
    same, bit for bit. Over a whole signal, ended by `flush`, as many samples come out as went in, and `delay_samples`
    more: output sample t is input sample t - delay_samples, processed. So drop the first `delay_samples` to align the
    two. At a rate that is not the model's, the signal is resampled on both ways: `delay_samples` is then rounded to a
    whole sample, and each resampler hands its samples out later than it got them (see `Resampler`).

    Not for use from several threads at once.
    """

    def __init__(
        self, spec: StreamSpec, *, sample_rate_hz: int | None = None, channels: int = 1, resumable: bool = False
    ) -> None:
        """Open the stream. Raises SignalError for a rate or number of channels that can not be used."""
        lanes = 1 if spec.downmix else check_channels(spec, channels)
        pool = StatePool(spec.program, lanes, spec.backend)
        self._session = ResumableSession(
            spec, pool, sample_rate_hz=sample_rate_hz, channels=channels, resumable=resumable
        )
        self._executor = Executor(spec, lanes, pool)

    @classmethod
    def resume(cls, spec: StreamSpec, snapshot: bytes) -> Self:
        """A stream that goes on where another one's `snapshot` was taken. Raises SnapshotError."""
        found = Snapshot.read(snapshot)
        found.check(spec)
        stream = cls(spec, sample_rate_hz=found.sample_rate_hz or None, channels=found.channels, resumable=True)
        found.restore(stream._session)
        return stream

    @property
    def sample_rate_hz(self) -> int:
        """Rate of what goes in and of what comes out; 0 for feature frames."""
        return self._session.sample_rate_hz

    @property
    def channels(self) -> int:
        """Channels of what goes in and of what comes out."""
        return self._session.channels

    @property
    def delay_samples(self) -> int:
        """Output sample t is made of input sample t - delay_samples, at the stream's rate."""
        return self._session.delay_samples

    @property
    def hop_samples(self) -> int:
        """Samples a frame at the model's own rate; 1 for feature frames."""
        spec = self._session.spec
        return 1 if spec.feature_count else spec.hop_samples

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._session.closed

    def process(self, chunk: np.ndarray) -> Output:
        """Take a chunk and return what has become complete with it, which may be nothing.

        Args:
            chunk: audio, `[samples]` or `[samples, channels]`, float32 with full scale 1.0, or int16; or feature
                frames, `[frames, features]` float32. It is copied.

        Raises:
            SignalError: wrong type or shape, or a value that is not finite or too large (audio: beyond 2^20, with full
                scale 1.0; features: beyond 2^50). Nothing of the chunk was taken.
            StreamClosedError: the stream is closed.
        """
        session = self._session
        if self._executor.step_hop(session, chunk):
            return session.drain()
        block = session.check(chunk)
        if len(block) <= session.room_samples:
            session.accept(block)
            self._compute()
            return session.drain()
        taken = 0
        while taken < len(block):
            free = session.free_samples
            if not free:
                raise stuck()
            part = block[taken : taken + free]
            taken += len(part)
            session.accept(part)
            self._compute()
        return session.drain()

    def flush(self) -> Output:
        """End the signal and return the rest of its results. `reset` then starts another signal.

        Raises:
            SignalError: the stream was flushed before.
            StreamClosedError: the stream is closed.
        """
        self._session.flush()
        self._compute()
        return self._session.drain()

    def snapshot(self) -> bytes:
        """All that the rest of the stream depends on: `Model.resume` goes on from it, bit for bit, in any process.

        It goes on with the sample after the last one that `process` took. A few times the size of the state
        (`Model.describe().state_bytes`), and of a resampled stream about a second of signal.

        Raises:
            SnapshotError: the stream was flushed, or is resampled and was not opened with `resumable=True`.
            StreamClosedError: the stream is closed.
        """
        return take(self._session)

    def reset(self) -> None:
        """Forget the signal, and start a new one from fresh state. Raises StreamClosedError."""
        self._session.reset()

    def close(self) -> None:
        """Free what the stream holds; what was not flushed is lost. Closing twice does nothing."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        spec = self._session.spec
        signal = f"{self.sample_rate_hz} Hz, {self.channels} channel(s)" if self.sample_rate_hz else "feature frames"
        return f"<Stream of {spec.name!r}: {signal}{', closed' if self.closed else ''}>"

    def _compute(self) -> None:
        session = self._session
        for _ in range(session.ready):
            self._executor.step_alone(session)
