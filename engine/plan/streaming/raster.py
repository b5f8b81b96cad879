"""Walks a plan of one or two axes over a signal of known size: rectangles in raster order, each computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .plan import Axis, StepKind
from .span import Span
from .step import Stretch
from .steps import Steps


@dataclass(frozen=True)
class Band:
    """A step along one axis of a signal whose length is known."""

    arrived: Span
    """Elements of the inputs that it takes."""
    kind: StepKind


def bands(axis: Axis, length: int, first: int | None = None) -> list[Band]:
    """The steps of an axis: the first, steady ones, and the last with what is left."""
    result = []
    start, stop = 0, first or axis.first
    while stop < length:
        result.append(Band(Span(start, stop), axis.kind(start, stop, ended=False)))
        start, stop = stop, stop + axis.step
    return [*result, Band(Span(start, length), axis.kind(start, length, ended=True))]


class Raster:
    """Two axes: rows of rectangles, from the left to the right, from the top to the bottom."""

    def __init__(self, steps: Steps, height: int, width: int, firsts: Sequence[int]) -> None:
        self._steps = steps
        self._axes = steps.plan.axes
        self.rows = bands(self._axes[0], height, firsts[0])
        self.columns = bands(self._axes[1], width, firsts[1])
        self._dims = steps.plan.bindings.dims
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
        for name, (above, _) in strips.items():
            if above:
                given[above] = self._strips[name][self._columns_of(name, stretches[1].new(name))]
        made = self._steps.run(kinds, given)
        for name, (_, below) in strips.items():
            if below:
                self._store(name, stretches[1].new(name), made[below])
        return {
            name: (stretches[0].new(name), stretches[1].new(name), made[name])
            for name in self._steps.plan.bindings.graph.outputs
            if name in made
        }

    def _columns_of(self, name: str, columns: Span) -> tuple[slice, ...]:
        dim = self._dims[name][1]
        assert dim is not None
        return (*(slice(None),) * dim, slice(columns.start, columns.stop))

    def _store(self, name: str, columns: Span, values: np.ndarray) -> None:
        dim = self._dims[name][1]
        assert dim is not None
        shape = (*values.shape[:dim], self._end.counts[name], *values.shape[dim + 1 :])
        strip = self._strips.get(name)
        if strip is None or strip.shape != shape:
            strip = self._strips[name] = np.empty(shape, values.dtype)
        strip[self._columns_of(name, columns)] = values

    @property
    def strip_bytes(self) -> int:
        """What is kept for the rows below."""
        return sum(strip.nbytes for strip in self._strips.values())

    @property
    def multiply_adds(self) -> int:
        """Of all rectangles."""
        return sum(self._steps.multiply_adds((down.kind, across.kind)) for down in self.rows for across in self.columns)
