"""Definitions of the convolutions: one formula, a packing of the weights for each.

x: [batch, channels, height, width] float32
weights: [elements] float32, packed by the function of `packing` that each names
bias, slope: [output channels padded to PANEL] float32, or None
y: [batch, output channels, output height, output width] float32

Source: ONNX Conv.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import packing, packing_winograd
from .activation import activate
from .execute import definition


def _convolve(w: np.ndarray, o: dict[str, Any]) -> None:
    """y[n, c, i, j] = activation(bias[c] + sum over d, k, l of w[c, d, k, l] x[n, d', i', j']).

    i' = i stride_height + k dilation_height - pad_top, j' alike; x is 0 outside. d' runs over the input channels of
    the group of c. x: [batch, channels, height, width]. w: [output channels, channels / groups, kernel height,
    kernel width]. y: [batch, output channels, height, width].
    """
    x, y, groups = o["x"], o["y"], o["groups"]
    batch, outputs, height, width = y.shape
    _, inputs, kernel_height, kernel_width = w.shape
    stride = o["stride_height"], o["stride_width"]
    dilation = o["dilation_height"], o["dilation_width"]
    pad = o["pad_top"], o["pad_left"]
    spans = [
        (size - 1) * s + (kernel - 1) * d + 1
        for size, kernel, s, d in zip((height, width), w.shape[2:], stride, dilation, strict=True)
    ]
    padded = np.zeros((*x.shape[:2], *spans), np.float32)
    # What lies behind the last window is not read.
    inside = [min(size, span - before) for size, span, before in zip(x.shape[2:], spans, pad, strict=True)]
    if min(inside) > 0:
        rows, columns = slice(pad[0], pad[0] + inside[0]), slice(pad[1], pad[1] + inside[1])
        padded[:, :, rows, columns] = x[:, :, : inside[0], : inside[1]]
    grouped = padded.reshape(batch, groups, inputs, *spans)
    weights = w.reshape(groups, outputs // groups, inputs, kernel_height, kernel_width)
    sums = np.zeros((batch, groups, outputs // groups, height, width), np.float32)
    for k in range(kernel_height):
        for j in range(kernel_width):
            top, left = k * dilation[0], j * dilation[1]
            window = grouped[
                :,
                :,
                :,
                top : top + (height - 1) * stride[0] + 1 : stride[0],
                left : left + (width - 1) * stride[1] + 1 : stride[1],
            ]
            sums += np.einsum("goc,ngchw->ngohw", weights[..., k, j], window)
    sums = sums.reshape(y.shape)
    if o["bias"] is not None:
        sums += o["bias"][:outputs, None, None]
    slope = None if o["slope"] is None else o["slope"][:outputs, None, None]
    y[...] = activate(sums, o["activation"], o["alpha"], o["beta"], slope)


def _weights_shape(o: dict[str, Any]) -> tuple[int, int, int, int]:
    return o["y"].shape[1], o["x"].shape[1] // o["groups"], o["kernel_height"], o["kernel_width"]


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
