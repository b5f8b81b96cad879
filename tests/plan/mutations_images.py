"""Ways to break on purpose what rectangles of an image hand on, and how tiles in any order share programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.plan.mutations import Mutate, along
from wavetile.engine.plan.streaming import excerpt
from wavetile.engine.plan.streaming.call import Stretch
from wavetile.engine.plan.streaming.plan import Axis, StepKind
from wavetile.engine.plan.streaming.raster import Raster
from wavetile.engine.plan.streaming.span import Flow, Scaled, Span
from wavetile.engine.plan.streaming.steps import Steps
from wavetile.engine.plan.streaming.timeline import Timeline


def shifted(mutate: Mutate, flow: type[Flow], more: int, axis: int, patch: pytest.MonkeyPatch) -> None:
    """A rule says more, or less, along one axis."""
    mutate(along(axis, flow, patch), more, patch)


def nothing_from_above(patch: pytest.MonkeyPatch) -> None:
    """What the rectangles above hand down is lost."""
    whole = Steps.run

    def run(self: Steps, kinds: tuple[StepKind, ...], inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        given = {name: np.zeros_like(part) if name.endswith("/above") else part for name, part in inputs.items()}
        return whole(self, kinds, given)

    patch.setattr(Steps, "run", run)


def strips_a_column_late(patch: pytest.MonkeyPatch) -> None:
    """What goes down goes to the next column."""
    whole = Raster._store

    def store(self: Raster, name: str, strip: Any, columns: Span, values: np.ndarray) -> None:
        whole(self, name, strip, columns, np.roll(values, 1, strip.dim))

    patch.setattr(Raster, "_store", store)


def strips_of_the_first_row(patch: pytest.MonkeyPatch) -> None:
    """What goes down is never renewed."""
    whole = Raster._store
    stored = set()

    def store(self: Raster, name: str, strip: Any, columns: Span, values: np.ndarray) -> None:
        key = self, name, columns
        if key not in stored:
            whole(self, name, strip, columns, values)
        stored.add(key)

    patch.setattr(Raster, "_store", store)


def carried(change: Callable[[np.ndarray, int], None], patch: pytest.MonkeyPatch) -> None:
    """Change every value [1, channels, height, width] that goes to the right from the second row of rectangles on."""
    whole = Steps.run

    def run(self: Steps, kinds: tuple[StepKind, ...], inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        made = whole(self, kinds, inputs)
        for name, values in self._carried.items():
            down, *_ = self.plan.bindings.dims.get(name.removesuffix("/kept"), (None,))
            if kinds[0].before and down is not None:
                change(values, down)
        return made

    patch.setattr(Steps, "run", run)


def nothing_from_the_left(patch: pytest.MonkeyPatch) -> None:
    """What the rectangle to the left hands on is lost."""
    carried(lambda values, dim: values.fill(0), patch)


def nothing_at_the_corner(patch: pytest.MonkeyPatch) -> None:
    """Of what the rectangle to the left hands on, the uppermost row is lost, which came to it from above."""
    carried(lambda values, dim: values.swapaxes(0, dim)[:1].fill(0), patch)


def never_ends(axis: int, patch: pytest.MonkeyPatch) -> None:
    """The last rectangle along an axis is like the others."""
    whole = Stretch.total

    def total(self: Stretch, name: str) -> int | None:
        return None if self.timeline.axis == axis else whole(self, name)

    patch.setattr(Stretch, "total", total)


def not_the_last(axis: int, patch: pytest.MonkeyPatch) -> None:
    """The last rectangle along an axis waits for more."""
    whole = Axis.kind

    def kind(self: Axis, before: int, after: int, *, ended: bool) -> StepKind:
        return whole(self, before, after, ended=ended and self.timeline.axis != axis)

    patch.setattr(Axis, "kind", kind)


def always_the_first(axis: int, patch: pytest.MonkeyPatch) -> None:
    """Every rectangle along an axis begins anew."""
    whole = Stretch.is_first.fget
    assert whole is not None
    patch.setattr(Stretch, "is_first", property(lambda self: self.timeline.axis == axis or whole(self)))


def steady_too_soon(axis: int, patch: pytest.MonkeyPatch) -> None:
    """The first rectangle along an axis is a grain too short."""
    whole = Timeline._find_ramp

    def ramp(self: Timeline) -> int:
        return max(0, whole(self) - self.grain * (self.axis == axis))

    patch.setattr(Timeline, "_find_ramp", ramp)


def zero_before_the_first(axis: int, patch: pytest.MonkeyPatch) -> None:
    """Padding in front is 0, whatever stands for it."""
    whole = Timeline.fill

    def fill(self: Timeline, name: str) -> float | None:
        filled = whole(self, name)
        return 0.0 if self.axis == axis and filled is not None else filled

    patch.setattr(Timeline, "fill", fill)


def shared_by_size(patch: pytest.MonkeyPatch) -> None:
    """Rectangles of one size are taken for alike."""
    patch.setattr(excerpt, "_shape", lambda part: tuple(span.size for span in part.needed.values()))


def halves_of_groups(patch: pytest.MonkeyPatch) -> None:
    """Elements that are made together are made one by one."""
    patch.setattr(Scaled, "whole", Flow.whole)


def more_than_its_share(patch: pytest.MonkeyPatch) -> None:
    """A rectangle gives out all that it makes."""
    patch.setattr(excerpt.Excerpt, "share", lambda self, name: Span(0, self.new(name).size))
