"""Streams that only take their place, each a tenth of the load, or as many tenths as it has lanes."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field

from wavetile.engine.server.admission import Admission, Pulse, Seat
from wavetile.engine.server.priority import Priority
from wavetile.engine.server.status import CallError
from wavetile.engine.session.capacity import BatchCosts, Capacity, ModelCost

TENTHS = {1: 0.001, 16: 0.016}
"""Of GainModel's hop of 10 ms, a stream."""


@dataclass
class Occupant:
    """A stream that has a seat."""

    seat: Seat
    pulse: Pulse = field(default_factory=Pulse)
    ended: CallError | None = None


class House:
    """An admission whose streams are a tenth of the load each, or `lanes` tenths."""

    def __init__(self, max_load: float) -> None:
        model = ModelCost(BatchCosts(TENTHS), 16, 0.01)
        self.admission = Admission(100)
        self.admission.limit_load(Capacity({"gain": model}, 1), max_load)
        self.occupants: list[Occupant] = []
        self._stack = ExitStack()

    def enter(self, priority: Priority, lanes: int = 1) -> Occupant:
        with ExitStack() as entering:
            occupant = Occupant(entering.enter_context(self.admission.admit()))

            def end(error: CallError) -> None:
                occupant.ended = error

            occupant.seat.occupy("gain", lanes, priority, end, lambda: occupant.pulse)
            self._stack.enter_context(entering.pop_all())
        self.occupants.append(occupant)
        return occupant

    @property
    def ended(self) -> list[int]:
        return [index for index, occupant in enumerate(self.occupants) if occupant.ended is not None]

    @property
    def load(self) -> float:
        return self.admission.capacity.load().largest

    def close(self) -> None:
        self._stack.close()
