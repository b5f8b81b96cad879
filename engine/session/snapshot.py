"""A snapshot: all that the rest of a stream depends on, as bytes, and what stream it belongs to.

The bytes are a record (see `record`) and a checksum behind it, which finds damage, not malice; nothing in them is run
when they are read. A stream that goes on from them gives, bit for bit, what the one that they were taken of would have
given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from ..errors import SnapshotError
from .record import Part, Record, Value, parts_of
from .resumable_session import ResumableSession
from .spec import StreamSpec

FORMAT = 2
"""Of the fields that a session and its parts save."""

_CHECKSUM_BYTES = 16


def take(session: ResumableSession) -> bytes:
    """A snapshot of a session between two steps, all of whose results were drained.

    Raises:
        SnapshotError: the stream has ended, or was not opened to be resumed and is resampled.
        StreamClosedError: the session is closed.
    """
    return packed(session.spec, session.sample_rate_hz, session.channels, session.save())


def packed(spec: StreamSpec, sample_rate_hz: int, channels: int, saved: Mapping[str, Value]) -> bytes:
    """A snapshot of what such a session has `saved`; on any thread, for this costs most."""
    parts = parts_of(
        {
            "format": FORMAT,
            "model": spec.name,
            "digest": spec.digest,
            "sample_rate_hz": sample_rate_hz,
            "channels": channels,
            "session": saved,
        }
    )
    return b"".join((*parts, _checksum(*parts)))


def _checksum(*parts: Part) -> bytes:
    checksum = hashlib.blake2b(digest_size=_CHECKSUM_BYTES)
    for part in parts:
        checksum.update(part)
    return checksum.digest()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot that was read: of which stream it is, and its session's part."""

    model: str
    digest: str
    sample_rate_hz: int
    channels: int
    session: bytes

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Read `take`'s bytes. Raises SnapshotError: they are damaged, or of another version of wavetile."""
        content, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
        record = Record.read(content)
        if _checksum(content) != checksum:
            raise SnapshotError("a snapshot is damaged: its checksum is another one")
        if (found := record.number("format")) != FORMAT:
            raise SnapshotError(f"a snapshot in format {found}; this version of wavetile reads format {FORMAT}")
        return cls(
            record.text("model"),
            record.text("digest"),
            record.number("sample_rate_hz"),
            record.number("channels"),
            record.data("session"),
        )

    def check(self, spec: StreamSpec) -> None:
        """Raise SnapshotError unless it is of this very stream: model, weights, program and code."""
        if self.model != spec.name:
            raise SnapshotError(f"a snapshot of model {self.model!r} does not fit {spec.name!r}")
        if self.digest != spec.digest:
            raise SnapshotError(
                f"a snapshot of another version of model {self.model!r}: its weights, its card, the back end or "
                "wavetile itself have changed; the version that it was taken of would work"
            )

    def restore(self, session: ResumableSession) -> None:
        """Let a fresh session of the same rate and channels go on from here. Raises SnapshotError."""
        self.check(session.spec)
        if (self.sample_rate_hz, self.channels) != (session.sample_rate_hz, session.channels):
            raise SnapshotError(
                f"a snapshot at {self.sample_rate_hz} Hz with {self.channels} channel(s) does not fit a stream at "
                f"{session.sample_rate_hz} Hz with {session.channels}"
            )
        session.restore(Record.read(self.session))
