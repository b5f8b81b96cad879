"""Changes which versions of models serve, while they serve: the next one is loaded, proved and measured beside them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple, TypeVar

from ..errors import WavetileError
from .activity import reason_of
from .model_table import ModelTable
from .release import Prepared, Release, prepare
from .served import Listing, ModelRepository
from .status import CannotResumeError, RefusedVersionError, UnknownModelError, quoted

logger = logging.getLogger(__name__)

T = TypeVar("T")


class VersionState(NamedTuple):
    """A version that is in the repository and serves nothing."""

    name: str
    version: str
    state: str
    """As the Open Inference Protocol calls it."""
    reason: str


class _Refusal(NamedTuple):
    """Why a version is not served, with the files that it has."""

    mark: Hashable
    reason: str


class Updates:
    """The models of one repository. Of each, the highest version that can be served is, unless another one is chosen.

    For the event loop's thread. Versions are loaded one after the other, in a thread of their own; one that fails is
    refused, and whatever serves goes on.
    """

    def __init__(self, repository: ModelRepository, models: ModelTable, *, threads: int, measure: bool) -> None:
        """`threads` and `measure` as of `prepare`. What the table serves already is not touched."""
        self._repository = repository
        self._models = models
        self._threads = threads
        self._measure = measure
        self._fixed = {one.name for one in models.live}
        self._left_alone: set[str] = set()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="wavetile-loading")
        self._changing = asyncio.Lock()
        self._listing: Listing = {}
        self._chosen: dict[str, int | None] = {}
        """Models that do not follow their highest version: the one to stay with; None: unloaded."""
        self._refused: dict[tuple[str, int], _Refusal] = {}
        self._loading: tuple[str, int] | None = None

    def close(self) -> None:
        """Load nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def reread(self) -> None:
        """Look into the repository once, and serve what is new there; also what was refused before. Raises OSError."""
        async with self._changing:
            self._refused.clear()
            await self._look()
            await self._follow({*self._listing, *self._mine()})

    async def watch(self, period_s: float) -> None:
        """Look every `period_s`, until cancelled; a model is touched when two looks in a row find the same files."""
        before = self._listing
        while True:
            await asyncio.sleep(period_s)
            async with self._changing:
                try:
                    await self._look()
                except OSError as error:  # a disk that is not there for a while
                    logger.warning("the model repository can not be read: %s", error)
                    continue
                now = self._listing
                await self._follow({name for name in {*now, *self._mine()} if now.get(name) == before.get(name)})
                before = now

    async def load(self, name: str, version: int | None = None) -> None:
        """Serve this version and stay with it; None: the highest, now and from now on.

        Raises:
            UnknownModelError: it is not in the repository.
            RefusedVersionError: it can not be served; what served before goes on.
        """
        async with self._changing:
            await self._look()
            versions = self._listing.get(name, {})
            if not versions:
                there = ", ".join(sorted(self._listing))
                raise UnknownModelError(f"no model {quoted(name)} in the repository; it has {there or 'none'}")
            wanted = max(versions) if version is None else version
            if wanted not in versions:
                there = ", ".join(map(str, sorted(versions)))
                raise UnknownModelError(f"model {name!r} has no version {wanted} in the repository; it has {there}")
            if not await self._serve(name, wanted):
                reason = self._refused[name, wanted].reason
                raise RefusedVersionError(
                    f"version {wanted} of model {name!r} is refused ({reason}); the server's log says why, and "
                    f"{self._what_goes_on(name)}"
                )
            if version is None:
                self._chosen.pop(name, None)
            else:
                self._chosen[name] = version

    async def unload(self, name: str) -> None:
        """Serve nothing new of a model until it is loaded again. Raises UnknownModelError: it is none of these."""
        async with self._changing:
            if name not in {*self._listing, *self._mine()}:
                raise UnknownModelError(f"no model {quoted(name)} in the repository, so it can not be unloaded")
            self._chosen[name] = None
            self._withdraw(name, "it is unloaded")

    async def version_for(self, name: str, version: str) -> Release:
        """A version for a stream that goes on with it, whether it serves others or not; to be leased at once.

        Raises CannotResumeError: it is neither here nor in the repository.
        """
        async with self._changing:
            kept = self._models.kept(name, version)
            if kept is not None:
                return kept
            wanted = int(version) if version.isdecimal() else 0
            there = self._chosen.get(name, wanted) is not None and wanted in self._listing.get(name, {})
            if there and not self._is_refused(name, wanted):
                prepared = await self._prepared(name, wanted)
                if prepared is not None:
                    return self._models.adopt(prepared)
        raise CannotResumeError(f"the stream was on version {version} of model {name!r}, which is no longer here")

    def idle(self) -> Iterator[VersionState]:
        """The versions in the repository that neither serve nor drain."""
        for name, versions in sorted(self._listing.items()):
            for version in sorted(versions):
                if self._models.kept(name, str(version)) is not None:
                    continue
                if self._loading == (name, version):
                    yield VersionState(name, str(version), "LOADING", "")
                    continue
                refused = self._refused.get((name, version))
                reason = "it is in the repository, and not loaded"
                if refused is not None:
                    reason = f"it was refused ({refused.reason}); the server's log says why"
                yield VersionState(name, str(version), "UNAVAILABLE", reason)

    # What follows is done by one at a time.

    def _mine(self) -> set[str]:
        """The models of the repository that serve."""
        return {one.name for one in self._models.serving.values()} - self._fixed

    async def _look(self) -> None:
        listing = await self._in_thread(self._repository.look)
        for name in sorted(self._fixed & listing.keys()):
            if name not in self._left_alone:
                self._left_alone.add(name)
                logger.error("model %r is served from elsewhere; what the repository has of it is left alone", name)
        self._listing = {name: versions for name, versions in listing.items() if name not in self._fixed}

    async def _follow(self, names: Collection[str]) -> None:
        """Have these models serve what the repository has of them."""
        for name in sorted(names):
            if not self._listing.get(name):
                self._withdraw(name, "the repository has it no more")
            else:
                for version in self._candidates(name):
                    if not self._is_refused(name, version) and await self._serve(name, version):
                        break

    def _is_refused(self, name: str, version: int) -> bool:
        """Whether these very files could not be served."""
        refused = self._refused.get((name, version))
        return refused is not None and refused.mark == self._listing[name][version]

    def _candidates(self, name: str) -> list[int]:
        """The versions to try, the best first; none that is worse than the one that serves, if that is still there."""
        versions = self._listing[name]
        if name in self._chosen:
            return [version for version in versions if version == self._chosen[name]]
        current = self._models.release_of(name)
        least = min(versions)
        if current is not None and int(current.version) in versions:
            least = int(current.version)
        return sorted((version for version in versions if version >= least), reverse=True)

    async def _serve(self, name: str, version: int) -> bool:
        """Let a version serve, loaded if need be; False: it was refused."""
        mark = self._listing[name][version]
        current = self._models.release_of(name)
        if current is not None and (current.version, current.mark) == (str(version), mark):
            return True
        kept = self._models.kept(name, str(version))
        if kept is not None and kept.mark == mark:
            self._models.restore(kept)
        else:
            prepared = await self._prepared(name, version)
            if prepared is None:
                return False
            try:
                self._models.install(prepared)
            except WavetileError as error:
                self._refuse(name, version, error)
                return False
        drains = "" if current is None else f"; version {current.version} has {current.leases} streams, which go on"
        about = {"event": "model_updated", "model": name, "model_version": str(version)}
        logger.info("model %r: version %d serves%s", name, version, drains, extra=about)
        return True

    async def _prepared(self, name: str, version: int) -> Prepared | None:
        """A version that can serve at once; None: it was refused."""
        mark = self._listing[name][version]

        def prepared() -> Prepared:
            loaded = replace(self._repository.load(name, version), mark=mark)
            return prepare(name, str(version), loaded, threads=self._threads, measure=self._measure)

        self._loading = name, version
        try:
            return await self._in_thread(prepared)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a version, the others go on
            self._refuse(name, version, error)
            return None
        finally:
            self._loading = None

    def _refuse(self, name: str, version: int, error: Exception) -> None:
        self._refused[name, version] = _Refusal(self._listing[name][version], reason_of(error))
        known = isinstance(error, WavetileError | OSError)
        about = {"event": "model_refused", "model": name, "model_version": str(version)}
        logger.error(
            "model %r: version %d is refused: %s; %s",
            name, version, error, self._what_goes_on(name), exc_info=None if known else error, extra=about,
        )  # fmt: skip

    def _what_goes_on(self, name: str) -> str:
        current = self._models.release_of(name)
        return "nothing is served of it" if current is None else f"version {current.version} goes on"

    def _withdraw(self, name: str, why: str) -> None:
        release = self._models.withdraw(name)
        if release is not None:
            about = {"event": "model_withdrawn", "model": name, "model_version": release.version}
            text = "model %r: %s; version %s has %d streams, which go on"
            logger.info(text, name, why, release.version, release.leases, extra=about)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)
