"""Operators that read between elements, where the signal says: GridSample, DeformConv, RoiAlign, MaxRoiPool."""

from __future__ import annotations

import numpy as np

from ....kernels.opcodes import Binary
from ....kernels.opcodes_sampling import Beyond, Coordinates, Interpolation
from ..builder import Builder
from ..view import View
from .arriving import Weights
from .convolution import Window, emit_convolution, packed_bias
from .elementwise import apply_binary
from .registry import Lowering, rule

_INTERPOLATIONS = {
    "nearest": Interpolation.NEAREST,
    "linear": Interpolation.LINEAR,
    "cubic": Interpolation.CUBIC,
    # Before opset 20:
    "bilinear": Interpolation.LINEAR,
    "bicubic": Interpolation.CUBIC,
}
_BEYOND = {"zeros": Beyond.ZEROS, "border": Beyond.BORDER, "reflection": Beyond.REFLECTION}


@rule("GridSample")
def grid_sample(node: Lowering, builder: Builder) -> View:
    """ONNX GridSample over one to three axes."""
    x, grid = node.view(0), node.view(1)
    volume = _as_volume(node, x)
    mode, beyond = node.attribute("mode", "linear"), node.attribute("padding_mode", "zeros")
    if mode not in _INTERPOLATIONS or beyond not in _BEYOND:
        raise node.refuse(f"attributes mode {mode!r} and padding_mode {beyond!r}", "use those of ONNX GridSample")
    y = builder.allocate(node.output_shape())
    batch, axes = grid.shape[0], grid.shape[-1]
    points = int(np.prod(grid.shape[1:-1], dtype=np.int64))
    target = y.reshape((*y.shape[:2], points))
    assert target is not None  # y is dense
    builder.emit(
        "sample",
        x=volume,
        grid=builder.reshape(grid, (batch, points, axes)),
        y=target,
        interpolation=_INTERPOLATIONS[mode],
        beyond=_BEYOND[beyond],
        coordinates=Coordinates.CENTRES if node.attribute("align_corners", 0) else Coordinates.EDGES,
    )
    return y


def _as_volume(node: Lowering, x: View) -> View:
    """[batch, channels, ...] with one to three spatial axes, axes of size 1 put before them to make three."""
    if not 3 <= x.rank <= 5:
        raise node.refuse(f"its input has shape {x.shape}", "one to three spatial axes are there: 3 to 5 axes")
    return x[(slice(None), slice(None), *(None,) * (5 - x.rank), ...)]


@rule("DeformConv")
def deform_conv(node: Lowering, builder: Builder) -> View:
    """ONNX DeformConv: each tap samples where the signal says; what they find is weighted by a 1 x 1 convolution."""
    x, offsets = node.view(0), node.view(2)
    volume, weights = _as_volume(node, x), Weights.of(node, builder, 1)
    rank, kernel, output = x.rank - 2, weights.shape[2:], node.output_shape()[2:]
    batch, channels = x.shape[:2]
    sets = node.attribute("offset_group", 1)
    taps, points = int(np.prod(kernel)), int(np.prod(output))
    places = builder.constant(_tap_places(node, kernel, output))  # [taps, axes, points]
    grid = apply_binary(builder, Binary.ADD, builder.reshape(offsets, (batch * sets, taps, rank, points)), places)
    found = builder.allocate((batch, channels, taps, points))
    samples = found.reshape((batch * sets, channels // sets, taps * points))
    assert samples is not None  # it is dense
    builder.emit(
        "sample",
        x=builder.reshape(volume, (batch * sets, channels // sets, *volume.shape[2:])),
        # The kernel takes the width's coordinate first, ONNX gives it last.
        grid=builder.reshape(grid[:, :, ::-1].transpose((0, 1, 3, 2)), (batch * sets, taps * points, rank)),
        y=samples,
        interpolation=Interpolation.LINEAR,
        beyond=Beyond.ZEROS,
        coordinates=Coordinates.ELEMENTS,
    )
    if node.has(4):
        mask = builder.reshape(node.view(4), (batch, sets, 1, taps, points))
        split = builder.reshape(found, (batch, sets, channels // sets, taps, points))
        found = apply_binary(builder, Binary.MUL, split, mask)
    columns = builder.reshape(found, (batch, channels * taps, 1, points))
    pointwise = weights.rearranged(lambda w: w.reshape(w.shape[0], -1, 1, 1))
    y = builder.allocate((batch, weights.shape[0], 1, points))
    window = Window((1, 1), (1, 1), (0, 0), node.attribute("group", 1))
    emit_convolution(builder, columns, pointwise, packed_bias(node, builder, 3), y, window)
    return builder.reshape(y, node.output_shape())


def _tap_places(node: Lowering, kernel: tuple[int, ...], output: tuple[int, ...]) -> np.ndarray:
    """Where taps would read without offsets, in elements: [taps, axes, points] float32."""
    rank = len(kernel)
    strides = node.attribute("strides") or [1] * rank
    dilations = node.attribute("dilations") or [1] * rank
    pads = node.attribute("pads") or [0] * (2 * rank)
    taps = np.indices(kernel).reshape(rank, -1).T[:, :, None] * np.array(dilations)[:, None]
    starts = np.indices(output).reshape(rank, -1) * np.array(strides)[:, None] - np.array(pads[:rank])[:, None]
    return (taps + starts).astype(np.float32)


@rule("RoiAlign")
def roi_align(node: Lowering, builder: Builder) -> View:
    """ONNX RoiAlign; before opset 16 coordinates are not shifted by half an element."""
    mode = node.attribute("mode", "avg")
    shift = node.attribute("coordinate_transformation_mode", "half_pixel" if node.opset >= 16 else "output_half_pixel")
    if mode not in ("avg", "max") or shift not in ("half_pixel", "output_half_pixel"):
        raise node.refuse(f"attributes mode {mode!r}, coordinate_transformation_mode {shift!r}", "use those of ONNX")
    y = builder.allocate(node.output_shape())
    builder.emit(
        "roi_align",
        x=node.view(0),
        regions=node.view(1),
        images=node.view(2),
        y=y,
        scale=float(node.attribute("spatial_scale", 1.0)),
        offset=0.5 if shift == "half_pixel" else 0.0,
        samples=node.attribute("sampling_ratio", 0),
        largest=int(mode == "max"),
    )
    return y


@rule("MaxRoiPool")
def max_roi_pool(node: Lowering, builder: Builder) -> View:
    """ONNX MaxRoiPool."""
    y = builder.allocate(node.output_shape())
    scale = float(node.attribute("spatial_scale", 1.0))
    builder.emit("max_roi_pool", x=node.view(0), regions=node.view(1), y=y, scale=scale)
    return y
