"""Keeps one live stream's snapshots, as many as it takes for its client to lose nothing and to have nothing twice."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Protocol

from ...session.kept_session import Copied, KeptSnapshot
from ..served import ServedKeptSession
from ..status import TakenOverError
from .seal import KeptStream
from .vault import Vault, name_of

logger = logging.getLogger(__name__)

MOST_SNAPSHOTS = 3
"""Of a stream whose client does not say what it has; of others there are one or two."""

EVERYTHING = 2**63 - 1
"""What `Keeper.replay_from` is once nothing can be asked for."""


class LiveResults(Protocol):
    """A stream of results, as its keeper needs it."""

    def wake(self) -> None:
        """There is something to tell the client."""
        ...

    def fail(self, error: Exception, /) -> None:
        """End the stream."""
        ...


class Keeper:
    """For the event loop's thread; files and networks are waited for in others."""

    def __init__(
        self, vault: Vault, session: ServedKeptSession, caller: str, config: bytes, model_version: str, token: bytes
    ) -> None:
        self.token = token
        self.replay_from = 0
        """Input before this will never be asked for again; EVERYTHING: the stream can not be resumed any more."""
        self._vault = vault
        self._session = session
        self._caller = caller
        self._config = config
        self._model_version = model_version
        self._name = name_of(token)
        self._snapshots: list[KeptSnapshot] = []
        self._is_ours = True
        self._next_frame = 0
        self._expires_s = 0.0
        """Of what is in the store."""
        self._live: LiveResults | None = None
        self._saving: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None

    async def prepare(self, live: LiveResults) -> None:
        """Have something to `begin` with."""
        self._live = live
        self._snapshots = [await self._vault.ask(self._session.now())]
        self.replay_from = self._snapshots[0].fed_samples

    async def begin(self) -> None:
        """Keep a first snapshot; from here on the stream can be resumed. Raises OSError."""
        most_bytes = MOST_SNAPSHOTS * self._session.most_snapshot_bytes + len(self._config)
        self._vault.promise(self._name, self._caller, most_bytes)
        stream = self._stream()
        await self._vault.add(self._name, stream, self)
        self._expires_s = stream.expires_s
        self._refreshing = asyncio.create_task(self._refresh())

    def received(self, next_frame_index: int) -> None:
        """The client has every frame before this one."""
        self._next_frame = max(self._next_frame, next_frame_index)

    def look(self) -> None:
        """Save the snapshot that the session has taken since the last look, if there is one. Returns at once."""
        if self._session.taken and self.replay_from != EVERYTHING and (self._saving is None or self._saving.done()):
            self._saving = asyncio.create_task(self._save_taken())

    def taken_over(self) -> None:
        """Somebody has resumed the stream: it ends here."""
        assert self._live is not None
        self._is_ours = False
        self._live.fail(TakenOverError("this stream was resumed by another call, which goes on with it"))

    def end(self, *, keep: bool) -> None:
        """The call is over, and its session is about to be closed: once that is done, `keep` how it stands then.

        What was kept before stays for as long as it can be asked for.
        """
        if self._refreshing is not None:
            self._refreshing.cancel()
        last: asyncio.Future[Copied] | None = None
        if keep and self._is_ours and self.replay_from != EVERYTHING:
            last = asyncio.get_running_loop().create_future()
            self._session.on_close = last.set_result
        self._vault.leave(self._name, self._leave(last), finished=not keep)

    async def _leave(self, closed: asyncio.Future[Copied] | None) -> None:
        """Save how the stream stands when its session is closed, which is right after the step that it is in."""
        last = None if closed is None else await closed
        if self._saving is not None:
            await asyncio.wait((self._saving,))
        if last is not None:
            await self._take_in()  # it may be the newest one before frames that the client did not get
            self._add(await self._vault.ask(last))
            await self._save()

    async def _save_taken(self) -> None:
        await self._take_in()
        await self._save()

    async def _take_in(self) -> None:
        """Put the snapshot that the session has taken among the others, if there is one."""
        with suppress(IndexError):
            self._add(await self._vault.ask(self._session.taken.pop()))

    def _add(self, newest: KeptSnapshot) -> None:
        if len(self._snapshots) >= MOST_SNAPSHOTS:
            del self._snapshots[-2]  # not the oldest, nor the newest: the client may lack what follows
        self._snapshots.append(newest)
        while len(self._snapshots) > 1 and self._snapshots[1].frames <= self._next_frame:
            del self._snapshots[0]

    def _stream(self) -> KeptStream:
        expires_s = time.time() + self._vault.resume_for_s
        return KeptStream(expires_s, self._caller, self._config, self._model_version, tuple(self._snapshots))

    async def _save(self) -> None:
        assert self._live is not None
        stream = self._stream()
        try:
            if not await self._vault.replace(self._name, stream):
                self.taken_over()
                return
        except OSError as error:
            logger.warning("a snapshot was not kept: %s", error)
            if time.time() < self._expires_s:
                return  # the stream goes on, and what was kept before is still there
            self.replay_from = EVERYTHING
        else:
            self._expires_s = stream.expires_s
            self.replay_from = stream.snapshots[0].fed_samples
        self._live.wake()

    async def _refresh(self) -> None:
        """Put off the end of its time, also of a stream that is silent."""
        while True:
            await asyncio.sleep(self._vault.resume_for_s / 3)
            if self.replay_from == EVERYTHING:
                return
            if self._saving is None or self._saving.done():
                self._saving = asyncio.create_task(self._save())
