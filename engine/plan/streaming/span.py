"""Counting along a streaming axis: half-open ranges of elements, and how a node's follow from those of its inputs."""

from __future__ import annotations

from typing import NamedTuple


class Span(NamedTuple):
    """Elements `start` to `stop - 1` along an axis, counted from the beginning of the stream."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many elements."""
        return max(0, self.stop - self.start)

    def within(self, other: Span) -> Span:
        """The part that lies in another span; empty, and in it, if there is none."""
        start = min(max(self.start, other.start), other.stop)
        return Span(start, max(start, min(self.stop, other.stop)))


class Flow:
    """How many elements of a node's outputs can be made of what has arrived, and which elements each of them reads.

    This one is that of a node that makes each element of the inputs' elements at its own place.
    """

    fill: float | None = None
    """What a node that pads takes to be there before the first element; None if no number can stand for that."""

    @property
    def pads(self) -> bool:
        """Whether elements before the first are read."""
        return False

    def count(self, arrived: int, ended: bool) -> int:
        """How many elements can be made, for good, of the first `arrived`; `ended`: there will be no more."""
        del ended
        return arrived

    def reads(self, made: Span, total: int | None) -> Span:
        """Which elements are read for these, where the node's own padding begins before 0 or ends behind `total`.

        Args:
            made: elements of the output, at least one.
            total: of the input, once it has ended.
        """
        del total
        return made

    def whole(self, wanted: Span) -> Span:
        """What has to be made at once for these elements of the output."""
        return wanted

    def ends(self, arrived: int) -> bool:
        """Whether a signal may end after so many elements."""
        del arrived
        return True

    def oldest(self, made: int, arrived: int) -> int:
        """The first element that will still be read when `made` elements of the output have been made.

        Args:
            made: elements of the output, all that can be made of what has arrived.
            arrived: elements of the input; the end may come behind them, and may be made of earlier ones.
        """
        first = self.reads(Span(made, made + 1), None).start
        if arrived and (last := self.count(arrived, ended=True)) > made:
            first = min(first, self.reads(Span(made, last), arrived).start)
        return first if self.pads else max(0, first)


ALIGNED = Flow()


class Window(Flow):
    """A kernel that is moved on by `stride`: convolutions, pools, frames of a spectrum.

    Output j reads inputs j * stride - before to j * stride - before + reach - 1.
    Source: ONNX Conv, "output_spatial_shape".
    """

    def __init__(
        self, reach: int, stride: int, before: int, after: int, *, fill: float | None, ceil: bool = False
    ) -> None:
        self.reach, self.stride, self.before, self.after = reach, stride, before, after
        self.fill = fill
        self._ceil = ceil

    @property
    def pads(self) -> bool:
        """Whether there is padding in front."""
        return self.before > 0

    def count(self, arrived: int, ended: bool) -> int:
        """Windows that lie in what has arrived; at the end also those that reach into the padding behind it."""
        room = arrived + self.before - self.reach + (self.after if ended else 0)
        if not (ended and self._ceil):
            return max(0, room // self.stride + 1)
        windows = -(-room // self.stride) + 1
        if (windows - 1) * self.stride >= arrived + self.before:  # it would begin in the padding behind
            windows -= 1
        return max(0, windows)

    def reads(self, made: Span, total: int | None) -> Span:
        """From the first window's first element to the last window's last."""
        del total
        first = made.start * self.stride - self.before
        return Span(first, (made.stop - 1) * self.stride - self.before + self.reach)


class Spread(Flow):
    """A transposed convolution: input i is added to outputs i * stride - before to i * stride - before + reach - 1.

    Source: ONNX ConvTranspose.
    """

    def __init__(self, reach: int, stride: int, before: int, after: int, extra: int) -> None:
        self.reach, self.stride, self.before, self.after, self.extra = reach, stride, before, after, extra

    def count(self, arrived: int, ended: bool) -> int:
        """Outputs to which no further input is added, and which the end does not cut off."""
        if not arrived:
            return 0
        all_made = (arrived - 1) * self.stride + self.reach - self.before - self.after + self.extra
        return max(0, all_made if ended else min(all_made, arrived * self.stride - self.before))

    def reads(self, made: Span, total: int | None) -> Span:
        """Inputs that touch any of these outputs."""
        first = -((self.reach - 1 - made.start - self.before) // self.stride)
        last = (made.stop - 1 + self.before) // self.stride
        if total is not None:  # output padding is touched by nothing
            first, last = min(first, total - 1), min(last, total - 1)
        return Span(max(0, first), last + 1)


class Scaled(Flow):
    """`numerator` outputs for every `denominator` inputs, in order: a reshape that joins or splits the axis."""

    def __init__(self, numerator: int, denominator: int) -> None:
        self.numerator, self.denominator = numerator, denominator

    def whole(self, wanted: Span) -> Span:
        """Whole groups."""
        start, stop = wanted.start // self.numerator, -(-wanted.stop // self.numerator)
        return Span(start * self.numerator, stop * self.numerator)

    def ends(self, arrived: int) -> bool:
        """After whole groups."""
        return arrived % self.denominator == 0

    def count(self, arrived: int, ended: bool) -> int:
        """Whole groups."""
        del ended
        return arrived // self.denominator * self.numerator

    def reads(self, made: Span, total: int | None) -> Span:
        """The groups that these are in."""
        del total
        start, stop = self.whole(made)
        return Span(start // self.numerator * self.denominator, stop // self.numerator * self.denominator)


class Strided(Flow):
    """Every `step`-th element from `start` on, less the last `cut`: a slice."""

    def __init__(self, start: int, cut: int, step: int) -> None:
        self.start, self.cut, self.step = start, cut, step

    def count(self, arrived: int, ended: bool) -> int:
        """Elements that are not among the last `cut`, whatever follows."""
        del ended
        return max(0, -(-(arrived - self.cut - self.start) // self.step))

    def reads(self, made: Span, total: int | None) -> Span:
        """From the first of them to the last."""
        del total
        return Span(self.start + made.start * self.step, self.start + (made.stop - 1) * self.step + 1)


class Margin(Flow):
    """Elements put before the first and behind the last: a number, `fill`, or copies where that is None.

    They are copies of the element at the edge, or, if `mirrored`, of those behind it, as many as are added.
    """

    def __init__(self, before: int, after: int, *, fill: float | None, mirrored: bool = False) -> None:
        self.before, self.after, self.fill = before, after, fill
        self._mirrored, self._copies = mirrored, fill is None

    @property
    def pads(self) -> bool:
        """Whether a constant is put in front."""
        return self.before > 0 and not self._copies

    def ends(self, arrived: int) -> bool:
        """Once there is enough to copy from."""
        return not self._copies or arrived > (max(self.before, self.after) if self._mirrored else 0)

    def count(self, arrived: int, ended: bool) -> int:
        """Nothing before what the margin is copied from; then all but the margin behind."""
        if not ended and arrived <= (self.before if self._mirrored else 0):
            return 0
        return arrived + self.before + (self.after if ended else 0)

    def reads(self, made: Span, total: int | None) -> Span:
        """What the elements and their margins are copied from."""
        start, stop = made.start - self.before, made.stop - self.before
        if not self._copies:
            return Span(start, stop)
        if start < 0:
            reach = -start if self._mirrored else 0
            start, stop = 0, max(stop, reach + 1)
        if total is not None and stop > total:
            reach = stop - total if self._mirrored else 0
            start, stop = min(start, total - 1 - reach), total
        return Span(start, stop)
