"""Convolutions. A transposed convolution is one ordinary convolution for each output phase: no kernel of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ....kernels import packing
from ..builder import Builder
from ..view import View
from .registry import Lowering, rule


@dataclass(frozen=True)
class Window:
    """Geometry of a 2-D convolution; padding at the end follows from the output's size."""

    stride: tuple[int, int]
    dilation: tuple[int, int]
    pad: tuple[int, int]
    groups: int


def pair(values: list[int] | None, default: int, rank: int) -> tuple[int, int]:
    """A per-axis attribute of a 1-D or 2-D operator as (height, width)."""
    given = list(values) if values else [default] * rank
    return (default, given[0]) if rank == 1 else (given[0], given[1])


def as_image(node: Lowering, x: View) -> View:
    """[batch, channels, time] or [batch, channels, height, width] as the latter."""
    if x.rank == 3:
        return x[:, :, None]
    if x.rank != 4:
        raise node.refuse(f"its input has shape {x.shape}", "1-D and 2-D windows are there: 3 or 4 axes")
    return x


@rule("Conv")
def conv(node: Lowering, builder: Builder) -> View:
    """ONNX Conv of one or two axes: a time axis is an image of height 1."""
    rank = len(node.shape(0)) - 2
    x = as_image(node, node.view(0))
    weights = node.needs_constant(1, "weight").astype(np.float32)
    weights = weights.reshape(*weights.shape[:2], *((1,) * (2 - rank)), *weights.shape[2:])
    y = builder.allocate(node.output_shape())
    window = Window(
        stride=pair(node.attribute("strides"), 1, rank),
        dilation=pair(node.attribute("dilations"), 1, rank),
        pad=pair((node.attribute("pads") or [0] * rank)[:rank], 0, rank),
        groups=node.attribute("group", 1),
    )
    emit_convolution(builder, x, weights, _bias(node, builder), as_image(node, y), window, _activation(node, y))
    return y


@rule("ConvTranspose")
def conv_transpose(node: Lowering, builder: Builder) -> View:
    """Output o gets inputs i with o = i * stride - pad + tap * dilation.

    Outputs of one phase (o modulo stride) use the same taps, so each phase is a convolution of stride 1 that writes
    every stride-th output.
    """
    rank = len(node.shape(0)) - 2
    x = as_image(node, node.view(0))
    groups = node.attribute("group", 1)
    weights = node.needs_constant(1, "weight").astype(np.float32)
    weights = weights.reshape(*weights.shape[:2], *((1,) * (2 - rank)), *weights.shape[2:])
    stride = pair(node.attribute("strides"), 1, rank)
    dilation = pair(node.attribute("dilations"), 1, rank)
    weights = _turn(_spread_taps(weights, stride, dilation), groups)
    # What is left of the dilation: an axis of stride 1 has one phase, whose taps may stay apart.
    dilation = (dilation[0] if stride[0] == 1 else 1, dilation[1] if stride[1] == 1 else 1)
    result = builder.allocate(node.output_shape())
    y = as_image(node, result)
    pad = pair((node.attribute("pads") or [0] * rank)[:rank], 0, rank)
    bias, activation = _bias(node, builder), _activation(node, result)
    for row in range(stride[0]):
        for column in range(stride[1]):
            phase = y[:, :, row :: stride[0], column :: stride[1]]
            if not phase.size:
                continue
            source, taps, phase_pad = x, weights, []
            for axis, first in ((2, row), (3, column)):
                geometry = stride[axis - 2], dilation[axis - 2], first + pad[axis - 2]
                source, taps, axis_pad = _phase_axis(source, taps, axis, *geometry)
                phase_pad.append(axis_pad)
            window = Window((1, 1), dilation, (phase_pad[0], phase_pad[1]), groups)
            emit_convolution(builder, source, taps, bias, phase, window, activation)
    return result


def _phase_axis(
    x: View, taps: np.ndarray, axis: int, stride: int, dilation: int, position: int
) -> tuple[View, np.ndarray, int]:
    """Input, taps in the order of correlation, and padding for one axis of one output phase.

    `position` is the phase's first output plus the padding: taps position % stride, + stride, ... reach it, the j-th
    from input position // stride - j * dilation. Either the stride or the dilation is 1.
    """
    chosen = np.flip(np.take(taps, np.arange(position % stride, taps.shape[axis], stride), axis), axis)
    if chosen.shape[axis] == 0:
        chosen = np.zeros([1 if a == axis else size for a, size in enumerate(taps.shape)], np.float32)
    start = position // stride - (chosen.shape[axis] - 1) * dilation
    if start > 0:
        x = x[(slice(None),) * axis + (slice(start, None),)]
    return x, np.ascontiguousarray(chosen), max(-start, 0)


def _spread_taps(weights: np.ndarray, stride: tuple[int, int], dilation: tuple[int, int]) -> np.ndarray:
    """Weights with the zeros of a dilation written out, on axes where there is a stride too."""
    steps = [d if s > 1 else 1 for s, d in zip(stride, dilation, strict=True)]
    height, width = ((size - 1) * step + 1 for size, step in zip(weights.shape[2:], steps, strict=True))
    spread = np.zeros((*weights.shape[:2], height, width), np.float32)
    spread[:, :, :: steps[0], :: steps[1]] = weights
    return spread


def _turn(weights: np.ndarray, groups: int) -> np.ndarray:
    """[in, out / groups, h, w] of ConvTranspose to [out, in / groups, h, w] of Conv."""
    channels, per_group = weights.shape[:2]
    split = weights.reshape(groups, channels // groups, per_group, *weights.shape[2:])
    return split.swapaxes(1, 2).reshape(groups * per_group, channels // groups, *weights.shape[2:])


def _bias(node: Lowering, builder: Builder) -> View | None:
    return builder.constant(packing.bias(node.needs_constant(2, "bias"))) if node.has(2) else None


def _activation(node: Lowering, y: View) -> dict[str, Any]:
    return node.activation(y.shape[1])


def emit_convolution(
    builder: Builder,
    x: View,
    weights: np.ndarray,
    bias: View | None,
    y: View,
    window: Window,
    activation: dict[str, Any],
) -> None:
    """One convolution by the kernel that suits its shape.

    Args:
        x: [batch, channels, height, width].
        weights: [output channels, channels / groups, kernel height, kernel width].
        bias: packed, or None.
        y: [batch, output channels, height, width], any strides.
    """
    kernel = packing.choose_convolution(
        x.shape, weights.shape, y.shape, window.groups, strides=window.stride, dilations=window.dilation
    )
    packed = getattr(packing, kernel)(weights, *(() if kernel == "conv_depthwise" else (window.groups,)))
    builder.emit(
        kernel,
        x=x,
        weights=builder.constant(packed),
        bias=bias,
        y=y,
        groups=window.groups,
        kernel_height=weights.shape[2],
        kernel_width=weights.shape[3],
        stride_height=window.stride[0],
        stride_width=window.stride[1],
        dilation_height=window.dilation[0],
        dilation_width=window.dilation[1],
        pad_top=window.pad[0],
        pad_left=window.pad[1],
        **activation,
    )
