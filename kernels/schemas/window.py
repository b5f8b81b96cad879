"""Windows that move over one to three axes: the operands that say how, in the same words for every kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..contract import Int

_AXES = ("depth", "height", "width")
_SIDES = ("front", "top", "left")


class Window(NamedTuple):
    """A window's sizes: one number an axis, the last being the width."""

    kernel: tuple[int, ...]
    """Taps."""
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pad: tuple[int, ...]
    """Elements outside at the start; those at the end follow from the size of the output."""


def window_fields(axes: int) -> tuple[Int, ...]:
    """The operands of a window over the last `axes` of depth, height and width."""
    return tuple(Int(name) for name in window_operands(*((0,) * axes,) * 4))


def window_operands(
    kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], pad: Sequence[int]
) -> dict[str, int]:
    """The sizes of a `Window` as operands of a kernel."""
    sizes = (("kernel", kernel, _AXES), ("stride", stride, _AXES), ("dilation", dilation, _AXES), ("pad", pad, _SIDES))
    return {
        f"{what}_{axis}": int(number)
        for what, numbers, axes in sizes
        for axis, number in zip(axes[-len(kernel) :], numbers, strict=True)
    }


def window_of(operands: Mapping[str, Any], axes: int) -> Window:
    """The window that operands describe."""
    numbers = [operands[field.name] for field in window_fields(axes)]
    return Window(*(tuple(numbers[first : first + axes]) for first in range(0, 4 * axes, axes)))
