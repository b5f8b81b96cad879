"""An image row by row, or a volume slice by slice: any number of lines in, those that they finish out."""

from __future__ import annotations

import numpy as np

from ..errors import SignalError, StreamClosedError
from ..plan.streaming import Bands, StreamPlan, computing_bytes, kept_bytes
from .axis_stream import AxisStream
from .tile_grid import input_bytes
from .tile_stream import Region

VOLUME_RANK = 5
"""Of [batch, channels, slices, rows, columns]."""


class LineStream:
    """Lines are rows of an image or slices of a volume, and arrive in order. Computed in the caller's thread.

    What comes out over the whole image is what the network makes of it at once, however the lines are cut.
    """

    def __init__(self, stream: AxisStream, lines: int | None) -> None:
        """Begin an image.

        Args:
            stream: along dimension 2 of a network's one input.
            lines: of the whole image; None: `finish` ends it.
        """
        self._stream = stream
        self._bindings = stream.plan.bindings
        (self._source,) = self._bindings.graph.inputs
        self._rank = len(self._bindings.graph.types[self._source].shape)
        self.lines = lines
        self.next_line = 0
        """The first that has not come."""
        self.complete = False
        """Whether the image has ended."""
        self._finished = dict.fromkeys(self._bindings.graph.outputs, 0)

    @staticmethod
    def needed_bytes(plan: StreamPlan, lines: int | None) -> int:
        """The most that an image keeps between its parts: what layers keep, and lines that wait for a step."""
        waiting = plan.axes[0].first if lines is None else min(lines, plan.axes[0].first)
        return kept_bytes(plan) + input_bytes(plan, waiting)

    @staticmethod
    def computing_bytes(plan: StreamPlan, lines: int | None) -> int:
        """The memory that the largest of an image's steps is computed in; compiles them all."""
        (axis,) = plan.axes
        return computing_bytes(plan, Bands(axis, axis.first + 2 * axis.step if lines is None else lines))

    def put(self, start: int, lines: np.ndarray) -> dict[str, list[Region]]:
        """Take the next lines and return what they finish; with the image's last line, all that is left.

        Args:
            start: number of the first of them, `next_line`.
            lines: in the layout of the network's input, [1, channels, lines, ...].

        Returns:
            For each output its finished lines, in fresh arrays.

        Raises:
            SignalError: they are not the next ones, are more than the image has, or have another type or shape.
            StreamClosedError: the image is complete.
            ModelError: these were the last ones, and the network takes no image of so many.
        """
        if self.complete:
            raise StreamClosedError("the image is complete; begin a new one")
        lines = np.asarray(lines)
        if start != self.next_line:
            raise SignalError(f"the lines begin at {start}; the next one is {self.next_line}")
        count = lines.shape[2] if lines.ndim == self._rank else 0
        if self.lines is not None and start + count > self.lines:
            raise SignalError(f"{count} lines from {start} on; the image has {self.lines}")
        made = self._stream.process({self._source: lines})
        self.next_line += count
        finished = self._placed(made)
        if self.next_line == self.lines:
            for name, regions in self.finish().items():
                finished[name] += regions
        return finished

    def finish(self) -> dict[str, list[Region]]:
        """End the image and return the rest.

        Raises:
            SignalError: lines are missing.
            StreamClosedError: the image is complete.
            ModelError: the network takes no image of so many lines.
        """
        if self.complete:
            raise StreamClosedError("the image is complete; begin a new one")
        if self.lines is not None and self.next_line < self.lines:
            raise SignalError(f"the image ends after {self.next_line} of its {self.lines} lines")
        made = self._stream.flush()
        self.complete = True
        return self._placed(made)

    def _placed(self, made: dict[str, np.ndarray]) -> dict[str, list[Region]]:
        """Finished lines with their place: the first has number 0, and none is missing in between."""
        placed: dict[str, list[Region]] = {}
        for name, values in made.items():
            start = self._finished[name]
            count = values.shape[self._bindings.dim(name, 0)]
            self._finished[name] += count
            region = Region(0, 0, values, start) if self._rank == VOLUME_RANK else Region(start, 0, values)
            placed[name] = [region] if count else []
        return placed
