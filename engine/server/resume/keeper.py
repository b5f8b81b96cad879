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

MOST_SNAPSHOTS = 4
"""Of a stream whose client does not say what it has; of others there are one or two."""


class Ended(Protocol):
    """Is told that the stream can not go on here."""

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
        """Input before this will never be asked for again."""
        self._vault = vault
        self._session = session
        self._caller = caller
        self._config = config
        self._model_version = model_version
        self._name = name_of(token)
        self._snapshots: list[KeptSnapshot] = []
        self._is_ours = True
        self._next_frame = 0
        self._live: Ended | None = None
        self._saving: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None

    async def begin(self, live: Ended) -> None:
        """Keep a first snapshot; from here on the stream can be resumed. Raises TooManyStreamsError, OSError."""
        self._live = live
        self._snapshots = [await self._vault.ask(self._session.now())]
        self.replay_from = self._snapshots[0].fed_samples
        await self._vault.add(self._name, self._stream(), self)
        self._refreshing = asyncio.create_task(self._refresh())

    def received(self, next_frame_index: int) -> None:
        """The client has every frame before this one."""
        self._next_frame = max(self._next_frame, next_frame_index)

    def look(self) -> None:
        """Save the snapshot that the session has taken since the last look, if there is one. Returns at once."""
        if (self._saving is None or self._saving.done()) and self._session.taken:
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
        if keep and self._is_ours:
            last = asyncio.get_running_loop().create_future()
            self._session.on_close = last.set_result
        self._vault.leave(self._name, self._leave(last))

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
        oldest = self._snapshots[0]
        try:
            if await self._vault.replace(self._name, self._stream()):
                self.replay_from = oldest.fed_samples
            else:
                self.taken_over()
        except OSError as error:  # the stream goes on, and what was kept before is still there
            logger.warning("a snapshot was not kept: %s", error)

    async def _refresh(self) -> None:
        """Put off the end of its time, also of a stream that is silent."""
        while True:
            await asyncio.sleep(self._vault.resume_for_s / 3)
            if self._saving is None or self._saving.done():
                self._saving = asyncio.create_task(self._save())
