"""Measures what serving takes while it goes on, and sees when frames are late for want of time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from ..session.scheduler import Scheduler
from .admission import Admission

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
LEAST_FRAMES = 20
"""In a tick, for its frames to tell what one takes."""
MOST_OPENINGS = 0.02
"""For each frame of a tick, for the loop's time to be that of frames."""
FRAME_CORRECTION = 0.001
"""What a frame adds to what is known of the event loop's time for one."""
MOST_CORRECTION = 0.5

Batches = Mapping[str, Mapping[int, tuple[int, int]]]
"""Model -> streams in a batch -> batches, and the ns that they computed, since the server's start."""


@dataclass(frozen=True, slots=True)
class Look:
    """What there is to see at one moment."""

    now_s: float
    loop_cpu_s: float
    """Of the event loop's thread since its start."""
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
        self.loop_share = 0.0
        """Of the last tick, that the event loop's thread computed."""

    async def run(self) -> None:
        """Look until cancelled."""
        due_s = time.monotonic()
        while True:
            due_s = max(due_s + TICK_S, time.monotonic())
            await asyncio.sleep(due_s - time.monotonic())
            now_s = time.monotonic()
            batches = {model: self._scheduler.batches(model) for model in self._capacity.models}
            self.see(Look(now_s, time.thread_time(), now_s - due_s, batches))

    def see(self, look: Look) -> None:
        """Learn from what has happened since the last look, and act if frames are late."""
        last, self._last = self._last, look
        if last is None:
            return
        elapsed_s = look.now_s - last.now_s
        frames = self._learn_batches(last.batches, look.batches, elapsed_s)
        busy_s = look.loop_cpu_s - last.loop_cpu_s
        self.loop_share = busy_s / elapsed_s if elapsed_s > 0 else 0.0
        openings, self._asked = self._admission.asked - self._asked, self._admission.asked
        if frames >= LEAST_FRAMES and openings <= MOST_OPENINGS * frames:
            rate = min(MOST_CORRECTION, 1.0 - (1.0 - FRAME_CORRECTION) ** frames)
            self._capacity.message_s += rate * (busy_s / frames - self._capacity.message_s)
        self._act(look, elapsed_s)

    def _learn_batches(self, before: Batches, now: Batches, elapsed_s: float) -> int:
        """Correct the costs; returns the frames of the batches."""
        frames = 0
        for name, model in self._capacity.models.items():
            lanes_each = self._capacity.lanes_a_stream(name)
            served = False
            for size, (batches, compute_ns) in now[name].items():
                batches_before, ns_before = before[name].get(size, (0, 0))
                if new := batches - batches_before:
                    model.batches.observe(round(size * lanes_each), new, (compute_ns - ns_before) / new / 1e9)
                    frames += size * new
                    served = True
            if not served:
                model.batches.relax(elapsed_s)
        return frames

    def _act(self, look: Look, elapsed_s: float) -> None:
        late = self._is_late(look.lag_s)
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

    def _is_late(self, lag_s: float) -> bool | None:
        """Whether the last tick's frames were late; None: there were none."""
        seats = self._admission.seats
        if seats and lag_s > min(self._capacity.models[seat.model].hop_s for seat in seats):
            return True
        frames = missed = 0
        for seat in seats:
            pulse = seat.pulse()
            frames += pulse[0] - seat.seen[0]
            missed += pulse[1] - seat.seen[1]
            seat.seen = pulse
        if not frames:
            return None if seats else False
        return missed > LATE_SHARE * frames
