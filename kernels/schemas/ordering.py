"""Order along an axis. NaN counts as larger than every number; of equals the first one comes first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..contract import Choice, Int, Kernel, Tensor
from ..opcodes_indexing import Cumulate


def _result(name: str, rank: int, *, optional: bool = False) -> Tensor:
    return Tensor(name, rank, written=True, optional=optional, dtype="carrier")


def _words(count: int) -> int:
    """Float32 elements of scratch that hold so many int64."""
    return 2 * count


def _unique_scratch(operands: Mapping[str, Any]) -> int:
    return _words(3 * operands["x"].shape[0])


def _suppression_scratch(operands: Mapping[str, Any]) -> int:
    return _words(operands["scores"].shape[2])


ARG_REDUCE = Kernel(
    "arg_reduce",  # y[o, n] = where x[o, :, n] is largest or smallest; y int64
    (Int("largest"), Int("last"), Tensor("x", 3, dtype="carrier"), _result("y", 2)),
)
TOP_K = Kernel(
    "top_k",  # values[o, :, n] = the largest or smallest of x[o, :, n] in order; indices int64 say where they were
    (Int("largest"), Tensor("x", 3, dtype="carrier"), _result("values", 3), _result("indices", 3)),
)
CUMULATE = Kernel(
    "cumulate",  # y[o, i, n] = operator over x[o, : i + 1, n], or over x[o, : i, n] if exclusive
    (Choice("operator", Cumulate), Int("exclusive"), Tensor("x", 3, dtype="carrier"), _result("y", 3)),
)
UNIQUE = Kernel(
    "unique",  # y = the different rows of x, ascending if `ordered`, else as they come; then rows of 0
    (
        Int("ordered"),
        Tensor("x", 2, dtype="carrier"),
        _result("y", 2),
        _result("first", 1),  # int64, as the following: x[first[i]] is y[i]
        _result("inverse", 1),  # y[inverse[i]] is x[i]
        _result("counts", 1),  # how often y[i] comes
        _result("count", 1),  # [1]: rows of y
        Tensor("scratch", 1, "dense", written=True),
    ),
    scratch=_unique_scratch,
)
NON_MAX_SUPPRESSION = Kernel(
    "non_max_suppression",  # y = (batch, class, box) of each box that stays
    (
        Int("center_point_box"),
        Int("most"),  # boxes that stay of a class
        Tensor("boxes", 3),  # [batch, boxes, 4]
        Tensor("scores", 3),  # [batch, classes, boxes]
        Tensor("iou_threshold", 1),  # [1]
        Tensor("score_threshold", 1),  # [1]
        _result("y", 2),  # [batch * classes * min(boxes, most), 3] int64
        _result("count", 1),  # [1] int64: rows of y that are filled
        Tensor("scratch", 1, "dense", written=True),
    ),
    scratch=_suppression_scratch,
)
