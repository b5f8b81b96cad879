"""Measures what serving takes while it goes on, and sees when frames are late for want of time."""

from __future__ import annotations

import asyncio
import logging
import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..session.scheduler import Scheduler
from .admission import Admission
from .measured import busy_s

logger = logging.getLogger(__name__)

TICK_S = 0.1
LATE_TICKS = 3
"""In a row, after which the server is overloaded."""
SHED_EVERY_S = 1.0
"""What waits when streams are ended has to be computed before it shows that fewer are left."""
LATE_SHARE = 0.05
"""Of a tick's frames, above which it is late."""
CALM_S = 2.0
"""Without a late tick, after which the limit creeps up."""
LONGER_WAITS = 2.0
WAITING_S = 1.0
"""For so long it is remembered that frames had to wait."""
LOOP_S = 0.5
"""Over so long the event loop's share is taken."""
LEAST_FRAMES = 20
"""In a tick, for its frames to tell what one takes."""
MOST_OPENINGS = 0.02
"""For each frame of a tick, for the loop's time to be that of frames."""
FRAME_CORRECTION = 0.001
"""What a frame adds to what is known of the event loop's time for one."""
MOST_CORRECTION = 0.5

Batches = Mapping[Any, Mapping[int, tuple[int, int]]]
"""Model -> streams in a batch -> batches, and the ns that they computed, since the model came."""


@dataclass(frozen=True, slots=True)
class Look:
    """What there is to see at one moment."""

    now_s: float
    loop_busy_s: float
    """See `busy_s`, of the event loop's thread."""
    lag_s: float
    """How late the look itself is: what everything on the loop has to wait."""
    batches: Batches


class LoadWatch:
    """Looks at a server every TICK_S: corrects what its capacity knows, and has streams shed where frames are late."""

    def __init__(self, admission: Admission, scheduler: Scheduler) -> None:
        self._admission = admission
        self._capacity = admission.capacity
        self._scheduler = scheduler
        self._last: Look | None = None
        self._asked = 0
        self._late_ticks = 0
        self._late_at_s = float("-inf")
        self._shed_at_s = float("-inf")

    async def run(self) -> None:
        """Look until cancelled."""
        due_s = time.monotonic()
        while True:
            due_s = max(due_s + TICK_S, time.monotonic())
            await asyncio.sleep(due_s - time.monotonic())
            now_s = time.monotonic()
            batches = {model: self._scheduler.batches(model) for model in self._capacity.models}
            self.see(Look(now_s, busy_s(), now_s - due_s, batches))

    def see(self, look: Look) -> None:
        """Learn from what has happened since the last look, and act if frames are late."""
        last, self._last = self._last, look
        if last is None:
            return
        elapsed_s = look.now_s - last.now_s
        frames = self._learn_batches(last.batches, look.batches, elapsed_s)
        spent_s = look.loop_busy_s - last.loop_busy_s
        self._note_loop(spent_s, elapsed_s)
        openings, self._asked = self._admission.asked - self._asked, self._admission.asked
        if frames >= LEAST_FRAMES and openings <= MOST_OPENINGS * frames:
            rate = min(MOST_CORRECTION, 1.0 - (1.0 - FRAME_CORRECTION) ** frames)
            self._capacity.message_s += rate * (spent_s / frames - self._capacity.message_s)
        self._act(look, elapsed_s)

    def _note_loop(self, spent_s: float, elapsed_s: float) -> None:
        """`spent_s`: that the event loop's thread computed, or had to wait for a processor."""
        if elapsed_s > 0:
            weight = 1.0 - math.exp(-elapsed_s / LOOP_S)
            self._admission.loop_share += weight * (spent_s / elapsed_s - self._admission.loop_share)

    def _learn_batches(self, before: Batches, now: Batches, elapsed_s: float) -> int:
        """Correct the costs; returns the frames of the batches."""
        frames = 0
        for key, model in self._capacity.models.items():
            lanes_each = self._capacity.lanes_a_stream(key)
            served = False
            known = before.get(key, {})
            for size, (batches, compute_ns) in now[key].items():
                batches_before, ns_before = known.get(size, (0, 0))
                if new := batches - batches_before:
                    model.batches.observe(round(size * lanes_each), new, (compute_ns - ns_before) / new / 1e9)
                    frames += size * new
                    served = True
            if not served:
                model.batches.relax(elapsed_s)
        return frames

    def _act(self, look: Look, elapsed_s: float) -> None:
        late = self._is_late(look.lag_s, elapsed_s)
        if late is None:
            return
        self._late_ticks = self._late_ticks + 1 if late else 0
        if late:
            self._late_at_s = look.now_s
        elif look.now_s - self._late_at_s > CALM_S:
            self._admission.recover(elapsed_s)
        if self._late_ticks >= LATE_TICKS and look.now_s - self._shed_at_s >= SHED_EVERY_S:
            self._shed_at_s = look.now_s
            if count := self._admission.shed():
                limit = self._admission.limit
                about = {"event": "streams_shed", "streams": count, "limit": round(limit, 3)}
                logger.warning(
                    "frames are late: %d streams end, and the limit is %.0f %%", count, 100 * limit, extra=about
                )

    def _is_late(self, lag_s: float, elapsed_s: float) -> bool | None:
        """Whether the last tick's frames were late; None: there were none. Notes how long they waited."""
        frames = missed = 0
        waits: list[float] = []
        shortest_s = math.inf
        seats = self._admission.seats
        for seat in seats:
            hop_s = self._capacity.models[seat.model].hop_s
            shortest_s = min(shortest_s, hop_s)
            before, seat.seen = seat.seen, seat.pulse()
            frames += seat.seen.frames - before.frames
            missed += seat.seen.missed - before.missed
            if results := seat.seen.results - before.results:
                waits.append((seat.seen.waited_ns - before.waited_ns) / results / 1e9 / hop_s)
        self._note_waiting(waits, lag_s / shortest_s, elapsed_s)
        if lag_s > shortest_s:
            return True
        if not frames:
            return None if seats else False
        return missed > LATE_SHARE * frames

    def _note_waiting(self, waits: list[float], lag: float, elapsed_s: float) -> None:
        """`waits` of the streams, and what the loop lags, in hops."""
        # The median: that clients of a few streams send in bursts says nothing of the others. Where half of the frames
        # wait for so long, some wait for twice as long.
        now = LONGER_WAITS * statistics.median(waits) + lag if waits else 0.0
        before = self._admission.waiting
        self._admission.waiting = max(now, before + (1.0 - math.exp(-elapsed_s / WAITING_S)) * (now - before))
