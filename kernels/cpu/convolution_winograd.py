"""Native `conv_winograd`: 3x3 convolution of stride 1 by Winograd's F(4x4, 3x3), for images with many channels.

A quarter of the multiplications of `conv_wide`. Blocks of tiles go through three stages, so that what lies between
stays in the second cache: the input of all channels is transformed to 36 planes, the planes are multiplied by the
transformed kernels, 32 output channels at a time, and the products are transformed back. Tiles are counted
through rows and images, so that narrow images fill vectors too; what a vector holds beyond its row is overwritten by
the next row or never read.

Bound by the products from about 32 channels on, by the transforms below.

    x     [batch, channels, height, width]  contiguous rows
    y     [batch, output channels, height, width]  contiguous rows

Source: `kernels.winograd`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from .. import winograd
from ..contract import PANEL, Context
from ..opcodes import Activation
from ..schemas.activation import ACTIVATION
from ..schemas.convolution import CONV_WINOGRAD
from .activation import activate, floor_of, is_stored, leak_of
from .memory import bits_to_float, float_pointer, locate, locate_constant
from .native import device, native
from .taps import quotient
from .vectors import load, stack_floats, store_first
from .winograd_vectors import (
    PRODUCT_SHAPES,
    column_lines,
    leaky_rows,
    line_planes,
    output_rows,
    products,
    window_lines,
)

_LANES = int(Context.LANES)
_P = CONV_WINOGRAD.positions()
_X, _WEIGHTS, _BIAS, _Y, _SCRATCH = _P["x"], _P["weights"], _P["bias"], _P["y"], _P["scratch"]
_GROUPS, _PAD_TOP, _PAD_LEFT = _P["groups"], _P["pad_top"], _P["pad_left"]
_CODE, _ALPHA, _BETA, _SLOPE = (_P[field.name] for field in ACTIVATION)
_PRELU, _LEAKY_RELU = int(Activation.PRELU), int(Activation.LEAKY_RELU)
_ZERO = np.float32(0)

_TILE, _REACH, _PLANES = winograd.TILE, winograd.REACH, winograd.PLANES
_ROW_BLOCK, _GROUP_BLOCKS = winograd.ROW_BLOCK, winograd.GROUP_BLOCKS
_SPAN = _TILE * PANEL
"""Columns of 16 tiles."""
_SQUARE = _TILE * _SPAN

_count_tiles = njit(inline="always")(winograd.count_tiles)
_block_tiles = njit(inline="always")(winograd.block_tiles)
_plane_floats = njit(inline="always")(winograd.plane_floats)
_line_floats = njit(inline="always")(winograd.line_floats)

_ROWS = PRODUCT_SHAPES[0][0]
_WIDEST = PRODUCT_SHAPES[0][1]
_product_one = products[_ROWS, 1]
_product_two = products.get((_ROWS, 2), _product_one)
_product_three = products.get((_ROWS, 3), _product_one)


class Image(NamedTuple):
    """One group of channels of a batch; steps in float32 elements."""

    inputs: int
    outputs: int
    across: int
    """Tiles of a row."""
    down: int
    """Rows of tiles of an image."""
    tiles: int
    """Of the whole batch."""
    block: int
    """Tiles of a block: from channel to channel."""
    line: int
    x_plane: int
    y_plane: int


class Buffers(NamedTuple):
    """Addresses for one group; `bias` may be 0."""

    x: int
    weights: int
    bias: int
    slopes: int
    y: int
    lines: int
    inputs: int
    products: int


@device
def _transform_row(o, image, buffers, x, row, column, tiles, target):
    """One channel of `tiles` tiles in a row; x is the address of the channel, row and column where they start."""
    whole = row >= 0 and row + _REACH <= o[_X + 3]
    for v in range(0, _TILE * tiles + 2, PANEL):
        at, lines = column + v, buffers.lines + 4 * v
        if whole and at >= 0 and at + PANEL <= o[_X + 4]:
            column_lines(x + 4 * (row * o[_X + 7] + at), o[_X + 7], lines, image.line)
        else:
            window_lines(x, o[_X + 7], row, o[_X + 3], at, o[_X + 4], lines, image.line)
    for v in range(0, tiles, PANEL):
        line_planes(buffers.lines + 4 * _TILE * v, image.line, target + 4 * v, image.x_plane)


@device
def _transform_inputs(o, image, buffers, first, count):
    """All channels of `count` tiles from the tile `first` on, to the planes: channels in order, rows in order."""
    first_band = quotient(first, image.across)  # rows of tiles before this one, of all images
    first_image = quotient(first_band, image.down)
    for c in range(image.inputs):
        n, down, left = first_image, first_band - first_image * image.down, first - first_band * image.across
        done = 0
        while done < count:
            tiles = min(image.across - left, count - done)
            x = buffers.x + 4 * (n * o[_X + 5] + c * o[_X + 6])
            row, column = _TILE * down - o[_PAD_TOP], _TILE * left - o[_PAD_LEFT]
            _transform_row(o, image, buffers, x, row, column, tiles, buffers.inputs + 4 * (c * image.block + done))
            done += tiles
            left = 0
            down += 1
            if down == image.down:
                down = 0
                n += 1


@device
def _multiply(image, buffers, weights, blocks, count):
    """The products of `blocks` blocks of output channels and `count` tiles, in all planes."""
    vectors = -(-count // PANEL)
    inner, row = image.inputs, image.block
    for plane in range(_PLANES):
        for b in range(blocks):
            w = weights + 4 * (plane * blocks + b) * inner * _ROW_BLOCK
            for r in range(0, _ROW_BLOCK, _ROWS):
                x = buffers.inputs + 4 * plane * image.x_plane
                y = buffers.products + 4 * (plane * image.y_plane + (b * _ROW_BLOCK + r) * row)
                left = vectors
                while left > 0:
                    # Two of two rather than three and one, which would starve.
                    wide = 2 if left == 4 else left
                    if wide >= _WIDEST:
                        wide = _WIDEST
                    if wide == 3:
                        _product_three(w + 4 * r, x, row, inner, y, row)
                    elif wide == 2:
                        _product_two(w + 4 * r, x, row, inner, y, row)
                    else:
                        _product_one(w + 4 * r, x, row, inner, y, row)
                    left -= wide
                    x += 4 * PANEL * wide
                    y += 4 * PANEL * wide


@device
def _transform_outputs(o, image, buffers, channel, channels, first, count):
    """`channels` output channels from `channel` on of `count` tiles from the tile `first` on, to y."""
    block = stack_floats(_SQUARE)
    code, alpha, beta = o[_CODE], np.float32(bits_to_float(o[_ALPHA])), np.float32(bits_to_float(o[_BETA]))
    leak, floor, stored = leak_of(code, alpha), floor_of(code), is_stored(code)
    leaks = code in (_LEAKY_RELU, _PRELU)
    bias, slopes = float_pointer(buffers.bias), float_pointer(buffers.slopes)
    tile, end = first, first + count
    while tile < end:
        band = quotient(tile, image.across)
        n = quotient(band, image.down)
        left = tile - band * image.across
        top, column = _TILE * (band - n * image.down), _TILE * left
        tiles = min(image.across - left, end - tile)
        rows = min(_TILE, o[_Y + 3] - top)
        for c in range(channels):
            start = _ZERO if buffers.bias == 0 else bias[channel + c]
            leak = slopes[channel + c] if code == _PRELU else leak
            source = buffers.products + 4 * (c * image.block + tile - first)
            y = buffers.y + 4 * (n * o[_Y + 5] + (channel + c) * o[_Y + 6] + top * o[_Y + 7] + column)
            for v in range(0, tiles, PANEL):
                at, done = y + 4 * _TILE * v, source + 4 * v
                columns = min(_TILE * min(tiles - v, PANEL), o[_Y + 4] - column - _TILE * v)
                whole = rows == _TILE and columns == _SPAN and stored
                place, step = (at, o[_Y + 7]) if whole else (block, _SPAN)
                if leaks:
                    leaky_rows(done, image.y_plane, start, floor, place, step, leak)
                else:
                    output_rows(done, image.y_plane, start, floor, place, step)
                if whole:
                    continue
                if not stored:
                    activate(block, _TILE * _SPAN // PANEL, code, alpha, beta)
                for i in range(rows):
                    for j in range(0, columns, PANEL):
                        values = load(float_pointer(block + 4 * (i * _SPAN + j)))
                        store_first(float_pointer(at + 4 * (i * o[_Y + 7] + j)), values, min(PANEL, columns - j))
        tile += tiles


@device
def _group(o, image, buffers):
    """One group of channels of all images: block by block of tiles."""
    for first in range(0, image.tiles, image.block):
        count = min(image.block, image.tiles - first)
        _transform_inputs(o, image, buffers, first, count)
        weights, step = buffers.weights, _GROUP_BLOCKS * _ROW_BLOCK
        for channel in range(0, image.outputs, step):
            channels = min(step, image.outputs - channel)
            blocks = -(-channels // _ROW_BLOCK)
            _multiply(image, buffers, weights, blocks, count)
            _transform_outputs(o, image, buffers, channel, channels, first, count)
            weights += 4 * _PLANES * blocks * _ROW_BLOCK * image.inputs


@device
def _image(o):
    inputs, outputs = quotient(o[_X + 2], o[_GROUPS]), quotient(o[_Y + 2], o[_GROUPS])
    across, down = _count_tiles(o[_Y + 4]), _count_tiles(o[_Y + 3])
    tiles = o[_Y + 1] * down * across
    block = _block_tiles(tiles, inputs, outputs)
    rows = min(-(-outputs // _ROW_BLOCK), _GROUP_BLOCKS) * _ROW_BLOCK
    x_plane, y_plane = _plane_floats(inputs, block), _plane_floats(rows, block)
    return Image(inputs, outputs, across, down, tiles, block, _line_floats(block), x_plane, y_plane)


@native
def conv_winograd(operands, context):
    """y = activation(conv(x, weights) + bias)."""
    o = operands
    image = _image(o)
    weights = locate_constant(o, _WEIGHTS, context)
    bias = locate_constant(o, _BIAS, context)
    slopes = locate_constant(o, _SLOPE, context)
    group_weights = -(-image.outputs // _ROW_BLOCK) * _ROW_BLOCK * _PLANES * image.inputs
    for lane in range(context[_LANES]):
        lines = locate(o, _SCRATCH, context, lane)
        planes = lines + 4 * _REACH * image.line
        for g in range(o[_GROUPS]):
            first = g * image.outputs
            buffers = Buffers(
                locate(o, _X, context, lane) + 4 * g * image.inputs * o[_X + 6],
                weights + 4 * g * group_weights,
                bias + 4 * first if bias != 0 else 0,
                slopes + 4 * first,
                locate(o, _Y, context, lane) + 4 * first * o[_Y + 6],
                lines,
                planes,
                planes + 4 * _PLANES * image.x_plane,
            )
            _group(o, image, buffers)
