"""Definition of the three-dimensional convolution."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from .. import packing_volume
from .activation import activate
from .execute import definition

_AXES = ("depth", "height", "width")


@definition
def conv_volume(**o: Any) -> None:
    """y[n, c, i, j, k] = activation(bias[c] + sum over d, u, v, w of weights[c, d, u, v, w] x[n, d', i', j', k']).

    i' = i stride_depth + u dilation_depth - pad_front, j' and k' alike; x is 0 outside. d' runs over the input
    channels of the group of c. Weights are packed by `packing_volume.conv_volume`.

    Args:
        o: the schema's operands.
            x: [batch, channels, depth, height, width] float32.
            weights: [elements] float32.
            bias, slope: [output channels padded to PANEL] float32, or None.
            y: [batch, output channels, output depth, output height, output width] float32.

    Source: ONNX Conv.
    """
    x, y, groups = o["x"], o["y"], o["groups"]
    batch, outputs, *size = y.shape
    inputs = x.shape[1] // groups
    kernel, stride, dilation = ([o[f"{what}_{axis}"] for axis in _AXES] for what in ("kernel", "stride", "dilation"))
    pad = [o["pad_front"], o["pad_top"], o["pad_left"]]
    w = packing_volume.unpack_conv_volume(o["weights"], (outputs, inputs, *kernel), groups, o["block"])
    spans = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(size, stride, kernel, dilation, strict=True)]
    padded = np.zeros((*x.shape[:2], *spans), np.float32)
    # What lies behind the last window is not read.
    inside = [max(min(n, span - before), 0) for n, span, before in zip(x.shape[2:], spans, pad, strict=True)]
    target = tuple(slice(before, before + n) for before, n in zip(pad, inside, strict=True))
    padded[(slice(None), slice(None), *target)] = x[:, :, : inside[0], : inside[1], : inside[2]]
    grouped = padded.reshape(batch, groups, inputs, *spans)
    weights = w.reshape(groups, outputs // groups, inputs, *kernel)
    sums = np.zeros((batch, groups, outputs // groups, *size), np.float32)
    for tap in product(*map(range, kernel)):
        window = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, n, s in zip(tap, dilation, size, stride, strict=True)
        )
        part = grouped[(slice(None), slice(None), slice(None), *window)]
        sums += np.einsum("goc,ngcdhw->ngodhw", weights[(..., *tap)], part)
    sums = sums.reshape(y.shape)
    if o["bias"] is not None:
        sums += o["bias"][:outputs, None, None, None]
    slope = None if o["slope"] is None else o["slope"][:outputs, None, None, None]
    y[...] = activate(sums, o["activation"], o["alpha"], o["beta"], slope)
