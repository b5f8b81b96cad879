"""Runs steps of one model's sessions together: one native call for up to `max_lanes` channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..plan import Slot, StatePool, Workspace
from .session import Session
from .spec import StreamSpec


class _Place(NamedTuple):
    """Where one session is in the workspace during a step: views of consecutive lanes."""

    window: np.ndarray
    """`[window]` of one lane, `[window, lanes]` of several: a block as rings give it."""
    slots: np.ndarray
    audio: np.ndarray | None
    """`[hop]` or `[hop, lanes]`."""
    values: list[tuple[str, np.ndarray]]


class Executor:
    """A workspace of a model's program. Used by one thread at a time; what streams keep is in their sessions' slots."""

    def __init__(self, spec: StreamSpec, max_lanes: int, pool: StatePool) -> None:
        """Bind the program; `pool` is where the sessions that will be stepped have their slots."""
        self.spec = spec
        self.max_lanes = max_lanes
        self._pool = pool
        self._workspace = Workspace(spec.program, spec.backend, max_lanes, pool)
        self._run = self._workspace.run
        self._input = _by_lane(self._workspace.input(spec.input), (spec.window_samples,))
        self._audio = None if spec.audio is None else _by_lane(self._workspace.output(spec.audio), (spec.hop_samples,))
        self._values = [
            (name, _by_lane(self._workspace.output(output), spec.value_shapes[name]))
            for name, output in spec.values.items()
        ]
        self._places: dict[tuple[int, int], _Place] = {}
        self._alone: Session | None = None
        """The session that had the last step to itself; its slots, which never change, are in place."""
        self._alone_place = self._place(0, 1)

    def warm_up(self) -> None:
        """Run every batch once that can come, on slots of its own: later, none is the first of its size.

        Raises:
            CapacityError: the pool has fewer free slots than `max_lanes`.
        """
        self._alone = None
        taken: list[Slot] = []
        try:
            for lane in range(self.max_lanes):
                taken.append(self._pool.acquire())
                self._workspace.slots[lane] = taken[lane].place
                self._run(lane + 1)
                for lanes in range(1, self.max_lanes - lane + 1):
                    self._place(lane, lanes)
        finally:
            for slot in taken:
                self._pool.release(slot)

    def step(self, sessions: Sequence[Session]) -> None:
        """Make one step of each of these distinct sessions, all of them `ready`.

        One native call; more only if they have more lanes than `max_lanes` together.

        Raises:
            ValueError: a session alone has more lanes than `max_lanes`.
        """
        if len(sessions) == 1:
            self.step_alone(sessions[0])
            return
        lanes = first = 0
        for index, session in enumerate(sessions):
            if lanes + session.lanes > self.max_lanes:
                if session.lanes > self.max_lanes:
                    raise self._too_wide(session.lanes)
                self._step(sessions[first:index], lanes)
                lanes, first = 0, index
            lanes += session.lanes
        if lanes:
            self._step(sessions[first:], lanes)

    def step_alone(self, session: Session) -> None:
        """`step` of one session: the usual case in process, and on a server that is not busy. No lists, no loops."""
        place = self._alone_place if session is self._alone else self._move_in(session)
        session.load(place.window)
        self._run(session.lanes)
        session.take(place.audio, place.values)

    def step_hop(self, session: Session, chunk: np.ndarray) -> bool:
        """One step of a session with a chunk that is just what it waits for; False if it is not (`pass_hop`)."""
        place = self._alone_place if session is self._alone else self._move_in(session)
        if not session.pass_hop(chunk, place.window):
            return False
        self._run(session.lanes)
        session.take(place.audio, place.values)
        return True

    def _move_in(self, session: Session) -> _Place:
        if session.lanes > self.max_lanes:
            raise self._too_wide(session.lanes)
        self._alone, self._alone_place = session, self._place(0, session.lanes)
        self._alone_place.slots[:] = session.slots
        return self._alone_place

    def _step(self, sessions: Sequence[Session], lanes: int) -> None:
        self._alone = None  # the slots of the first lanes are about to change
        places = []
        lane = 0
        for session in sessions:
            place = self._place(lane, session.lanes)
            session.load(place.window)
            place.slots[:] = session.slots
            places.append(place)
            lane += session.lanes
        self._run(lanes)
        for session, place in zip(sessions, places, strict=True):
            session.take(place.audio, place.values)

    def _too_wide(self, lanes: int) -> ValueError:
        return ValueError(f"a session of {lanes} lanes can not run on {self.max_lanes} lanes")

    def _place(self, first: int, lanes: int) -> _Place:
        """Views of some lanes; making them takes longer than using them, so they are kept."""
        place = self._places.get((first, lanes))
        if place is None:
            here = slice(first, first + lanes)
            place = self._places[first, lanes] = _Place(
                self._input[first] if lanes == 1 else self._input[here].T,
                self._workspace.slots[here],
                None if self._audio is None else self._audio[first] if lanes == 1 else self._audio[here].T,
                [(name, value[here]) for name, value in self._values],
            )
        return place


def _by_lane(port: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A workspace's view `[lanes, ...]` as `[lanes, *shape]`: the same memory, in another shape."""
    return port.reshape(port.shape[0], *shape, copy=False)
