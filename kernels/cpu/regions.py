"""Native `roi_align` and `max_roi_pool`: pooling over regions that arrive, one output at a time.

Bound by the scattered reads of x; regions are few and small. No region can reach outside x, whatever it holds.

    x           [batch, channels, height, width]  any strides
    regions     [regions, 4 or 5]  any strides
    images      [regions] int64  any stride (`roi_align`)
    y           [regions, channels, output height, output width]  any strides
"""

from __future__ import annotations

import numpy as np

from ..contract import Context
from ..schemas.sampling import MAX_ROI_POOL, ROI_ALIGN
from .memory import bits_to_float, float_pointer, locate, word_pointer
from .native import device, native

_LANES = int(Context.LANES)
_P = ROI_ALIGN.positions()
_X, _REGIONS, _IMAGES, _Y = _P["x"], _P["regions"], _P["images"], _P["y"]
_SCALE, _OFFSET, _SAMPLES, _LARGEST = _P["scale"], _P["offset"], _P["samples"], _P["largest"]
_M = MAX_ROI_POOL.positions()
_MX, _MREGIONS, _MY, _MSCALE = _M["x"], _M["regions"], _M["y"], _M["scale"]
_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_LOWEST, _NAN = np.float32(-np.inf), np.float32(np.nan)
_MOST_SAMPLES = 4096
_FARTHEST = np.float32(1 << 24)


@device
def _neighbours(at, size):
    """The element before a point, and how far behind it the point lies."""
    at = max(at, _ZERO)
    first = int(at)
    if first >= size - 1:
        return size - 1, _ZERO
    return first, at - np.float32(first)


@device
def _count(length, samples):
    """Samples along a side of a bin."""
    if samples > 0:
        return samples
    whole = np.ceil(length)
    if not whole > _ZERO:
        return 0
    return int(min(whole, np.float32(_MOST_SAMPLES)))


@device
def _bin(o, x, top, left, bin_height, bin_width, rows, columns):
    """The mean, or the largest part, of the samples of one bin whose first corner is given; x is the channel."""
    values, height, width = float_pointer(x), o[_X + 3], o[_X + 4]
    row_step, column_step = o[_X + 7], o[_X + 8]
    total, best = _ZERO, _LOWEST
    for i in range(rows):
        line = top + (np.float32(i) + _HALF) * bin_height / np.float32(rows)
        for j in range(columns):
            place = left + (np.float32(j) + _HALF) * bin_width / np.float32(columns)
            if not (-_ONE <= line <= np.float32(height) and -_ONE <= place <= np.float32(width)):
                best = max(best, _ZERO)
                continue
            above, down = _neighbours(line, height)
            before, across = _neighbours(place, width)
            below, behind = min(above + 1, height - 1), min(before + 1, width - 1)
            a = (_ONE - down) * (_ONE - across) * values[above * row_step + before * column_step]
            b = (_ONE - down) * across * values[above * row_step + behind * column_step]
            c = down * (_ONE - across) * values[below * row_step + before * column_step]
            d = down * across * values[below * row_step + behind * column_step]
            total += a + b + c + d
            best = max(best, a, b, c, d)
    if rows * columns == 0:
        return _ZERO
    return best if o[_LARGEST] else total / np.float32(rows * columns)


@device
def _align(o, x, region, image, y):
    """All outputs of one region."""
    scale, offset = np.float32(bits_to_float(o[_SCALE])), np.float32(bits_to_float(o[_OFFSET]))
    step, outputs = o[_REGIONS + 4], float_pointer(y)
    left, top = region[0] * scale - offset, region[step] * scale - offset
    width, height = region[2 * step] * scale - offset - left, region[3 * step] * scale - offset - top
    if offset == _ZERO:
        width, height = max(width, _ONE), max(height, _ONE)
    bin_height, bin_width = height / np.float32(o[_Y + 3]), width / np.float32(o[_Y + 4])
    rows, columns = _count(bin_height, o[_SAMPLES]), _count(bin_width, o[_SAMPLES])
    known = 0 <= image < o[_X + 1]
    for c in range(o[_Y + 2]):
        channel = x + 4 * (image * o[_X + 5] + c * o[_X + 6])
        for i in range(o[_Y + 3]):
            for j in range(o[_Y + 4]):
                value = _NAN
                if known:
                    start = top + np.float32(i) * bin_height
                    value = _bin(
                        o, channel, start, left + np.float32(j) * bin_width, bin_height, bin_width, rows, columns
                    )
                outputs[c * o[_Y + 6] + i * o[_Y + 7] + j * o[_Y + 8]] = value


@native
def roi_align(operands, context):
    """y[r] = the linearly interpolated means of the bins of region r of image images[r]."""
    o = operands
    for lane in range(context[_LANES]):
        x, y = locate(o, _X, context, lane), locate(o, _Y, context, lane)
        images = word_pointer(locate(o, _IMAGES, context, lane))
        for r in range(o[_Y + 1]):
            region = float_pointer(locate(o, _REGIONS, context, lane) + 4 * r * o[_REGIONS + 3])
            _align(o, x, region, images[r * o[_IMAGES + 2]], y + 4 * r * o[_Y + 5])


@device
def _whole(at):
    """A coordinate rounded, halves away from zero."""
    if at != at:
        return 0
    at = min(max(at, -_FARTHEST), _FARTHEST)
    return int(np.floor(at + _HALF)) if at >= _ZERO else int(np.ceil(at - _HALF))


@device
def _span(first, step, index, size):
    """First and end element of one bin, limited to the axis."""
    low = int(np.floor(np.float32(index) * step)) + first
    high = int(np.ceil(np.float32(index + 1) * step)) + first
    return min(max(low, 0), size), min(max(high, 0), size)


@device
def _pool_region(o, x, region, y):
    """All outputs of one region."""
    step, scale, outputs = o[_MREGIONS + 4], np.float32(bits_to_float(o[_MSCALE])), float_pointer(y)
    image = region[0]
    known = image > -_ONE and image < np.float32(o[_MX + 1])
    left, top = _whole(region[step] * scale), _whole(region[2 * step] * scale)
    right, bottom = _whole(region[3 * step] * scale), _whole(region[4 * step] * scale)
    bin_height = np.float32(max(bottom - top + 1, 1)) / np.float32(o[_MY + 3])
    bin_width = np.float32(max(right - left + 1, 1)) / np.float32(o[_MY + 4])
    for i in range(o[_MY + 3]):
        first, end = _span(top, bin_height, i, o[_MX + 3])
        for j in range(o[_MY + 4]):
            before, behind = _span(left, bin_width, j, o[_MX + 4])
            for c in range(o[_MY + 2]):
                value = _NAN
                if known:
                    values = float_pointer(x + 4 * (int(image) * o[_MX + 5] + c * o[_MX + 6]))
                    value = _LOWEST if end > first and behind > before else _ZERO
                    for row in range(first, end):
                        for column in range(before, behind):
                            value = max(value, values[row * o[_MX + 7] + column * o[_MX + 8]])
                outputs[c * o[_MY + 6] + i * o[_MY + 7] + j * o[_MY + 8]] = value


@native
def max_roi_pool(operands, context):
    """y[r] = the largest elements of the bins of region r."""
    o = operands
    for lane in range(context[_LANES]):
        x, y = locate(o, _MX, context, lane), locate(o, _MY, context, lane)
        for r in range(o[_MY + 1]):
            region = float_pointer(locate(o, _MREGIONS, context, lane) + 4 * r * o[_MREGIONS + 3])
            _pool_region(o, x, region, y + 4 * r * o[_MY + 5])
