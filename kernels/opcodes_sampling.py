"""The choices of sampling between elements, by the names that ONNX GridSample has for them."""

from __future__ import annotations

from enum import IntEnum


class Interpolation(IntEnum):
    """How a value between elements follows from those around it, along each axis."""

    NEAREST = 0
    """Halves to even."""
    LINEAR = 1
    CUBIC = 2
    """Cubic convolution with a = -0.75. Source: R. Keys, IEEE Trans. ASSP 29 (1981)."""


class Beyond(IntEnum):
    """What lies outside the input."""

    ZEROS = 0
    BORDER = 1
    """The element at the border."""
    REFLECTION = 2
    """The input again, mirrored at its border: at the corner elements' centres, or at their outer edges."""


class Coordinates(IntEnum):
    """What the numbers of a grid mean, for an axis of `size` elements."""

    ELEMENTS = 0
    """Indices of elements."""
    CENTRES = 1
    """-1 and 1 are the centres of the first and the last element (align_corners = 1)."""
    EDGES = 2
    """-1 and 1 are the outer edges of the first and the last element (align_corners = 0)."""
