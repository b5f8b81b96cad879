"""Convolutions of one to three axes: the kernel for each, and its weights in the order in which it reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ....kernels import packing, packing_rounded, packing_winograd, windows
from ....kernels.contract import fits_layout
from ....kernels.cuda.tiles import SMALLEST_TILED
from ....kernels.schemas.window import window_operands
from ..builder import Builder
from ..view import View
from .arriving import Weights
from .registry import Lowering, activation_operands, rule


@dataclass(frozen=True)
class Window:
    """Geometry of a convolution along its spatial axes; padding at the end follows from the output's size."""

    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pad: tuple[int, ...]
    groups: int

    def turned(self) -> Window:
        """Of an image whose height and width change places."""
        return Window(self.stride[::-1], self.dilation[::-1], self.pad[::-1], self.groups)


def is_upright(x: View, y: View, kernel: tuple[int, ...]) -> bool:
    """Whether an image is a single column: exporters put time there, and kernels run along rows."""
    return x.shape[2] > 1 and x.shape[3] == y.shape[3] == kernel[1] == 1


def as_one_row(x: View, y: View, kernel: tuple[int, ...], window: Window) -> tuple[View, View]:
    """Images whose convolution takes each position by itself as one long row, where their strides allow it."""
    if kernel != (1, 1) or window.stride != (1, 1) or any(window.pad) or x.shape[2:] != y.shape[2:]:
        return x, y
    flat_x, flat_y = (view.reshape((*view.shape[:2], 1, view.shape[2] * view.shape[3])) for view in (x, y))
    return (x, y) if flat_x is None or flat_y is None else (flat_x, flat_y)


def as_unfolded(
    builder: Builder, x: View, weights: Weights, y: View, window: Window
) -> tuple[View, Weights, View, Window] | None:
    """An image of short rows as one long row of what each window takes in: [batch, channels * taps, 1, outputs].

    None where that is slower, or where strides can not express it.
    """
    shapes = x.shape, weights.shape, y.shape, window.groups, window.stride
    flat = y.reshape((*y.shape[:2], 1, y.shape[2] * y.shape[3]))
    planes = x.reshape((x.shape[0] * x.shape[1], x.shape[2] * x.shape[3], 1))
    if flat is None or planes is None or not packing.pays_unfolded(*shapes):
        return None
    if packing_winograd.pays(*shapes, window.dilation):
        return None
    table = _places_of_windows(x.shape[2:], y.shape[2:], weights.shape[2:], window)
    taps, outputs = table.shape
    unfolded = builder.allocate((x.shape[0], x.shape[1] * taps, 1, outputs))
    target = builder.reshape(unfolded, (planes.shape[0], table.size, 1))
    builder.emit("gather", x=planes, indices=builder.constant(table.reshape(-1)), y=target)
    weights = weights.rearranged(lambda w: w.reshape(w.shape[0], -1, 1, 1))
    return unfolded, weights, flat, Window((1, 1), (1, 1), (0, 0), 1)


def _places_of_windows(
    size: tuple[int, ...], outputs: tuple[int, ...], kernel: tuple[int, ...], window: Window
) -> np.ndarray:
    """int32[taps, outputs]: where in an image of a size each tap of each output's window lies; -1 outside."""
    places, inside = [], []
    for axis in range(2):
        taps = np.arange(kernel[axis]) * window.dilation[axis] - window.pad[axis]
        place = taps[:, None] + np.arange(outputs[axis]) * window.stride[axis]
        places.append(place)
        inside.append((place >= 0) & (place < size[axis]))
    rows, columns = places[0][:, None, :, None], places[1][None, :, None, :]
    exists = inside[0][:, None, :, None] & inside[1][None, :, None, :]
    table = np.where(exists, rows * size[1] + columns, -1).astype(np.int32)
    return table.reshape(kernel[0] * kernel[1], outputs[0] * outputs[1])


def as_phases(
    builder: Builder, x: View, weights: Weights, y: View, window: Window
) -> tuple[View, Weights, View, Window] | None:
    """A convolution of stride 2 as one of stride 1 over the four phases of its image, for Winograd's algorithm.

    Channel (2 p + q) channels + c of the phases is x[c, p::2, q::2], behind the padding; a kernel of 5 has 3, 2 taps in
    phases 0 and 1. None where that is slower, or the weights are not there to be transformed.
    """
    plain = window.stride == (2, 2) and window.dilation == (1, 1) and window.groups == 1 and weights.source is None
    if (
        not plain
        or not fits_layout("rows", y.shape, y.strides)
        or not packing_winograd.pays_in_phases(weights.shape, y.shape)
    ):
        return None
    channels, size = x.shape[1], [outputs + 2 for outputs in y.shape[2:]]
    phases = builder.allocate((x.shape[0], 4 * channels, *size))
    for phase in range(4):
        sources, targets = [], []
        for axis, first in enumerate(divmod(phase, 2)):
            start = first - window.pad[axis]
            begin = max(0, -(start // 2))
            end = max(begin, min(size[axis], (x.shape[2 + axis] - start + 1) // 2))
            sources.append(slice(2 * begin + start, 2 * (end - 1) + start + 1, 2))
            targets.append(slice(begin, end))
        target = phases[:, phase * channels : (phase + 1) * channels]
        if any(cut != slice(0, full) for cut, full in zip(targets, size, strict=True)):
            builder.fill(target, 0.0)
        builder.copy(x[:, :, *sources], target[:, :, *targets])
    return phases, weights.rearranged(_kernels_of_phases), y, Window((1, 1), (1, 1), (0, 0), 1)


def _kernels_of_phases(w: np.ndarray) -> np.ndarray:
    """[outputs, channels, 5 or 6, 5 or 6] -> [outputs, 4 channels, 3, 3], zero where a phase has fewer taps."""
    padded = np.zeros((*w.shape[:2], 6, 6), w.dtype)
    padded[:, :, : w.shape[2], : w.shape[3]] = w
    phases = padded.reshape(*w.shape[:2], 3, 2, 3, 2).transpose(0, 3, 5, 1, 2, 4)
    return phases.reshape(w.shape[0], 4 * w.shape[1], 3, 3)


def per_axis(values: list[int] | None, default: int, rank: int) -> tuple[int, ...]:
    """A per-axis attribute of a 1-D to 3-D operator as (height, width) or (depth, height, width)."""
    given = tuple(values or [default] * rank)
    return (default, *given) if rank == 1 else given


def as_image(node: Lowering, x: View) -> View:
    """[batch, channels, time] gets a height of 1; images and volumes stay."""
    if x.rank == 3:
        return x[:, :, None]
    if x.rank not in (4, 5):
        raise node.refuse(f"its input has shape {x.shape}", "1-D to 3-D windows are there: 3 to 5 axes")
    return x


@rule("Conv")
def conv(node: Lowering, builder: Builder) -> View:
    """ONNX Conv of one to three axes: a time axis is an image of height 1."""
    rank = len(node.shape(0)) - 2
    x = as_image(node, node.view(0))
    y = builder.allocate(node.output_shape())
    window = Window(
        stride=per_axis(node.attribute("strides"), 1, rank),
        dilation=per_axis(node.attribute("dilations"), 1, rank),
        pad=per_axis((node.attribute("pads") or [0] * rank)[:rank], 0, rank),
        groups=node.attribute("group", 1),
    )
    weights, bias = filter_weights(node, builder), packed_bias(node, builder)
    emit_convolution(builder, x, weights, bias, as_image(node, y), window, node.activation(y.shape[1]))
    return y


def filter_weights(node: Lowering, builder: Builder) -> Weights:
    """Input 1, of two or three spatial axes: [channels, channels, (kernel depth,) kernel height, kernel width]."""
    weights = Weights.of(node, builder, 1)
    return weights.rearranged(lambda w: w[:, :, None]) if len(weights.shape) == 3 else weights


def packed_bias(node: Lowering, builder: Builder, index: int = 2) -> View | None:
    """An input as the kernels take a bias, None where there is none."""
    return Weights.of(node, builder, index).packed(builder, packing.bias) if node.has(index) else None


def emit_convolution(
    builder: Builder,
    x: View,
    weights: Weights,
    bias: View | None,
    y: View,
    window: Window,
    activation: dict[str, Any] | None = None,
) -> None:
    """One convolution by the kernel that suits its shape.

    Args:
        x: [batch, channels, (depth,) height, width].
        weights: [output channels, channels / groups, (kernel depth,) kernel height, kernel width].
        bias: packed, or None.
        y: [batch, output channels, (depth,) height, width], any strides.
        activation: as `activation_operands` gives it, or none.
    """
    blocks = {}
    products = builder.target.products_of(builder.node)
    depthwise = window.groups == x.shape[1] > 1
    if products is not None and weights.source is None and not depthwise:
        x, weights, y, window = _as_volumes(x, weights, y, window)
        kernel, blocks = "conv_rounded", {"products": products}
        packed = weights.packed(builder, lambda w: packing_rounded.conv_rounded(w, window.groups, products))
    elif x.rank == 5:
        block = windows.volume_block(y.shape[1] // window.groups)
        kernel, blocks = "conv_volume", {"block": block}
        packed = weights.packed(builder, lambda w: packing.conv_volume(w, window.groups, block))
    else:
        x, weights, y, window = _arranged(builder, x, weights, y, window)
        kernel, packed = _image_kernel(builder, x, weights, y, window)
    builder.emit(
        kernel,
        x=x,
        weights=packed,
        bias=bias,
        y=y,
        groups=window.groups,
        **blocks,
        **window_operands(weights.shape[2:], window.stride, window.dilation, window.pad),
        **(activation or activation_operands()),
    )


def _as_volumes(x: View, weights: Weights, y: View, window: Window) -> tuple[View, Weights, View, Window]:
    """Images as volumes of one slice."""
    if x.rank == 5:
        return x, weights, y, window
    flat = Window((1, *window.stride), (1, *window.dilation), (0, *window.pad), window.groups)
    return x[:, :, None], weights.rearranged(lambda w: w[:, :, None]), y[:, :, None], flat


def _arranged(
    builder: Builder, x: View, weights: Weights, y: View, window: Window
) -> tuple[View, Weights, View, Window]:
    """The same convolution of images, along rows that are as long as can be."""
    if is_upright(x, y, weights.shape[2:]):
        x, y, window = x.swap(2, 3), y.swap(2, 3), window.turned()
        weights = weights.rearranged(lambda w: w.swapaxes(2, 3))
    if builder.target.on_device:  # what follows saves time on processors
        return x, weights, y, window
    for rewritten in (as_unfolded, as_phases):
        x, weights, y, window = rewritten(builder, x, weights, y, window) or (x, weights, y, window)
    x, y = as_one_row(x, y, weights.shape[2:], window)
    kernel = _direct_kernel(x, weights, y, window)
    pixels = kernel == "conv_depthwise" and weights.shape[2:] == (1, 1)
    if kernel == "conv_short" or (pixels and not fits_layout("rows", x.shape, x.strides)):
        x = builder.dense(x)  # for single pixels, to copy in tiles costs less than to gather
    return x, weights, y, window


def _shapes(x: View, weights: Weights, y: View, window: Window) -> tuple:
    """A convolution as `packing.choose_convolution` takes it."""
    return x.shape, weights.shape, y.shape, window.groups, window.stride, window.dilation


def _direct_kernel(x: View, weights: Weights, y: View, window: Window) -> str:
    """The fastest kernel that multiplies by the weights as they are."""
    kernel = packing.choose_convolution(*_shapes(x, weights, y, window))
    short = kernel == "conv_wide" and packing.has_short_rows(x.shape, weights.shape, y.shape, window.stride)
    return "conv_short" if short else kernel


def _image_kernel(builder: Builder, x: View, weights: Weights, y: View, window: Window) -> tuple[str, View]:
    """The fastest kernel for a convolution of images, and the weights as it reads them."""
    # Transformed weights are no rearrangement, and the transforms need contiguous rows and a processor.
    transformable = (
        not builder.target.on_device
        and weights.source is None
        and all(fits_layout("rows", v.shape, v.strides) for v in (x, y))
    )
    if transformable and packing_winograd.pays(*_shapes(x, weights, y, window)):
        return "conv_winograd", weights.packed(builder, lambda w: packing_winograd.conv_winograd(w, window.groups))
    kernel = _direct_kernel(x, weights, y, window)
    if builder.target.on_device and kernel != "conv_depthwise" and y.size >= SMALLEST_TILED:
        kernel = "conv_wide"
    if kernel == "conv_depthwise":
        return kernel, weights.packed(builder, packing.conv_depthwise)
    pack = packing.conv_narrow if kernel == "conv_narrow" else packing.conv_wide
    return kernel, weights.packed(builder, lambda w: pack(w, window.groups))
