"""What a server learns while it serves, and when it finds itself overloaded."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from tests.virtual_time import HeldTime
from wavetile.engine.server import admission
from wavetile.engine.server.admission import RAMP_S, Pulse
from wavetile.engine.server.load_watch import LATE_TICKS, LoadWatch, Look
from wavetile.engine.server.priority import Priority
from wavetile.engine.server.status import AtCapacityError
from wavetile.engine.session.scheduler import Scheduler

from .occupants import House

LOW, NORMAL, HIGH = Priority


def watched(house: House) -> LoadWatch:
    return LoadWatch(house.admission, Scheduler())


def look(
    now_s: float, lag_s: float = 0.0, busy_s: float = 0.0, sizes: Mapping[int, tuple[int, int]] | None = None
) -> Look:
    return Look(now_s, busy_s, lag_s, {"gain": sizes or {}})


def test_late_frames_in_a_row_shed_and_single_ones_do_not() -> None:
    house = House(0.9)
    for _ in range(5):
        house.enter(NORMAL)
    watch = watched(house)
    now_s = 10.0
    watch.see(look(now_s))

    def tick(frames: int, missed: int) -> None:
        nonlocal now_s
        now_s += 0.1
        for occupant in house.occupants:
            occupant.pulse = Pulse(occupant.pulse.frames + frames, occupant.pulse.missed + missed)
        watch.see(look(now_s))

    for _ in range(5):
        tick(10, 3)
        tick(10, 3)
        tick(10, 0)
    assert house.ended == []
    for _ in range(LATE_TICKS):
        tick(10, 1)
    assert house.ended == [4]
    assert house.admission.limit == pytest.approx(0.4)
    for _ in range(9):
        tick(10, 1)
    assert house.ended == [4]  # time for it to show
    tick(10, 1)
    tick(10, 1)
    assert house.ended == [3, 4]
    assert house.admission.limit == pytest.approx(0.3)
    for _ in range(119):
        tick(10, 0)
    assert house.admission.limit == pytest.approx(0.9 - 0.6 / math.e, rel=0.02)  # after 2 s, in 10 s


def test_nobody_comes_in_while_frames_wait_for_long() -> None:
    house = House(0.6)
    for priority in (LOW, LOW, NORMAL):
        house.enter(priority)
    watch = watched(house)

    def wait(*waits_ms: float) -> None:
        for occupant, wait_ms in zip(house.occupants, waits_ms, strict=False):
            occupant.pulse = Pulse(0, 0, occupant.pulse.results + 10, occupant.pulse.waited_ns + round(1e7 * wait_ms))
        watch.see(look(house.occupants[0].pulse.results / 100, lag_s=0.001))

    watch.see(look(0.0))
    wait(0, 2, 100)  # one that sends in bursts is not asked
    assert house.admission.waiting == pytest.approx(2 * 0.2 + 0.1)
    wait(4, 0, 4)
    assert house.admission.waiting == pytest.approx(0.9)
    with pytest.raises(AtCapacityError, match="frames wait for 90% of the time that they have; try again"):
        house.enter(NORMAL)
    assert house.ended == []
    house.enter(HIGH)
    assert house.ended == [1]
    for _ in range(10):
        wait(0, 0, 0)
    assert 0.1 < house.admission.waiting < 0.5
    house.enter(NORMAL)


def test_an_event_loop_that_lags_is_overload_too() -> None:
    house = House(0.9)
    house.enter(NORMAL)
    house.enter(LOW)
    watch = watched(house)
    for tick in range(LATE_TICKS + 1):
        watch.see(look(0.1 * tick, lag_s=0.011))
    assert house.ended == [1]


def test_nobody_comes_in_while_the_event_loop_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever with, such as refusing. Streams that have just come in do not show in it yet, and count besides."""
    clock = HeldTime().stand_in(monkeypatch, admission)
    house = House(0.6)
    house.admission.capacity.message_s = 0.0005  # a stream takes a twentieth of the loop
    watch = watched(house)
    now_s = busy_s = 0.0

    def spend(share: float) -> None:
        nonlocal now_s, busy_s
        for _ in range(60):
            watch.see(look(now_s, busy_s=busy_s))
            now_s, busy_s = now_s + 0.1, busy_s + 0.1 * share

    house.enter(NORMAL)
    spend(0.47)
    house.enter(NORMAL)
    with pytest.raises(AtCapacityError, match="would be at 62% of what"):
        house.enter(NORMAL)
    clock.pass_by(1.1 * RAMP_S)
    spend(0.52)
    house.enter(NORMAL)
    spend(0.62)
    with pytest.raises(AtCapacityError, match="takes 60%"):
        house.enter(HIGH)
    spend(0.1)
    house.enter(NORMAL)


def test_serving_corrects_what_batches_and_messages_take() -> None:
    house = House(0.9)
    house.enter(NORMAL)
    watch = watched(house)
    capacity = house.admission.capacity
    capacity.message_s = 0.001
    batches = computed_ns = 0
    busy_s = 0.0
    for tick in range(300):
        watch.see(look(0.1 * tick, busy_s=busy_s, sizes={1: (batches, computed_ns)}))
        batches, computed_ns, busy_s = batches + 100, computed_ns + 300_000_000, busy_s + 0.02
    assert capacity.models["gain"].batches.seconds(1) == pytest.approx(0.003, rel=1e-3)
    assert capacity.message_s == pytest.approx(0.0002, rel=1e-3)
    assert house.admission.loop_share == pytest.approx(0.2)
    for tick in range(300, 1000):
        watch.see(look(0.1 * tick, busy_s=busy_s, sizes={1: (batches, computed_ns)}))
    assert capacity.models["gain"].batches.seconds(1) == pytest.approx(0.001, rel=1e-2)
