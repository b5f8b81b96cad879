"""Definitions of the convolutions: one formula, a packing of the weights for each.

x: [batch, channels, height, width] float32
weights: [elements] float32, packed by the function of `packing` that each names
bias, slope: [output channels padded to PANEL] float32, or None
y: [batch, output channels, output height, output width] float32

Source: ONNX Conv.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from .. import packing, packing_rounded, packing_winograd
from ..rounding import rounded
from ..schemas.window import window_of
from ..windows import window_span
from .activation import activate
from .execute import definition


def _convolve(w: np.ndarray, o: dict[str, Any]) -> None:
    """y[n, c, i, j] = activation(bias[c] + sum over d, k, l of w[c, d, k, l] x[n, d', i', j']), and so in volumes.

    i' = i stride_height + k dilation_height - pad_top, j' alike; x is 0 outside. d' runs over the input channels of
    the group of c.

    Args:
        w: [output channels, channels / groups, (kernel depth,) kernel height, kernel width].
        o: the schema's operands.
    """
    x, y, groups = o["x"], o["y"], o["groups"]
    batch, outputs, *size = y.shape
    inputs, kernel = w.shape[1], w.shape[2:]
    window = window_of(o, len(size))
    spans = list(map(window_span, size, kernel, window.stride, window.dilation))
    padded = np.zeros((*x.shape[:2], *spans), np.float32)
    # What lies behind the last window is not read.
    inside = [max(min(n, span - before), 0) for n, span, before in zip(x.shape[2:], spans, window.pad, strict=True)]
    target = (slice(before, before + n) for before, n in zip(window.pad, inside, strict=True))
    padded[(slice(None), slice(None), *target)] = x[(slice(None), slice(None), *map(slice, inside))]
    grouped = padded.reshape(batch, groups, inputs, *spans)
    weights = w.reshape(groups, outputs // groups, inputs, *kernel)
    sums = np.zeros((batch, groups, outputs // groups, *size), np.float32)
    for tap in product(*map(range, kernel)):
        starts = [t * d for t, d in zip(tap, window.dilation, strict=True)]
        ends = [start + (n - 1) * s + 1 for start, n, s in zip(starts, size, window.stride, strict=True)]
        part = grouped[(..., *map(slice, starts, ends, window.stride))]
        sums += np.einsum("goc,ngc...->ngo...", weights[(..., *tap)], part)
    sums = sums.reshape(y.shape)
    bias, slope = (v if v is None else v[:outputs].reshape(-1, *[1] * len(size)) for v in (o["bias"], o["slope"]))
    if bias is not None:
        sums += bias
    y[...] = activate(sums, o["activation"], o["alpha"], o["beta"], slope)


def _weights_shape(o: dict[str, Any]) -> tuple[int, ...]:
    return o["y"].shape[1], o["x"].shape[1] // o["groups"], *window_of(o, o["y"].ndim - 2).kernel


@definition
def conv_wide(**operands: Any) -> None:
    """`_convolve` of weights packed by `packing.conv_wide`."""
    _convolve(packing.unpack_conv_wide(operands["weights"], _weights_shape(operands), operands["groups"]), operands)


@definition
def conv_short(**operands: Any) -> None:
    """`_convolve` of weights packed by `packing.conv_wide`."""
    conv_wide(**operands)


@definition
def conv_narrow(**operands: Any) -> None:
    """`_convolve` of weights packed by `packing.conv_narrow`."""
    _convolve(packing.unpack_conv_narrow(operands["weights"], _weights_shape(operands), operands["groups"]), operands)


@definition
def conv_winograd(**operands: Any) -> None:
    """`_convolve` of weights packed by `packing_winograd.conv_winograd`, whose kernels are 3x3."""
    shape, groups = _weights_shape(operands), operands["groups"]
    _convolve(packing_winograd.unpack_conv_winograd(operands["weights"], shape, groups), operands)


@definition
def conv_depthwise(**operands: Any) -> None:
    """`_convolve` of weights packed by `packing.conv_depthwise`; the number of groups is that of the input channels."""
    _convolve(packing.unpack_conv_depthwise(operands["weights"], _weights_shape(operands)), operands)


@definition
def conv_volume(**operands: Any) -> None:
    """`_convolve` of weights packed by `packing.conv_volume`, through volumes.

    Args:
        operands: the schema's.
            x: [batch, channels, depth, height, width] float32.
            y: [batch, output channels, output depth, output height, output width] float32.
    """
    shape, groups, block = _weights_shape(operands), operands["groups"], operands["block"]
    _convolve(packing.unpack_conv_volume(operands["weights"], shape, groups, block), operands)


@definition
def conv_rounded(**operands: Any) -> None:
    """`_convolve` through volumes, of x and weights rounded as `products` says; sums stay float32.

    Args:
        operands: the schema's.
            x: [batch, channels, depth, height, width] float32.
            weights: [words] int32, packed by `packing_rounded.conv_rounded`.
            y: [batch, output channels, output depth, output height, output width] float32.
    """
    shape, groups, products = _weights_shape(operands), operands["groups"], operands["products"]
    w = packing_rounded.unpack_conv_rounded(operands["weights"], shape, groups, products)
    _convolve(w, operands | {"x": rounded(operands["x"], products)})
