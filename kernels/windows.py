"""How the convolutions place padded copies of their input in scratch: shared by the schemas and the native kernels.

Those that take integers are plain arithmetic: native code compiles the same source.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from .contract import PANEL

STRIP_STEP = 3 * PANEL
"""Columns of a strip are a multiple of the widest tile's."""

STRIP_FLOATS = 1 << 16
"""What the copy of a strip should take: a quarter of a MiB, of a second cache of at least one."""

VOLUME_STEP = 12 * PANEL
"""Columns of a wide strip of `conv_volume` are a multiple of every tile's."""

LARGEST_STRIP = 12 * STRIP_STEP
SMALLEST_STRIP = 2 * STRIP_STEP


def needs_padding(size: int, outputs: int, kernel: int, stride: int, dilation: int, pad: int) -> bool:
    """Whether a window leaves the input along one axis, at either end.

    Args:
        size: elements of the input, `outputs` of the output, along this axis.
        kernel, stride, dilation, pad: the convolution's; pad at the start.
    """
    return pad > 0 or (outputs - 1) * stride + (kernel - 1) * dilation - pad >= size


def window_span(outputs: int, kernel: int, stride: int, dilation: int) -> int:
    """Input elements that all windows cover along one axis, padding included."""
    return (outputs - 1) * stride + (kernel - 1) * dilation + 1


def whole_vectors(elements: int) -> int:
    """Elements rounded up to whole vectors."""
    return -(-elements // PANEL) * PANEL


def strip_columns(width: int, rows: int) -> int:
    """Output columns of one strip of `conv_wide`: long runs, but a copy that stays in the second cache.

    Args:
        width: of the output; a strip has no more columns than that, in whole vectors.
        rows: kernel height times input channels of a group.
    """
    columns = max(SMALLEST_STRIP, min(LARGEST_STRIP, STRIP_FLOATS // rows // STRIP_STEP * STRIP_STEP))
    return min(columns, -(-width // PANEL) * PANEL)


def strip_layout(strip: int, kernel: int, stride: int, dilation: int) -> tuple[int, int, int]:
    """How the input columns of a strip lie in its copy: sorted into phases, in each of which they are `stride` apart.

    A tap at column k * dilation reads phase (k * dilation) % stride, shifted by (k * dilation) // stride.

    Returns:
        phases; elements of one phase of a row, in whole vectors; elements of a row: an odd number of vectors, so that
        rows spread over the cache's sets.
    """
    reach = (kernel - 1) * dilation
    phases = min(stride, reach + 1)
    columns = -(-(strip + reach // stride) // PANEL) * PANEL
    return phases, columns, ((phases * columns // PANEL) | 1) * PANEL


def tap_floats(taps: int) -> int:
    """Float32 elements that the table of a window's taps takes at the start of scratch: an int64 each."""
    return -(-2 * taps // PANEL) * PANEL


def copies_strips(
    inputs: int, outputs: int, height: int, width: int, padded: bool, stride_width: int, column_step: int
) -> bool:
    """Whether `conv_wide` works on a copy of each strip rather than on the input where it lies.

    It must where windows leave the input or columns are apart. It pays where the input does not stay in the first
    cache by itself: channels that lie a power of two apart would drive each other out.

    Args:
        inputs, outputs: channels of one group.
        height, width: of the input.
        padded: whether windows leave the input.
        stride_width: the convolution's; column_step: elements from column to column of the input.
    """
    return padded or stride_width != 1 or column_step != 1 or (outputs > 4 and inputs * height * width > 8192)


def conv_wide_scratch(operands: Mapping[str, Any]) -> int:
    """Float32 elements of scratch of a `conv_wide`: `kernel_height` input rows of a strip, all channels of a group."""
    x, y, o = operands["x"], operands["y"], operands
    inputs, outputs = x.shape[1] // o["groups"], y.shape[1] // o["groups"]
    padded = _reaches_over(operands)
    if not copies_strips(inputs, outputs, x.shape[2], x.shape[3], padded, o["stride_width"], x.strides[3]):
        return tap_floats(o["kernel_height"] * o["kernel_width"])
    # A 1x1 kernel may see the whole image as one row.
    width = prod(y.shape[2:]) if o["kernel_height"] * o["kernel_width"] == 1 else y.shape[3]
    along = o["kernel_width"], o["stride_width"], o["dilation_width"]
    _, _, row = strip_layout(strip_columns(width, o["kernel_height"] * inputs), *along)
    return tap_floats(o["kernel_height"] * o["kernel_width"]) + o["kernel_height"] * inputs * row


def conv_narrow_scratch(operands: Mapping[str, Any]) -> int:
    """Float32 elements of scratch of a `conv_narrow`: one image, if it has to be padded."""
    y, o = operands["y"], operands
    taps = tap_floats(o["kernel_height"] * o["kernel_width"])
    if not _reaches_over(operands):
        return taps
    height = window_span(y.shape[2], o["kernel_height"], o["stride_height"], o["dilation_height"])
    width = window_span(y.shape[3], o["kernel_width"], o["stride_width"], o["dilation_width"])
    return taps + operands["x"].shape[1] * height * whole_vectors(width)


def _reaches_over(operands: Mapping[str, Any]) -> bool:
    x, y = operands["x"], operands["y"]
    return any(
        needs_padding(
            x.shape[axis],
            y.shape[axis],
            operands[f"kernel_{name}"],
            operands[f"stride_{name}"],
            operands[f"dilation_{name}"],
            operands[pad],
        )
        for axis, name, pad in ((2, "height", "pad_top"), (3, "width", "pad_left"))
    )


def volume_strip(width: int, rows: int) -> int:
    """Output columns of one strip of `conv_volume`, in whole vectors.

    Args:
        width: of the output.
        rows: kernel depth times kernel height times input channels of a group.
    """
    columns = max(SMALLEST_STRIP, min(LARGEST_STRIP, STRIP_FLOATS // rows) // VOLUME_STEP * VOLUME_STEP)
    return min(columns, -(-width // PANEL) * PANEL)


def volume_block(outputs: int) -> int:
    """Output channels that lie side by side in the packed weights of `conv_volume`: as many as a tile has rows.

    A tile of 6 x 64 or 12 x 32 holds all channels of few, so that the input is read once; else blocks of at most 8
    channels, as equal as can be.
    """
    return outputs if outputs <= 12 else -(-outputs // -(-outputs // 8))


def volume_columns(block: int) -> int:
    """Columns of the widest tile of `conv_volume` for a number of channels: 24 vectors with AVX-512."""
    return (4 if block <= 6 else 3 if block <= 8 else 2) * PANEL


def conv_volume_scratch(operands: Mapping[str, Any]) -> int:
    """Float32 elements of scratch of a `conv_volume`: the taps' table, and the input rows of one strip's windows."""
    x, y, o = operands["x"], operands["y"], operands
    rows = o["kernel_depth"] * o["kernel_height"] * (x.shape[1] // o["groups"])
    along = o["kernel_width"], o["stride_width"], o["dilation_width"]
    _, _, row = strip_layout(volume_strip(y.shape[4], rows), *along)
    return tap_floats(2 * o["kernel_depth"] * o["kernel_height"] * o["kernel_width"]) + rows * row
