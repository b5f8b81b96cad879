"""A session whose state can be saved between two steps, and be gone on from."""

from __future__ import annotations

from ..errors import SnapshotError
from .record import Record, Value
from .resample import Resampler
from .resample_resumable import ResumableResampler
from .session import Session


class ResumableSession(Session):
    """A session that `snapshot.take` takes and `Snapshot.restore` restores; neither while it is fed or stepped.

    What is not resampled can be saved in any case, what is only where `resumable` is True.
    """

    @property
    def frames(self) -> int:
        """Steps that were made of this signal."""
        return self._results.steps

    @property
    def fed_samples(self) -> int:
        """Samples a channel, at the stream's rate, or feature frames, that were fed."""
        return self._fed

    @property
    def given_samples(self) -> int:
        """Samples a channel, at the stream's rate, that were drained."""
        return self._results.given

    @property
    def signal_bytes(self) -> int:
        """Of the signal, the most that is saved."""
        kept = self._ring, self._bypass, self._resampler, self._results.resampler
        return sum(part.nbytes for part in kept if part is not None and not isinstance(part, Resampler))

    def save(self) -> dict[str, Value]:
        """What the rest of the stream depends on, besides the rest of its signal; for `snapshot.packed`.

        Copies of all that changes, or what never will: they may be packed while the stream goes on.

        Raises:
            SnapshotError: the stream has ended, or its resamplers can not be saved.
            StreamClosedError: the session is closed.
        """
        self._check_open()
        if self._final_steps is not None:
            raise SnapshotError("the stream was flushed: nothing of it is left to go on with")
        resampler = self._resampler
        if isinstance(resampler, Resampler):
            raise SnapshotError(
                f"a stream at {self.sample_rate_hz} Hz of model {self.spec.name!r}, which runs at "
                f"{self.spec.sample_rate_hz} Hz, was not opened to be resumed; stream(..., resumable=True) would work"
            )
        return {
            "fed": self._fed,
            "read": self._ring.read_count,
            "ring": self._ring.save(),
            "state": b"".join(self._pool.read(slot) for slot in self._held),
            "resampler": None if resampler is None else resampler.save(),
            "bypass": None if self._bypass is None else self._bypass.save(),
            "results": self._results.save(),
        }

    def restore(self, saved: Record) -> None:
        """Go on where a session of the same stream was saved, instead of at the beginning. Raises SnapshotError."""
        self._check_open()
        self._begin()
        state = saved.data("state")
        size = self.spec.program.state_bytes
        if len(state) != size * self.lanes:
            raise SnapshotError(f"a state of {len(state)} bytes does not fit {self.lanes} lane(s) of {size} bytes")
        for lane, slot in enumerate(self._held):
            self._pool.write(slot, state[lane * size : (lane + 1) * size])
        try:
            self._ring.restore(saved.array("ring"), saved.number("read"))
        except ValueError as error:
            raise SnapshotError(f"a snapshot's signal does not fit the stream: {error}") from None
        self._fed = saved.number("fed")
        if isinstance(self._resampler, ResumableResampler):
            self._resampler.restore(Record.read(saved.data("resampler")))
        if self._bypass is not None:
            self._bypass.restore(Record.read(saved.data("bypass")))
        self._results.restore(Record.read(saved.data("results")))
