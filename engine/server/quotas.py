"""What each caller may take of the server: a table from a file, and the accounts of those who are calling."""

from __future__ import annotations

import asyncio
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from ..errors import WavetileError
from .callers import Caller
from .jobs import submitted
from .priority import Priority
from .status import QuotaError

BURST_S = 1.0
"""A caller that was silent may send so long ahead of its bytes a second."""
LONGEST_WAIT_S = 30.0
"""For a caller's bytes a second; who would have to wait longer is refused."""
KEPT_ACCOUNTS = 1000
"""Those of callers that have no stream are dropped beyond this number, once they owe nothing."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Quota:
    """What one caller may take; 0 or nothing said: as much as the server itself allows."""

    streams: int = 0
    """At the same time, sequences of the Open Inference Protocol among them."""
    bytes_per_second: int = 0
    """Of all its messages to the server. Beyond it, the server waits before it reads on."""
    message_bytes: int = 0
    plans: int = 0
    """Streams of images that are planned at the same time; others of the caller wait. Nothing said: all threads of the
    server but one, where it knows its callers."""
    priority: Priority = Priority.HIGH
    """The highest that its streams may have."""


class Quotas:
    """A quota for each caller by name, and one for all others, each of whom has it for itself."""

    def __init__(self, default: Quota | None = None, callers: Mapping[str, Quota] | None = None) -> None:
        self._default = default or Quota()
        self._callers = dict(callers or {})

    @classmethod
    def read(cls, path: Path) -> Quotas:
        """The quotas of a TOML file: a table [default], and tables [callers.NAME]. Raises WavetileError."""
        try:
            tables = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise WavetileError(f"the quotas {path} can not be read: {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise WavetileError(f"the quotas {path} are no TOML: {error}") from error
        callers = tables.pop("callers", {})
        default = tables.pop("default", {})
        if tables or not isinstance(callers, dict):
            raise WavetileError(
                f"the quotas {path} hold {', '.join(tables) or 'callers'!r}; [default] and [callers.NAME] would work"
            )
        return cls(
            _quota(default, f"{path}, [default]"),
            {name: _quota(table, f"{path}, [callers.{name}]") for name, table in callers.items()},
        )

    def of(self, name: str) -> Quota:
        """The quota of the caller `name`."""
        return self._callers.get(name, self._default)


class ByteBucket:
    """Bytes that may come now: `rate` a second, saved up for BURST_S."""

    def __init__(self, rate: float, now_s: float) -> None:
        self._rate = rate
        self._level = rate * BURST_S
        self._then_s = now_s

    def take(self, count: int, now_s: float) -> float | None:
        """Take `count` bytes, and return how many seconds to wait for them; None: too long, nothing was taken."""
        self._fill(now_s)
        wait_s = max(0.0, (count - self._level) / self._rate)
        if wait_s > LONGEST_WAIT_S:
            return None
        self._level -= count
        return wait_s

    def is_full(self, now_s: float) -> bool:
        """Whether nothing of it is in use."""
        self._fill(now_s)
        return self._level >= self._rate * BURST_S

    def _fill(self, now_s: float) -> None:
        self._level = min(self._rate * BURST_S, self._level + self._rate * (now_s - self._then_s))
        self._then_s = now_s


class Account:
    """What one caller has taken. For the event loop's thread."""

    def __init__(self, quota: Quota, plans: int) -> None:
        self.quota = quota
        self._plans = plans
        self._streams = 0
        self._planning = 0
        self._plan_ended: list[asyncio.Future[None]] = []
        self._bucket = ByteBucket(quota.bytes_per_second, time.monotonic()) if quota.bytes_per_second else None

    @property
    def is_idle(self) -> bool:
        """Whether forgetting it changes nothing."""
        full = self._bucket is None or self._bucket.is_full(time.monotonic())
        return full and not self._streams and not self._planning

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Count a stream for as long as the context lasts. Raises QuotaError."""
        if 0 < self.quota.streams <= self._streams:
            raise QuotaError(
                f"this caller has {self._streams} streams, as many as its quota; one more would work when one has ended"
            )
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    def check_priority(self, priority: Priority) -> None:
        """Raise QuotaError where the caller's streams may not have this priority."""
        if priority > self.quota.priority:
            highest = self.quota.priority.name
            raise QuotaError(f"priority {priority.name} is above this caller's quota; {highest} would work")

    @property
    def is_metered(self) -> bool:
        """Whether `pay` does anything."""
        return self._bucket is not None or self.quota.message_bytes > 0

    async def pay(self, count: int) -> None:
        """Return once a message of `count` bytes may be taken. Raises QuotaError."""
        limit = self.quota.message_bytes
        if 0 < limit < count:
            raise QuotaError(
                f"a message of {count} bytes; this caller's quota is {limit}, so that smaller ones would work"
            )
        if self._bucket is None:
            return
        wait_s = self._bucket.take(count, time.monotonic())
        if wait_s is None:
            error = QuotaError(
                f"a message of {count} bytes would have to wait for more than {LONGEST_WAIT_S:g} s by this caller's "
                f"quota of {self.quota.bytes_per_second} bytes a second; smaller messages, or fewer streams, would work"
            )
            error.retry_after_s = LONGEST_WAIT_S
            raise error
        if wait_s:
            await asyncio.sleep(wait_s)

    async def plan(self, pool: Executor, work: Callable[..., T], *arguments: Any) -> T:
        """Do `work` in `pool`, once not too much of this caller's is there.

        What has begun when its stream goes is done all the same, and counts until it is.
        """
        loop = asyncio.get_running_loop()
        while self._planning >= self._plans:
            turn = loop.create_future()
            self._plan_ended.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn in self._plan_ended:
                    self._plan_ended.remove(turn)
                elif not turn.cancelled():
                    self._pass_on()
                raise
        planned = submitted(pool, self._planned, work, *arguments)
        self._planning += 1
        return await planned

    def _planned(self) -> None:
        self._planning -= 1
        self._pass_on()

    def _pass_on(self) -> None:
        while self._plan_ended:
            turn = self._plan_ended.pop(0)
            if not turn.done():
                turn.set_result(None)
                return


class Accounts:
    """The accounts by caller. For the event loop's thread."""

    def __init__(self, quotas: Quotas | None = None, plans: int = 1) -> None:
        """`plans` is how many a caller may have whose quota says nothing of it."""
        self._quotas = quotas or Quotas()
        self._plans = plans
        self._accounts: dict[str, Account] = {}

    def of(self, caller: Caller | None) -> Account:
        """The caller's account; those whom nobody knows share one."""
        name = "" if caller is None else caller.name
        account = self._accounts.get(name)
        if account is None:
            if len(self._accounts) >= KEPT_ACCOUNTS:
                self._accounts = {name: one for name, one in self._accounts.items() if not one.is_idle}
            quota = self._quotas.of(name)
            account = self._accounts[name] = Account(quota, quota.plans or self._plans)
        return account


def _quota(table: object, where: str) -> Quota:
    if not isinstance(table, dict):
        raise WavetileError(f"{where} is {table!r}; a table would work")
    known = [field.name for field in fields(Quota)]
    values = {}
    for name, value in table.items():
        if name not in known:
            raise WavetileError(f"{where} has {name!r}; of {', '.join(known)} would work")
        if name == "priority":
            words = [one.name.lower() for one in Priority]
            if value not in words:
                raise WavetileError(f"{where}: priority is {value!r}; one of {', '.join(words)} would work")
            values[name] = Priority[value.upper()]
        elif isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise WavetileError(f"{where}: {name} is {value!r}; a whole number above 0 would work")
        else:
            values[name] = value
    return Quota(**values)
