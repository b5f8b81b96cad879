"""What the kernels compute that order and accumulate along an axis."""

from __future__ import annotations

import numpy as np

from ..opcodes_indexing import Cumulate
from .execute import definition


def _order(x: np.ndarray, largest: bool) -> np.ndarray:
    """Positions along the middle axis in order; of equals the first one first, NaN as the largest."""
    if not largest:
        return np.argsort(x, axis=1, kind="stable")  # NumPy puts NaN last
    # A stable descending sort: the ascending one of the reversed axis, read backwards.
    return x.shape[1] - 1 - np.argsort(x[:, ::-1], axis=1, kind="stable")[:, ::-1]


@definition
def arg_reduce(largest: int, last: int, x: np.ndarray, y: np.ndarray) -> None:
    """y[o, n] = the position of the largest or smallest of x[o, :, n]; NaN counts as the largest.

    Args:
        largest: 1: the largest; 0: the smallest.
        last: 1: the last one of several; 0: the first.
        x: [outer, axis, inner] any carrier; the axis is not empty.
        y: [outer, inner] int64.

    Source: ONNX ArgMax and ArgMin.
    """
    best = np.take_along_axis(x, _order(x, bool(largest))[:, :1], axis=1)
    found = (x == best) | ((x != x) & (best != best))
    y[...] = x.shape[1] - 1 - found[:, ::-1].argmax(1) if last else found.argmax(1)


@definition
def top_k(largest: int, x: np.ndarray, values: np.ndarray, indices: np.ndarray) -> None:
    """The k largest or smallest of x[o, :, n], in order; of equals the first one first, NaN as the largest.

    Args:
        largest: 1: the largest, descending; 0: the smallest, ascending.
        x: [outer, axis, inner] any carrier.
        values: [outer, k, inner] of x's type, k at most the length of the axis.
        indices: [outer, k, inner] int64: where they were.

    Source: ONNX TopK.
    """
    indices[...] = _order(x, bool(largest))[:, : values.shape[1]]
    values[...] = np.take_along_axis(x, indices, axis=1)


@definition
def cumulate(operator: Cumulate, exclusive: int, x: np.ndarray, y: np.ndarray) -> None:
    """y[o, i, n] = the sum or product of x[o, : i + 1, n], in float64 for floats; integers wrap.

    Args:
        operator: sum or product.
        exclusive: 1: without x[o, i, n] itself.
        x: [outer, axis, inner] any carrier.
        y: [outer, axis, inner] of x's type.

    Source: ONNX CumSum and CumProd.
    """
    wide = x if x.dtype.kind == "i" else x.astype(np.float64)
    with np.errstate(all="ignore"):
        running = np.cumsum(wide, axis=1) if operator is Cumulate.SUM else np.cumprod(wide, axis=1)
        if exclusive:
            y[:, 1:] = running[:, :-1]
            y[:, :1] = 0 if operator is Cumulate.SUM else 1
        else:
            y[...] = running


@definition
def unique(
    ordered: int,
    x: np.ndarray,
    y: np.ndarray,
    first: np.ndarray,
    inverse: np.ndarray,
    counts: np.ndarray,
    count: np.ndarray,
    scratch: np.ndarray,
) -> None:
    """y = the different rows of x; two NaN are alike.

    Args:
        ordered: 1: ascending, from the first element on, NaN last; 0: in the order of their first appearance.
        x: [rows, width] any carrier.
        y: [rows, width] of x's type; the first count[0] rows hold the result, the others 0.
        first: [rows] int64: where each row of y first appears in x, then 0.
        inverse: [rows] int64: which row of y each row of x is.
        counts: [rows] int64: how often each row of y appears, then 0.
        count: [1] int64.
        scratch: of the native kernel.

    Source: ONNX Unique.
    """
    order = np.lexsort(x.T[::-1]) if x.shape[1] else np.arange(len(x))
    groups: list[list[int]] = []
    for row in order.tolist():
        if groups and np.array_equal(x[groups[-1][0]], x[row], equal_nan=x.dtype.kind == "f"):
            groups[-1].append(row)
        else:
            groups.append([row])
    if not ordered:
        groups.sort(key=lambda group: group[0])
    y[...] = first[...] = counts[...] = 0
    for number, group in enumerate(groups):
        y[number], first[number], counts[number] = x[group[0]], group[0], len(group)
        inverse[group] = number
    count[0] = len(groups)


@definition
def non_max_suppression(  # noqa: PLR0913  (the operands of the schema)
    center_point_box: int,
    most: int,
    boxes: np.ndarray,
    scores: np.ndarray,
    iou_threshold: np.ndarray,
    score_threshold: np.ndarray,
    y: np.ndarray,
    count: np.ndarray,
    scratch: np.ndarray,
) -> None:
    """Of boxes that overlap only the one with the best score stays, class by class; of equals the first.

    Args:
        center_point_box: 0: a box is two opposite corners (y, x, y, x); 1: (x, y) of its centre, width, height.
        most: boxes that stay of a class.
        boxes: [batch, boxes, 4] float32.
        scores: [batch, classes, boxes] float32; one of NaN is left out.
        iou_threshold: [1] float32: a box goes whose overlap with a better one, by their union, is larger.
        score_threshold: [1] float32: a box stays only if its score is larger.
        y: [at least the rows that there can be, 3] int64: batch, class and box, by class and falling score; then 0.
        count: [1] int64: rows that are filled.
        scratch: of the native kernel.

    Source: ONNX NonMaxSuppression.
    """
    rows: list[tuple[int, int, int]] = []
    for batch, of_class in np.ndindex(*scores.shape[:2]):
        stay: list[int] = []
        for box in np.argsort(-scores[batch, of_class], kind="stable").tolist():
            if len(stay) == most or not scores[batch, of_class, box] > score_threshold[0]:
                break
            overlaps = (_overlap(boxes[batch, box], boxes[batch, other], center_point_box) for other in stay)
            if not any(overlap > iou_threshold[0] for overlap in overlaps):
                stay.append(box)
        rows += [(batch, of_class, box) for box in stay]
    y[...] = 0
    y[: len(rows)] = np.array(rows, np.int64).reshape(-1, 3)
    count[0] = len(rows)


def _corners(box: np.ndarray, center_point_box: int) -> tuple[np.ndarray, np.ndarray]:
    if center_point_box:
        return box[:2] - box[2:] / 2, box[:2] + box[2:] / 2
    return np.minimum(box[:2], box[2:]), np.maximum(box[:2], box[2:])


def _overlap(first: np.ndarray, second: np.ndarray, center_point_box: int) -> np.float32:
    """Intersection over union in float32; 0 if a box, or the intersection, is empty."""
    (first_low, first_high), (second_low, second_high) = (_corners(box, center_point_box) for box in (first, second))
    sides = np.minimum(first_high, second_high) - np.maximum(first_low, second_low)
    areas = [np.prod(first_high - first_low), np.prod(second_high - second_low)]
    intersection = np.prod(sides)
    if (sides <= 0).any() or min(areas) <= 0 or intersection <= 0:
        return np.float32(0)
    return np.float32(intersection / (areas[0] + areas[1] - intersection))
