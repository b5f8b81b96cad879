"""Transposed convolutions: one ordinary convolution for each output phase, no kernel of their own."""

from __future__ import annotations

from itertools import product

import numpy as np

from ..builder import Builder
from ..view import View
from .arriving import Weights
from .convolution import Window, as_image, emit_convolution, filter_weights, packed_bias, per_axis
from .registry import Lowering, rule


@rule("ConvTranspose")
def conv_transpose(node: Lowering, builder: Builder) -> View:
    """Output o gets inputs i with o = i * stride - pad + tap * dilation.

    Outputs of one phase (o modulo stride) use the same taps, so each phase is a convolution of stride 1 that writes
    every stride-th output.
    """
    rank = len(node.shape(0)) - 2
    x = as_image(node, node.view(0))
    groups = node.attribute("group", 1)
    stride = per_axis(node.attribute("strides"), 1, rank)
    dilation = per_axis(node.attribute("dilations"), 1, rank)
    pad = per_axis((node.attribute("pads") or [0] * rank)[:rank], 0, rank)
    weights = filter_weights(node, builder).rearranged(lambda w: _turn(_spread_taps(w, stride, dilation), groups))
    # What is left of the dilation: an axis of stride 1 has one phase, whose taps may stay apart.
    dilation = tuple(d if s == 1 else 1 for s, d in zip(stride, dilation, strict=True))
    result = builder.allocate(node.output_shape())
    y = as_image(node, result)
    bias, activation = packed_bias(node, builder), node.activation(result.shape[1])
    for firsts in product(*map(range, stride)):
        phase = y[(slice(None), slice(None), *(slice(first, None, s) for first, s in zip(firsts, stride, strict=True)))]
        if not phase.size:
            continue
        source, taps, phase_pad = x, weights, []
        for axis, first in enumerate(firsts):
            geometry = stride[axis], dilation[axis], first + pad[axis]
            source, taps, axis_pad = _phase_axis(source, taps, axis + 2, *geometry)
            phase_pad.append(axis_pad)
        window = Window((1,) * len(stride), dilation, tuple(phase_pad), groups)
        emit_convolution(builder, source, taps, bias, phase, window, activation)
    return result


def _phase_axis(
    x: View, taps: Weights, axis: int, stride: int, dilation: int, position: int
) -> tuple[View, Weights, int]:
    """Input, taps in the order of correlation, and padding for one axis of one output phase.

    `position` is the phase's first output plus the padding: taps position % stride, + stride, ... reach it, the j-th
    from input position // stride - j * dilation. Either the stride or the dilation is 1.
    """
    reaching = np.arange(position % stride, taps.shape[axis], stride)

    def choose(w: np.ndarray) -> np.ndarray:
        if not reaching.size:
            return np.zeros([1 if a == axis else size for a, size in enumerate(w.shape)], w.dtype)
        return np.ascontiguousarray(np.flip(np.take(w, reaching, axis), axis))

    start = position // stride - max(len(reaching) - 1, 0) * dilation
    if start > 0:
        x = x[(slice(None),) * axis + (slice(start, None),)]
    return x, taps.rearranged(choose), max(-start, 0)


def _spread_taps(weights: np.ndarray, stride: tuple[int, ...], dilation: tuple[int, ...]) -> np.ndarray:
    """Weights with the zeros of a dilation written out, on axes where there is a stride too."""
    steps = [d if s > 1 else 1 for s, d in zip(stride, dilation, strict=True)]
    spans = [(size - 1) * step + 1 for size, step in zip(weights.shape[2:], steps, strict=True)]
    spread = np.zeros((*weights.shape[:2], *spans), weights.dtype)
    spread[(slice(None), slice(None), *(slice(None, None, step) for step in steps))] = weights
    return spread


def _turn(weights: np.ndarray, groups: int) -> np.ndarray:
    """[in, out / groups, ...] of ConvTranspose to [out, in / groups, ...] of Conv."""
    channels, per_group = weights.shape[:2]
    split = weights.reshape(groups, channels // groups, per_group, *weights.shape[2:])
    return split.swapaxes(1, 2).reshape(groups * per_group, channels // groups, *weights.shape[2:])
