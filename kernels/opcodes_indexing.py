"""The members of the kernels that scatter and accumulate."""

from __future__ import annotations

from enum import IntEnum


class Scatter(IntEnum):
    """What an update does to the element that is there, by ONNX's attribute `reduction`."""

    NONE = 0
    """Takes its place; of several updates of one element the last one stays."""
    ADD = 1
    MUL = 2
    MAX = 3
    """The larger one; NaN if either is."""
    MIN = 4


class Cumulate(IntEnum):
    """What is carried along the axis."""

    SUM = 1
    PROD = 2
