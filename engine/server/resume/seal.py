"""What a server keeps of a stream, sealed: nobody without the key can make or change it."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Self

from ...errors import SnapshotError
from ...session.kept_session import KeptSnapshot
from ...session.record import Record, pack

VERSION = 2
_MAGIC = b"WTSEAL" + bytes((VERSION,))
_TAG_BYTES = 32


@dataclass(frozen=True, slots=True)
class KeptStream:
    """A stream's newest snapshots, the oldest first, and whose stream it is."""

    expires_s: float
    """As of `time.time()`."""
    caller: str
    config: bytes
    """The stream's config, less what belongs to one call alone."""
    model_version: str
    """That the stream is on."""
    snapshots: tuple[KeptSnapshot, ...]

    def sealed(self, key: bytes, name: str) -> bytes:
        """The bytes to keep under `name`: they open under no other one."""
        fields: dict[str, float | str | bytes | int] = {
            "expires_s": self.expires_s,
            "caller": self.caller,
            "config": self.config,
            "model_version": self.model_version,
            "count": len(self.snapshots),
        }
        for index, snapshot in enumerate(self.snapshots):
            fields |= {
                f"frames {index}": snapshot.frames,
                f"fed {index}": snapshot.fed_samples,
                f"given {index}": snapshot.given_samples,
                f"data {index}": snapshot.data,
            }
        data = pack(fields)
        return _MAGIC + _tag(key, name, data) + data

    @classmethod
    def opened(cls, sealed: bytes, key: bytes, name: str) -> Self:
        """What `sealed` was made of. Raises SnapshotError: not with this key, not for this name, or not like this."""
        start = len(_MAGIC) + _TAG_BYTES
        tag, data = sealed[len(_MAGIC) : start], sealed[start:]
        if not sealed.startswith(_MAGIC) or not hmac.compare_digest(tag, _tag(key, name, data)):
            raise SnapshotError("the seal is broken, or another key's")
        record = Record.read(data)
        snapshots = tuple(
            KeptSnapshot(
                record.number(f"frames {index}"),
                record.number(f"fed {index}"),
                record.number(f"given {index}"),
                record.data(f"data {index}"),
            )
            for index in range(record.number("count"))
        )
        return cls(
            record.real("expires_s"),
            record.text("caller"),
            record.data("config"),
            record.text("model_version"),
            snapshots,
        )


def _tag(key: bytes, name: str, data: bytes) -> bytes:
    tag = hmac.new(key, _MAGIC, "sha256")
    tag.update(name.encode())
    tag.update(b"\0")
    tag.update(data)
    return tag.digest()
