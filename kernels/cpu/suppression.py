"""Native non_max_suppression: each class sorted by score, then every box against the better ones that stayed.

Bound by the overlaps: boxes times those that stay.

Source: ONNX NonMaxSuppression.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..contract import Context
from ..schemas.ordering import NON_MAX_SUPPRESSION
from .memory import float_pointer, locate, word_pointer
from .native import device, native
from .orders import sort_first

_LANES = int(Context.LANES)
_WORDS = NON_MAX_SUPPRESSION.positions()
_CENTER, _MOST, _BOXES, _SCORES = (_WORDS[key] for key in ("center_point_box", "most", "boxes", "scores"))
_IOU, _SCORE, _Y, _COUNT = (_WORDS[key] for key in ("iou_threshold", "score_threshold", "y", "count"))
_SCRATCH = _WORDS["scratch"]


@device
def _bounds(box, step, axis, center_point_box):
    """(low, high) of a box along one of its two axes."""
    a, b = box[axis * step], box[(axis + 2) * step]
    if center_point_box == 1:
        return a - b / np.float32(2), a + b / np.float32(2)
    return min(a, b), max(a, b)


@device
def _overlap(first, second, step, center_point_box):
    """Intersection over union of two boxes; 0 if a box, or the intersection, is empty."""
    first_top, first_bottom = _bounds(first, step, 0, center_point_box)
    first_left, first_right = _bounds(first, step, 1, center_point_box)
    second_top, second_bottom = _bounds(second, step, 0, center_point_box)
    second_left, second_right = _bounds(second, step, 1, center_point_box)
    height = min(first_bottom, second_bottom) - max(first_top, second_top)
    width = min(first_right, second_right) - max(first_left, second_left)
    first_area = (first_bottom - first_top) * (first_right - first_left)
    second_area = (second_bottom - second_top) * (second_right - second_left)
    intersection = height * width
    if height <= 0 or width <= 0 or first_area <= 0 or second_area <= 0 or intersection <= 0:
        return np.float32(0)
    return intersection / (first_area + second_area - intersection)


@device
def _suppress(operands, boxes, scores, order, iou_threshold, score_threshold):
    """Leave the boxes of one class that stay at the front of `order`, the best first, and return their number.

    `boxes` is the byte address of the batch's first box.
    """
    o = operands
    count, step, box_step, score_step = o[_SCORES + 3], o[_BOXES + 6], o[_BOXES + 5], o[_SCORES + 6]
    sort_first(order, 1, count, count, scores, score_step, 0, 1, 1)
    stay = 0
    for i in range(count):
        box = order[i]
        if stay == o[_MOST]:
            break
        if not scores[box * score_step] > score_threshold:  # NaN comes first in the order
            continue
        alone = True
        for j in range(stay):
            better = float_pointer(boxes + 4 * order[j] * box_step)
            if _overlap(float_pointer(boxes + 4 * box * box_step), better, step, o[_CENTER]) > iou_threshold:
                alone = False
                break
        if alone:
            order[stay] = box
            stay += 1
    return stay


@njit(inline="always")
def _write_row(operands, y, row, batch, of_class, box):
    y[row * operands[_Y + 3]] = batch
    y[row * operands[_Y + 3] + operands[_Y + 4]] = of_class
    y[row * operands[_Y + 3] + 2 * operands[_Y + 4]] = box


@native
def non_max_suppression(operands, context):
    """y [rows, 3] = (batch, class, box) of the boxes that stay, class by class, the best first.

    boxes [batch, boxes, 4], scores [batch, classes, boxes], thresholds [1]; any strides.
    """
    o = operands
    for lane in range(context[_LANES]):
        boxes = locate(o, _BOXES, context, lane)
        scores = locate(o, _SCORES, context, lane)
        order = word_pointer(locate(o, _SCRATCH, context, lane))
        y = word_pointer(locate(o, _Y, context, lane))
        iou_threshold = float_pointer(locate(o, _IOU, context, lane))[0]
        score_threshold = float_pointer(locate(o, _SCORE, context, lane))[0]
        row = 0
        for batch in range(o[_SCORES + 1]):
            for of_class in range(o[_SCORES + 2]):
                class_scores = float_pointer(scores + 4 * (batch * o[_SCORES + 4] + of_class * o[_SCORES + 5]))
                class_boxes = boxes + 4 * batch * o[_BOXES + 4]
                stay = _suppress(o, class_boxes, class_scores, order, iou_threshold, score_threshold)
                for i in range(stay):
                    _write_row(o, y, row, batch, of_class, order[i])
                    row += 1
        for empty in range(row, o[_Y + 1]):
            _write_row(o, y, empty, 0, 0, 0)
        word_pointer(locate(o, _COUNT, context, lane))[0] = row
