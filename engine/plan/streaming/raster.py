"""Walks a plan of one or two axes over a signal of known size: rectangles in raster order, each computed once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import overload

import numpy as np

from .call import Stretch
from .plan import Axis, StepKind, StreamPlan
from .span import Span
from .step_graph import Strip
from .steps import Steps


@dataclass(frozen=True)
class Band:
    """A step along one axis of a signal whose length is known."""

    arrived: Span
    """Elements of the inputs that it takes."""
    kind: StepKind


class Bands(Sequence[Band]):
    """The steps of an axis: the first, steady ones, and the last with what is left.

    Each is made when it is asked for: an image may have very many.
    """

    def __init__(self, axis: Axis, length: int, first: int | None = None) -> None:
        """`length`: of the signal; `first`: elements that the first step takes, if more than it has to."""
        self._axis, self._length, self._first = axis, length, first or axis.first
        self._count = 1 + max(0, -(-(length - self._first) // axis.step))

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Band: ...
    @overload
    def __getitem__(self, index: slice) -> list[Band]: ...
    def __getitem__(self, index: int | slice) -> Band | list[Band]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(self._count))]
        number = range(self._count)[index]
        start = self._first + (number - 1) * self._axis.step if number else 0
        if number == self._count - 1:
            return Band(Span(start, self._length), self._axis.kind(start, self._length, ended=True))
        stop = self._first + number * self._axis.step
        return Band(Span(start, stop), self._axis.kind(start, stop, ended=False))

    def kinds(self) -> Counter[StepKind]:
        """Kinds of steps, and how many there are of each."""
        kinds = Counter(self[number].kind for number in {0, self._count - 1})
        if self._count > 2:
            kinds[self[1].kind] += self._count - 2
        return kinds


def computing_bytes(plan: StreamPlan, *bands: Bands) -> int:
    """The memory that the largest step of a signal is computed in; compiles its steps. `bands`: along each axis."""
    programs = [plan.step(kinds).program for kinds in product(*(each.kinds() for each in bands))]
    return max((program.arena_bytes for program in programs if program is not None), default=0)


def carried_bytes(plan: StreamPlan, rows: Bands, columns: Bands) -> int:
    """The most that is kept from one rectangle of an image to the next one in its row."""
    if len(columns) == 1:
        return 0
    across = plan.axes[1].stretch(columns[0].kind)
    types = plan.bindings.graph.types
    most = 0
    for kind in rows.kinds():
        down = plan.axes[0].stretch(kind)
        shapes = {
            value: plan.bindings.shape(value, [down.full(value).size, across.kept(value).size])
            for value in across.after.counts.keys() & down.after.counts.keys()
        }
        most = max(most, sum(math.prod(shape) * types[value].dtype.itemsize for value, shape in shapes.items()))
    return most


class Raster:
    """Two axes: rows of rectangles, from the left to the right, from the top to the bottom."""

    def __init__(self, steps: Steps, height: int, width: int, firsts: Sequence[int]) -> None:
        self._steps = steps
        self._axes = steps.plan.axes
        self.rows = Bands(self._axes[0], height, firsts[0])
        self.columns = Bands(self._axes[1], width, firsts[1])
        self._end = self._axes[1].moment(width, ended=True)
        self._strips: dict[str, np.ndarray] = {}

    def run(self, row: int, column: int, inputs: dict[str, np.ndarray]) -> dict[str, tuple[Span, Span, np.ndarray]]:
        """Compute one rectangle, after all before it in raster order.

        Returns:
            For each output its rows, its columns and their values, a live view.
        """
        down, across = self.rows[row], self.columns[column]
        if column == 0:
            self._steps.restart()
        stretches = [
            Stretch(
                axis.timeline, axis.moment(band.arrived.start), axis.moment(band.arrived.stop, ended=band.kind.ended)
            )
            for axis, band in zip(self._axes, (down, across), strict=True)
        ]
        kinds = down.kind, across.kind
        strips = self._steps.plan.step(kinds).graph.strips
        given = dict(inputs)
        for name, strip in strips.items():
            if strip.above:
                given[strip.above] = self._strips[name][_part(strip.dim, stretches[1].new(strip.value))]
        made = self._steps.run(kinds, given)
        for name, strip in strips.items():
            if strip.below:
                self._store(name, strip, stretches[1].new(strip.value), made[strip.below])
        return {
            name: (stretches[0].new(name), stretches[1].new(name), made[name])
            for name in self._steps.plan.bindings.graph.outputs
            if name in made
        }

    def _store(self, name: str, strip: Strip, columns: Span, values: np.ndarray) -> None:
        shape = (*values.shape[: strip.dim], self._end.counts[strip.value], *values.shape[strip.dim + 1 :])
        stored = self._strips.get(name)
        if stored is None or stored.shape != shape:
            stored = self._strips[name] = np.empty(shape, values.dtype)
        stored[_part(strip.dim, columns)] = values

    @property
    def strip_bytes(self) -> int:
        """What is kept for the rows below."""
        return sum(strip.nbytes for strip in self._strips.values())

    @property
    def carried_bytes(self) -> int:
        """The most that was kept for the next rectangle."""
        return self._steps.carried_bytes

    @property
    def multiply_adds(self) -> int:
        """Of all rectangles."""
        return sum(
            down_count * across_count * self._steps.multiply_adds((down, across))
            for down, down_count in self.rows.kinds().items()
            for across, across_count in self.columns.kinds().items()
        )


def _part(dim: int, columns: Span) -> tuple[slice, ...]:
    """Where some columns lie in a strip."""
    return (*(slice(None),) * dim, slice(*columns))
