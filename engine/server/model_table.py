"""Which version of each model serves what is new, and which ones go on until their last stream ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from ..errors import ModelError
from ..session.scheduler import Scheduler
from .activity import Activity
from .admission import Admission
from .release import Prepared, Release
from .status import UnknownModelError, quoted

logger = logging.getLogger(__name__)


class ModelTable:
    """The releases by the names that they serve. For the event loop's thread, on which a change is one step.

    A release that another one has replaced, or that was withdrawn, drains: what it has goes on. When nobody uses it any
    more, its executors, states and weights are let go of.
    """

    def __init__(self, scheduler: Scheduler, admission: Admission, activity: Activity) -> None:
        self._scheduler = scheduler
        self._admission = admission
        self._activity = activity
        self._serving: Mapping[str, Release] = {}
        self._draining: list[Release] = []
        self.on_freed: list[Callable[[Release], object]] = []
        """Called with each release that is let go of."""

    @property
    def serving(self) -> Mapping[str, Release]:
        """What new streams and evaluations get, by name."""
        return self._serving

    @property
    def live(self) -> list[Release]:
        """All releases: those that serve, by name, then those that drain, the oldest first."""
        return [*dict.fromkeys(self._serving[name] for name in sorted(self._serving)), *self._draining]

    @property
    def streams(self) -> dict[str, Release]:
        """The serving releases that have streams, sorted by name."""
        return {name: one for name, one in sorted(self._serving.items()) if one.name == name and one.has_stream}

    def release_of(self, name: str) -> Release | None:
        """The serving release of the model of that name; None: there is none."""
        return next((one for one in self._serving.values() if one.name == name), None)

    def kept(self, name: str, version: str) -> Release | None:
        """A release of this version, whether it serves or drains; None: there is none."""
        return next((one for one in self.live if (one.name, one.version) == (name, version)), None)

    def find(self, name: str, version: str = "") -> Release:
        """The release that serves new streams of `name`; `version` may be empty. Raises UnknownModelError."""
        release = self._serving.get(name)
        if release is None or release.name != name or not release.has_stream:
            raise UnknownModelError(f"no model {quoted(name)}; this server has {', '.join(self.streams) or 'none'}")
        check_version(name, version, release)
        return release

    def last(self, name: str) -> Release:
        """What serves streams of `name`, or did so last, as long as some are left. Raises UnknownModelError."""
        drained = [one for one in self._draining if one.name == name and one.has_stream]
        return drained[-1] if name not in self.streams and drained else self.find(name)

    def install(self, prepared: Prepared) -> Release:
        """Let this version serve from now on; the one of the same model that did so drains.

        Raises ModelError: another model serves one of its names.
        """
        before = self.release_of(prepared.name)
        taken = sorted(name for name in prepared.names if self._serving.get(name, before) is not before)
        if taken:
            raise ModelError(f"two models are called {taken[0]!r}; another name would work")
        release = self._made(prepared)
        self._put(release)
        return release

    def restore(self, release: Release) -> None:
        """Let one that drains serve again, in place of the one that does so now."""
        self._draining.remove(release)
        self._put(release)

    def adopt(self, prepared: Prepared) -> Release:
        """Take in a version that serves nothing new. Whoever asks for it leases it at once."""
        release = self._made(prepared)
        self._draining.append(release)
        return release

    def withdraw(self, name: str) -> Release | None:
        """Let the model of that name serve nothing new; returns what drains now, if there was anything."""
        release = self.release_of(name)
        if release is not None:
            self._serving = {name: one for name, one in self._serving.items() if one is not release}
            self._drain(release)
        return release

    def _made(self, prepared: Prepared) -> Release:
        scheduled = self._scheduler.add(prepared.name, prepared.executors) if prepared.executors else None
        if scheduled is not None and prepared.cost is not None:
            self._admission.capacity.models[scheduled] = prepared.cost
        return Release(prepared, scheduled, self._free_unused)

    def _put(self, release: Release) -> None:
        before = self.release_of(release.name)
        self._activity.know(release.names)
        kept = {name: one for name, one in self._serving.items() if one is not before}
        self._serving = {**kept, **dict.fromkeys(release.names, release)}
        if before is not None:
            self._drain(before)

    def _drain(self, release: Release) -> None:
        self._draining.append(release)
        if not release.leases:
            self._free_unused(release)

    def _free_unused(self, release: Release) -> None:
        if release not in self._draining:
            return
        self._draining.remove(release)
        if release.has_frames:
            self._scheduler.remove(release.scheduled)
            self._admission.capacity.models.pop(release.scheduled, None)
        for tell in self.on_freed:
            tell(release)
        about = {"event": "model_freed", "model": release.name, "model_version": release.version}
        logger.info("model %r: version %s is let go of", release.name, release.version, extra=about)


def check_version(name: str, version: str, release: Release) -> None:
    """Raise UnknownModelError where `version` is neither empty nor the one that serves."""
    if version not in ("", release.version):
        raise UnknownModelError(
            f"model {name!r} has no version {quoted(version)}; {release.version!r}, or none given, would work"
        )
