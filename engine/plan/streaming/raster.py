"""Walks a plan of one or two axes over a signal of known size: rectangles in raster order, each computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .call import Stretch
from .plan import Axis, StepKind
from .span import Span
from .step_graph import Strip
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
    def multiply_adds(self) -> int:
        """Of all rectangles."""
        return sum(self._steps.multiply_adds((down.kind, across.kind)) for down in self.rows for across in self.columns)


def _part(dim: int, columns: Span) -> tuple[slice, ...]:
    """Where some columns lie in a strip."""
    return (*(slice(None),) * dim, slice(*columns))
