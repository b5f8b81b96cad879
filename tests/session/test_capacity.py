"""How many streams fit: exact where batches cost what they are said to cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from tests.virtual_time import HeldTime
from wavetile.engine.session import capacity as capacity_module
from wavetile.engine.session.capacity import BatchCosts, Capacity, ModelCost, measure_batches

MS = 1e-3


def capacity(
    models: Mapping[str, tuple[dict[int, float], int, float]], threads: int = 1, message_s: float = 0.0
) -> Capacity:
    """Models by (milliseconds of a batch by its lanes, most lanes, milliseconds of a hop)."""
    costs = {
        name: ModelCost(BatchCosts({lanes: MS * cost for lanes, cost in points.items()}), most, MS * hop)
        for name, (points, most, hop) in models.items()
    }
    return Capacity(costs, threads, message_s)


def most_streams(subject: Capacity, model: str, limit: float) -> int:
    """How many streams of one lane come in until the limit is reached."""
    count = 0
    while subject.load([(model, 1, 1)]).largest <= limit + 1e-12:
        subject.add(model, 1)
        count += 1
    return count


@pytest.mark.parametrize(
    ("limit", "streams"),
    [
        (1.0, 20),  # 5 full batches of 2 ms
        (0.96, 18),  # 4 of them, and 1.5 ms for 2 lanes; 3 would take 1.75
        (0.8, 16),
        (0.79, 15),  # 6 ms, and between 1.5 and 2 for 3 lanes
        (0.125, 1),
        (0.1249, 0),
    ],
)
def test_full_batches_and_a_rest_fill_a_hop(limit: float, streams: int) -> None:
    subject = capacity({"gain": ({1: 1.25, 2: 1.5, 4: 2.0}, 4, 10.0)})
    assert most_streams(subject, "gain", limit) == streams


def test_costs_are_a_line_through_what_was_measured() -> None:
    costs = BatchCosts({1: 1.0, 4: 2.5, 16: 4.9})
    assert [costs.seconds(lanes) for lanes in (0, 1, 2, 4, 10)] == pytest.approx([0.0, 1.0, 1.5, 2.5, 3.7])
    assert costs.seconds(26) == pytest.approx(6.9)  # measuring was given up before: the last piece goes on
    assert BatchCosts({}).seconds(8) == 0.0
    assert [BatchCosts({1: 2.0}).seconds(lanes) for lanes in (1, 8)] == [2.0, 2.0]
    assert BatchCosts({1: 2.0, 2: 1.0}).seconds(2) == 2.0  # what was measured less is not cheaper


def test_models_share_the_threads() -> None:
    models = {"a": ({1: 1.0, 2: 2.0}, 2, 10.0), "b": ({1: 4.0, 2: 8.0}, 2, 20.0)}
    one, two = capacity(models, 1), capacity(models, 2)
    for subject in (one, two):
        subject.add("a", 1)
        subject.add("a", 2)  # a stream of two channels
        subject.add("b", 1)
    assert one.load().compute == pytest.approx(3 / 10 + 4 / 20)
    assert two.load().compute == pytest.approx((3 / 10 + 4 / 20) / 2)
    assert one.lanes_a_stream("a") == 1.5
    before = one.load()
    assert one.load([("b", 1, 1), ("a", -3, -2)]).compute == pytest.approx(8 / 20)
    assert one.load() == before  # asking changes nothing
    one.remove("a", 2)
    assert one.load().compute == pytest.approx(1 / 10 + 4 / 20)


def test_messages_take_the_event_loop() -> None:
    subject = capacity({"gain": ({1: 0.001}, 16, 10.0)}, 4, message_s=0.1 * MS)
    assert most_streams(subject, "gain", 0.7) == 70
    assert subject.load().messages == pytest.approx(0.7)


def test_a_long_batch_blocks_models_of_short_hops() -> None:
    subject = capacity({"slow": ({1: 6.0, 2: 12.0}, 2, 1000.0), "quick": ({1: 0.1}, 2, 10.0)}, 2)
    subject.add("quick", 1)
    assert subject.load([("slow", 1, 1)]).blocking == 0  # the other thread is there for the quick one
    subject.add("slow", 1)
    assert subject.load([("slow", 1, 1)]).blocking == pytest.approx(1.2)
    assert subject.load([("slow", 1, 1)]).compute < 0.02


def test_served_batches_correct_what_was_measured_and_rest_forgets() -> None:
    costs = BatchCosts({1: 1.0, 2: 1.5, 4: 2.0})
    for _ in range(100):
        costs.observe(2, 10, 3.0)
    assert costs.seconds(2) == pytest.approx(3.0, rel=1e-3)
    assert costs.seconds(1) == 1.0
    assert costs.seconds(4) == pytest.approx(3.0, rel=1e-3)  # no less than a smaller one
    for _ in range(100):
        costs.observe(3, 10, 4.0)
    assert costs.seconds(3) == pytest.approx(4.0, rel=1e-3)
    costs.observe(1, 1, 2.0)
    assert costs.seconds(1) == pytest.approx(1.05)
    costs.relax(1000.0)
    assert [costs.seconds(lanes) for lanes in (1, 2, 4)] == pytest.approx([1.0, 1.5, 2.0])


class TimedSession:
    """A frame is complete with 3 hops."""

    opened = 0

    def __init__(self) -> None:
        TimedSession.opened += 1
        self.fed = self.stepped = 0

    @property
    def ready(self) -> int:
        return max(0, self.fed - 2) - self.stepped

    def feed(self, hop: np.ndarray) -> None:
        assert not hop.any()
        self.fed += 1

    def drain(self) -> None:
        pass

    def close(self) -> None:
        TimedSession.opened -= 1


class TimedExecutor:
    """A batch takes 2 ms and 1 ms a lane."""

    max_lanes = 6

    def __init__(self, clock: HeldTime) -> None:
        self.sizes: list[int] = []
        self._clock = clock

    def step(self, sessions: Sequence[Any]) -> None:
        self.sizes.append(len(sessions))
        self._clock.pass_by((2 + len(sessions)) * MS)
        for session in sessions:
            assert session.ready == 1
            session.stepped += 1


def test_batches_are_measured_by_running_them(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = TimedExecutor(HeldTime().stand_in(monkeypatch, capacity_module))
    open_session: Any = TimedSession
    measured_s = measure_batches(executor, open_session, np.zeros(4, np.float32))
    assert TimedSession.opened == 0
    assert sorted(set(executor.sizes)) == [1, 2, 4, 6]
    assert measured_s == pytest.approx({lanes: (2 + lanes) * MS for lanes in (1, 2, 4, 6)})
