"""Max, average and Lp pooling over windows of one to three axes; the global kinds are reductions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....kernels.opcodes import Binary, Reduce, Unary
from ....kernels.schemas.window import window_operands
from ..builder import Builder
from ..view import View
from .arriving import Weights
from .convolution import Window, as_image, emit_convolution, is_upright, per_axis
from .elementwise import apply_binary, apply_unary
from .reduction import reduce_axes
from .registry import Lowering, rule


@dataclass(frozen=True)
class PoolWindow:
    """Geometry of a pool along its spatial axes."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @classmethod
    def of(cls, node: Lowering) -> PoolWindow:
        """A node's window, of two or three axes."""
        rank = len(node.shape(0)) - 2
        pads = node.attribute("pads") or [0] * (2 * rank)
        return cls(
            kernel=per_axis(node.attribute("kernel_shape"), 1, rank),
            stride=per_axis(node.attribute("strides"), 1, rank),
            dilation=per_axis(node.attribute("dilations"), 1, rank),
            before=per_axis(pads[:rank], 0, rank),
            after=per_axis(pads[rank:], 0, rank),
        )

    def is_whole(self, x: View) -> bool:
        """Whether it is all of an image or volume at once, without padding."""
        return self.kernel == x.shape[2:] and {*self.dilation} == {1} and not any(self.before + self.after)

    def turned(self) -> PoolWindow:
        """Of an image whose height and width change places."""
        return PoolWindow(
            self.kernel[::-1], self.stride[::-1], self.dilation[::-1], self.before[::-1], self.after[::-1]
        )

    @property
    def depth(self) -> PoolWindow:
        """The first axis of three, as an image's height."""
        return PoolWindow(
            (self.kernel[0], 1), (self.stride[0], 1), (self.dilation[0], 1), (self.before[0], 0), (self.after[0], 0)
        )

    @property
    def plane(self) -> PoolWindow:
        """The last two axes of three."""
        return PoolWindow(self.kernel[1:], self.stride[1:], self.dilation[1:], self.before[1:], self.after[1:])


@rule("MaxPool", keeps_range=True)
@rule("AveragePool")
def pool(node: Lowering, builder: Builder) -> View | list[View]:
    """ONNX MaxPool and AveragePool over one to three axes.

    ceil_mode only changes the output's size, which is bound already: its last window may reach past the end padding,
    but starts on the input or the padding before it, and takes what it finds there.

    A volume is pooled along its depth, then in its planes: the largest of the largest; and a mean of means, as the
    number of elements in a window is a product of one number for each axis.
    """
    if node.wants(1):
        return _pool_with_positions(node, builder)
    x, window = as_image(node, node.view(0)), PoolWindow.of(node)
    if window.is_whole(x):
        operator = Reduce.MAX if node.op == "MaxPool" else Reduce.MEAN
        return reduce_axes(node, builder, operator, list(range(2, len(node.shape(0)))))
    result = builder.allocate(node.output_shape())
    y = as_image(node, result)
    if y.rank == 4:
        _emit_pool(node, builder, x, y, window)
        return result
    batch, channels, depth = y.shape[:3]
    height, width = x.shape[3:]
    planes = builder.allocate((batch, channels, depth, height * width))
    _emit_pool(node, builder, builder.reshape(x, (*x.shape[:3], height * width)), planes, window.depth)
    images = builder.reshape(planes, (batch, channels * depth, height, width))
    target = y.reshape((batch, channels * depth, *y.shape[3:]))
    assert target is not None  # y is dense
    _emit_pool(node, builder, images, target, window.plane)
    return result


def _emit_pool(node: Lowering, builder: Builder, x: View, y: View, window: PoolWindow) -> None:
    """Pool images: [batch, channels, height, width]."""
    if is_upright(x, y, window.kernel):
        x, y, window = x.swap(2, 3), y.swap(2, 3), window.turned()
    builder.emit(
        "max_pool" if node.op == "MaxPool" else "average_pool",
        x=x,
        y=y,
        **window_operands(window.kernel, window.stride, window.dilation, window.before),
        pad_bottom=window.after[0],
        pad_right=window.after[1],
        count_include_pad=node.attribute("count_include_pad", 0),
    )


def _pool_with_positions(node: Lowering, builder: Builder) -> list[View]:
    """MaxPool whose output Indices is read."""
    x, window = as_image(node, node.view(0)), PoolWindow.of(node)
    y = builder.allocate(node.output_shape())
    positions = builder.allocate(node.output_shape(), dtype=np.int64)
    x, values, places = (_as_volume(as_image(node, view)) for view in (x, y, positions))
    lead = 3 - len(window.kernel)
    sizes = window.kernel, window.stride, window.dilation, window.before
    geometry = window_operands(*((first,) * lead + size for first, size in zip((1, 1, 1, 0), sizes, strict=True)))
    column_major = node.attribute("storage_order", 0)
    builder.emit("max_pool_positions", x=x, y=values, positions=places, **geometry, column_major=column_major)
    return [y, positions]


def _as_volume(view: View) -> View:
    return view[:, :, None] if view.rank == 4 else view


@rule("LpPool")
def lp_pool(node: Lowering, builder: Builder) -> View:
    """The p-th root of the sum of |x|^p: the sum is a convolution of each channel with ones."""
    window, p = PoolWindow.of(node), node.attribute("p", 2)
    powers = to_power(builder, as_image(node, node.view(0)), p)
    channels = powers.shape[1]
    sums = builder.allocate(node.output_shape())
    ones = Weights(np.ones((channels, 1, *window.kernel), np.float32))
    geometry = Window(window.stride, window.dilation, window.before, channels)
    emit_convolution(builder, powers, ones, None, as_image(node, sums), geometry)
    return to_root(builder, sums, p)


@rule("GlobalLpPool")
def global_lp_pool(node: Lowering, builder: Builder) -> View:
    """The p-th root of the sum of |x|^p over all spatial axes."""
    p = node.attribute("p", 2)
    powers = to_power(builder, node.view(0), p)
    sums = builder.allocate(powers.shape[:2])
    rows = builder.reshape(powers, (sums.size, powers.size // sums.size))
    target = sums.reshape((sums.size,))
    assert target is not None  # it is dense
    builder.emit("reduce", operator=Reduce.SUM, x=rows[None, None, :, None, None], y=target[None, None])
    return builder.reshape(to_root(builder, sums, p), node.output_shape())


def to_power(builder: Builder, x: View, p: float) -> View:
    """|x|^p."""
    if p == 2:
        return apply_unary(builder, Unary.SQUARE, x)
    x = apply_unary(builder, Unary.ABS, x)
    return x if p == 1 else apply_binary(builder, Binary.POW, x, builder.constant(np.array(p, np.float32)))


def to_root(builder: Builder, x: View, p: float) -> View:
    """The p-th root of x, which is not negative."""
    if p == 2:
        return apply_unary(builder, Unary.SQRT, x)
    return x if p == 1 else apply_binary(builder, Binary.POW, x, builder.constant(np.array(1 / p, np.float32)))
