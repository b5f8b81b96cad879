"""Says which streams come in, and which go first when there are too many: places, quotas, and measured load.

The load is what `Capacity` says of all that are in, each as if its client sent in real time, or what the event loop is
seen to do, if that is more: refusing takes it too, and so does what nobody foresaw. A stream that would bring the load
above the limit is refused. Where frames are late for all that, because the machine does something else or costs have
grown, streams are shed, and the limit stays below where that happened, until it has crept up again.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from ..session.capacity import Capacity, Change
from .callers import current_caller
from .priority import Priority
from .quotas import Account, Accounts
from .status import AtCapacityError, CallError, DrainingError, ShedError, TooManyStreamsError

ErrorT = TypeVar("ErrorT", bound=CallError)

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 30.0
RETRIES_PER_SECOND = 20.0
"""Those who are refused are told to come back one after the other: refusing takes the event loop too."""
SHED_SHARE = 0.1
"""Of the streams, that are ended at once when frames are late."""
FIRST_RECOVERY_S = 5.0
LONGEST_RECOVERY_S = 160.0
"""A limit that was lowered comes back by two thirds in this time, which doubles each time that streams have to go."""
RECOVERED_SHARE = 0.99
"""Of what the options allow, from which on it is as if the limit had never been lowered."""
LOWEST_LIMIT_SHARE = 0.1
RAMP_S = 1.0
RAMP_SHARE = 0.25
"""Of the limit, that comes in within RAMP_S: what streams really take shows when they are there."""
RAMP_STREAMS = 8
"""Which come in together whatever share they are."""


class Pulse(NamedTuple):
    """What a stream has been given so far, as far as nobody but the server can be the reason."""

    frames: int = 0
    missed: int = 0
    results: int = 0
    waited_ns: int = 0
    """Added up over results, of whose frames the longest wait for compute counts."""


@dataclass(slots=True, eq=False)
class Seat:
    """One stream's place. Made by `Admission.admit`."""

    admission: Admission
    account: Account
    number: int
    """Streams that came later have higher ones."""
    priority: Priority = Priority.NORMAL
    model: Hashable = None
    """As `Capacity` knows it."""
    lanes: int = 0
    end: Callable[[CallError], None] | None = None
    """Ends the stream; None: it is no load, and not shed."""
    pulse: Callable[[], Pulse] = Pulse
    seen: Pulse = field(default_factory=Pulse)
    """What `pulse` said when it was last asked."""

    def occupy(
        self,
        model: Hashable,
        lanes: int,
        priority: Priority,
        end: Callable[[CallError], None],
        pulse: Callable[[], Pulse],
    ) -> None:
        """Ask for the stream's share of the compute threads; others of lower priority may have to go for it.

        Raises AtCapacityError, QuotaError.
        """
        self.account.check_priority(priority)
        self.admission.make_room(model, lanes, priority)
        self.model, self.lanes, self.priority, self.end, self.pulse = model, lanes, priority, end, pulse
        self.admission.seated(self)

    def shed(self, reason: str) -> None:
        """End the stream."""
        end = self.end
        self.leave()
        if end is not None:
            end(_with_retry(ShedError(reason), self.admission.retry_after_s()))

    def leave(self) -> None:
        """Give the share back; once."""
        if self.end is not None:
            self.end, self.pulse = None, Pulse  # which keep the stream here
            self.admission.left(self)


class Admission:
    """At most `max_streams` live streams; none once `drain` was called. For the event loop's thread.

    A stream that was ended for a client that does not read lingers: gRPC keeps it, with the message it could not
    deliver, until the client takes its end or goes. There are as many places for those: neither kind grows without end.
    """

    def __init__(self, max_streams: int, accounts: Accounts | None = None) -> None:
        """Without `limit_load`, no load is refused."""
        self._max_streams = max_streams
        self.accounts = accounts or Accounts()
        self._live = 0
        self._lingering = 0
        self._draining = False
        self.capacity = Capacity({}, 1)
        self.waiting = 0.0
        """How long frames wait now, in hops: measured, and so there before any of them is late."""
        self.loop_share = 0.0
        """Of the time, that the event loop is busy now: measured."""
        self._max_load = self._limit = 0.0
        self._recovery_s = FIRST_RECOVERY_S / 2
        self._seats: dict[int, Seat] = {}
        self._numbers = itertools.count()
        self._fresh: deque[tuple[float, Seat]] = deque()
        """Those that came within RAMP_S, and when."""
        self._next_retry_s = 0.0
        self.asked = 0
        """Streams that were let in or refused since the server's start."""

    def limit_load(self, capacity: Capacity, max_load: float) -> None:
        """Let streams in up to `max_load`, a share of what can be computed in time. Before the first one comes."""
        self.capacity = capacity
        self._max_load = self._limit = max_load

    @property
    def live(self) -> int:
        """How many streams are in."""
        return self._live

    @property
    def draining(self) -> bool:
        """Whether `drain` was called."""
        return self._draining

    @property
    def limit(self) -> float:
        """The load up to which streams come in now; 0: any."""
        return self._limit

    @property
    def seats(self) -> list[Seat]:
        """Of streams that are a load, in the order in which they came."""
        return list(self._seats.values())

    @property
    def account(self) -> Account:
        """Of whose call this is."""
        return self.accounts.of(current_caller.get())

    def drain(self) -> None:
        """Admit nobody from now on."""
        self._draining = True

    @contextmanager
    def admit(self) -> Iterator[Seat]:
        """Hold a place for as long as the context lasts. Raises TooManyStreamsError, DrainingError, QuotaError."""
        self.asked += 1
        if self._draining:
            raise DrainingError("the server is stopping and takes no new streams; try another one")
        if self._live >= self._max_streams:
            raise self._full(f"the server has {self._live} streams, as many as it takes")
        if self._lingering >= self._max_streams:
            raise self._full("too many clients have not taken the end of their streams")
        account = self.account
        with ExitStack() as stack:
            stack.enter_context(account.stream())
            self._live += 1
            seat = Seat(self, account, next(self._numbers))
            try:
                yield seat
            finally:
                seat.leave()
                self._live -= 1

    @contextmanager
    def linger(self) -> Iterator[None]:
        """Count a stream that has ended for as long as its client has not been told."""
        self._lingering += 1
        try:
            yield
        finally:
            self._lingering -= 1

    def make_room(self, model: Hashable, lanes: int, priority: Priority) -> None:
        """Return when a stream more fits, for which LOW ones may have to go if it is HIGH. Raises AtCapacityError."""
        if not self._max_load or not self._seats:  # alone it breaks nobody else, whatever it takes
            return
        changes: list[Change] = [(model, lanes, 1)]
        self._check_ramp(changes)
        victims: list[Seat] = []
        needed = self._load(changes)
        late = self.waiting > self._max_load
        if priority is Priority.HIGH:
            low = [seat for seat in reversed(self.seats) if seat.priority is Priority.LOW]
            while low and (late or self._load(changes) > self._limit):
                victims.append(low.pop(0))
                changes.append((victims[-1].model, -victims[-1].lanes, -1))
                late = late and sum(seat.lanes for seat in victims) < lanes
        if late or self._load(changes) > self._limit:
            retry_after_s = self.retry_after_s()
            reason = (
                f"frames wait for {self.waiting:.0%} of the time that they have"
                if needed <= self._limit
                else f"the server would be at {needed:.0%} of what it can compute in time with this stream, and takes "
                f"{self._limit:.0%}"
            )
            raise _with_retry(AtCapacityError(f"{reason}; try again in {retry_after_s:.1f} s"), retry_after_s)
        for seat in victims:
            self._end(seat, "a stream of HIGH priority needs the place of this one, which is LOW")

    def _load(self, changes: Sequence[Change]) -> float:
        """With these changes: as it is known, or the loop's as it is measured, in which fresh streams do not show."""
        fresh = self.capacity.message_load([(seat.model, seat.lanes, 1) for seat in self._fresh_seats()])
        measured = self.loop_share + fresh + self.capacity.message_load(changes)
        return max(self.capacity.load(changes).largest, measured)

    def _check_ramp(self, more: list[Change]) -> None:
        """Raise AtCapacityError while too much has just come in for its load to be measured."""
        fresh: list[Change] = [(seat.model, -seat.lanes, -1) for seat in self._fresh_seats()]
        grown = self.capacity.load(more).largest - self.capacity.load(fresh).largest
        if len(fresh) >= RAMP_STREAMS and grown > RAMP_SHARE * self._max_load:
            retry_after_s = self.retry_after_s()
            raise _with_retry(
                AtCapacityError(
                    f"{len(fresh)} streams have just come in, whose load has yet to show; try again in "
                    f"{retry_after_s:.1f} s"
                ),
                retry_after_s,
            )

    def _fresh_seats(self) -> list[Seat]:
        self._end_ramp()
        return [seat for _, seat in self._fresh if seat.end is not None]

    def _end_ramp(self) -> None:
        """Forget those that have not just come in."""
        since_s = time.monotonic() - RAMP_S
        while self._fresh and self._fresh[0][0] < since_s:
            self._fresh.popleft()

    def shed(self) -> int:
        """End SHED_SHARE of the streams, the lowest and youngest, and let no more come in than are left.

        One stream stays. Returns how many went.
        """
        lowest_first = sorted(self.seats, key=lambda seat: (seat.priority, -seat.number))
        shed = lowest_first[: min(math.ceil(SHED_SHARE * len(lowest_first)), len(lowest_first) - 1)]
        for seat in shed:
            self._end(seat, "the server can not compute all streams in time, and ends some of the lowest priority")
        self._limit = min(self._limit, max(self.capacity.load().largest, LOWEST_LIMIT_SHARE * self._max_load))
        self._recovery_s = min(2 * self._recovery_s, LONGEST_RECOVERY_S)
        return len(shed)

    def recover(self, elapsed_s: float) -> None:
        """Let the limit come back, in a time without late frames."""
        self._limit += (1.0 - math.exp(-elapsed_s / self._recovery_s)) * (self._max_load - self._limit)
        if self._limit >= RECOVERED_SHARE * self._max_load:
            self._limit, self._recovery_s = self._max_load, FIRST_RECOVERY_S / 2

    def retry_after_s(self) -> float:
        """When the next one who is refused may try again."""
        now_s = time.monotonic()
        at_s = max(now_s + FIRST_RETRY_S, self._next_retry_s)
        self._next_retry_s = min(at_s + 1.0 / RETRIES_PER_SECOND, now_s + LONGEST_RETRY_S)
        return at_s - now_s

    def seated(self, seat: Seat) -> None:
        """Count a stream's load."""
        if not self._max_load:
            return
        self.capacity.add(seat.model, seat.lanes)
        self._seats[seat.number] = seat
        self._end_ramp()  # here too: where streams come one after the other nobody else does
        self._fresh.append((time.monotonic(), seat))

    def left(self, seat: Seat) -> None:
        """Count it no more."""
        if self._seats.pop(seat.number, None) is None:
            return
        self.capacity.remove(seat.model, seat.lanes)

    def _end(self, seat: Seat, why: str) -> None:
        seat.shed(f"{why}; try again later")

    def _full(self, why: str) -> TooManyStreamsError:
        retry_after_s = self.retry_after_s()
        return _with_retry(TooManyStreamsError(f"{why}; try again in {retry_after_s:.1f} s"), retry_after_s)


def _with_retry(error: ErrorT, retry_after_s: float) -> ErrorT:
    error.retry_after_s = retry_after_s
    return error
