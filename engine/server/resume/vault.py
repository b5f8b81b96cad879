"""All snapshots of a server: bounded in bytes, sealed, and found again by whoever has the token and may use it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from ...errors import SnapshotError
from ...session.kept_session import KeptSnapshot
from ..status import AnotherCallerError, CannotResumeError, UnknownTokenError
from .options import ResumeOptions
from .room import Room
from .seal import KeptStream

logger = logging.getLogger(__name__)

TOKEN_BYTES = 32
THREADS = 4

T = TypeVar("T")


class Owner(Protocol):
    """Who keeps a stream in this server."""

    def taken_over(self) -> None:
        """Somebody has resumed the stream."""
        ...


def new_token() -> bytes:
    """What nobody can guess."""
    return secrets.token_bytes(TOKEN_BYTES)


def name_of(token: bytes) -> str:
    """Where the stream of a token is kept. Who sees the name does not know the token."""
    return hashlib.sha256(token).hexdigest()


class Vault:
    """For the event loop's thread. Stores are asked in threads of their own: a slow disk stalls no stream."""

    def __init__(self, options: ResumeOptions) -> None:
        """Raises WavetileError where the store or the key can not be had."""
        options.check()
        self.resume_for_s = options.resume_for_s
        self.interval_s = options.interval_s
        self._room = Room(options.max_bytes)
        self._key = options.secret()
        self._store = options.open_store()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="wavetile-snapshots")
        self._owners: dict[str, Owner] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def promise(self, name: str, caller: str, most_bytes: int) -> None:
        """Set room aside for a new stream that takes at most so much, sealed. Raises OSError: there is none."""
        for old in self._room.promise(name, caller, most_bytes, time.time()):
            self._threads.submit(self._store.take, old)

    async def add(self, name: str, stream: KeptStream, owner: Owner) -> None:
        """Keep a new stream that was promised room, or break the promise. Raises OSError: the store is not there."""
        self._owners[name] = owner
        try:
            sealed = await self.ask(lambda: stream.sealed(self._key, name))
            await self.ask(lambda: self._store.add(name, sealed, stream.expires_s))
        except BaseException:
            self._owners.pop(name, None)
            self._room.leave(name)
            raise
        self._room.written(name, len(sealed))

    async def replace(self, name: str, stream: KeptStream) -> bool:
        """Keep a stream as it is now; False: somebody has resumed it. Raises OSError as `add`."""
        sealed = await self.ask(lambda: stream.sealed(self._key, name))
        replaced = await self.ask(lambda: self._store.replace(name, sealed, stream.expires_s))
        if replaced:
            self._room.written(name, len(sealed))
        else:
            self._room.leave(name)
        return replaced

    def leave(self, name: str, saving: Coroutine[Any, Any, None], *, finished: bool) -> None:
        """The stream's call has ended: `saving` keeps how it stands, and that stays until its time is over.

        One that has `finished` makes room where its caller needs some.
        """
        task = self._leaving[name] = asyncio.create_task(saving)

        def left(_: asyncio.Task[None]) -> None:
            del self._leaving[name]
            self._owners.pop(name, None)
            self._room.end(name, time.time() + self.resume_for_s, finished=finished)

        task.add_done_callback(left)

    async def settle(self, timeout_s: float) -> None:
        """Return when all streams are kept whose calls have ended, or after this time."""
        if self._leaving:
            await asyncio.wait(self._leaving.values(), timeout=timeout_s)

    async def find(self, token: bytes, caller: str, config: bytes) -> KeptStream:
        """The stream of a token, which stays valid.

        Raises:
            UnknownTokenError: there is none, which may be because it was used or its time is over.
            AnotherCallerError: it is not this caller's.
            CannotResumeError: the config is another one.
        """
        name = name_of(token)
        if (leaving := self._leaving.get(name)) is not None:  # what it has to say is newer than what the store has
            await asyncio.wait((leaving,))
        sealed = await self.ask(lambda: self._store.read(name))
        if sealed is None:
            raise UnknownTokenError(UNKNOWN)
        try:
            stream = await self.ask(lambda: KeptStream.opened(sealed, self._key, name))
        except SnapshotError as error:
            logger.warning("a kept stream was not opened: %s", error)
            raise UnknownTokenError(UNKNOWN) from None
        if stream.expires_s < time.time():
            raise UnknownTokenError(UNKNOWN)
        if stream.caller != caller:
            raise AnotherCallerError("this stream is another caller's")
        if stream.config != config:
            raise CannotResumeError("the config differs from that of the stream to resume; the same would work")
        return stream

    async def take(self, token: bytes) -> None:
        """Use a token up. Raises UnknownTokenError: another call was first."""
        name = name_of(token)
        if not await self.ask(lambda: self._store.take(name)):
            raise UnknownTokenError(UNKNOWN)
        self._room.leave(name)
        owner = self._owners.pop(name, None)
        if owner is not None:
            owner.taken_over()

    def drop(self, token: bytes) -> None:
        """Forget a stream whose token nobody has been told."""
        self._room.leave(name_of(token))
        self._threads.submit(self._store.take, name_of(token))

    def put_back(self, token: bytes, stream: KeptStream) -> None:
        """Make a token valid again whose stream nobody has heard of since it was taken; soon, and if that can be."""
        name = name_of(token)
        self._room.put_back(name, stream.caller, sum(len(one.data) for one in stream.snapshots), stream.expires_s)
        self._threads.submit(lambda: self._store.add(name, stream.sealed(self._key, name), stream.expires_s))

    async def ask(self, question: Callable[[], T]) -> T:
        """What `question` gives in one of the threads, which may wait."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, question)


UNKNOWN = "no stream can be resumed with this token: it is unknown, was used, or its time is over"


def choose(stream: KeptStream, next_frame_index: int, next_sample_index: int) -> KeptSnapshot:
    """The newest snapshot that lacks nothing of what the client lacks. Raises CannotResumeError: there is none."""
    for snapshot in reversed(stream.snapshots):
        if snapshot.frames <= next_frame_index and snapshot.given_samples <= next_sample_index:
            return snapshot
    raise CannotResumeError(
        f"the stream is kept from frame {stream.snapshots[0].frames} on; frame {next_frame_index} was received before"
    )
