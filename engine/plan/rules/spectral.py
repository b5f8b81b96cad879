"""Fourier transforms of ONNX: DFT along any axis, and STFT."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....kernels.opcodes import Binary, Unary
from ....kernels.packing_spectrum import complex_fft_tables, fft_tables
from ..builder import Builder, loop_views
from ..carriers import FLOAT64
from ..view import View
from .elementwise import apply_binary
from .products import multiply
from .registry import Lowering, rule


@rule("DFT", shaping=(1, 2))
def dft(node: Lowering, builder: Builder) -> View:
    """ONNX DFT: the axis is an attribute below opset 20, an input later; the last axis is (real[, imaginary])."""
    x = node.view(0)
    axis = (node.argument(2, "axis", -2) if node.opset >= 20 else node.attribute("axis", 1)) % x.rank
    inverse, onesided = bool(node.attribute("inverse", 0)), bool(node.attribute("onesided", 0))
    last = [a for a in range(x.rank - 1) if a != axis] + [axis, x.rank - 1]
    turned = x.transpose(last)
    size = turned.shape[-2]
    length = int(node.argument(1, "dft_length", 2 * (size - 1) if inverse and onesided else size))
    turned = _fitted(builder, turned, length // 2 + 1 if inverse and onesided else length)
    if x.dtype == FLOAT64:
        y = _by_definition(builder, turned, length, inverse=inverse, onesided=onesided)
    elif inverse and onesided:
        y = _real_signal(builder, _with_imaginary(builder, turned), length)
    elif turned.shape[-1] == 1 and not inverse:
        y = _real_spectrum(builder, turned[..., 0], onesided=onesided)
    else:
        y = _complex(builder, _with_imaginary(builder, turned), inverse=inverse)
        y = y[..., : length // 2 + 1, :] if onesided else y
    return y.transpose([last.index(a) for a in range(x.rank)])


@rule("STFT", shaping=(1, 3))
def stft(node: Lowering, builder: Builder) -> View:
    """ONNX STFT: frames are a strided view of the signal; with a window they are written once, multiplied by it."""
    x = node.view(0)
    step = int(node.argument(1, "frame_step"))
    window = node.view(2) if node.has(2) else None
    length = int(node.argument(3, "frame_length", window.shape[0] if window is not None else x.shape[1]))
    if x.rank == 2:
        x = x[..., None]
    frames = x.strided(
        x.offset,
        (x.shape[0], (x.shape[1] - length) // step + 1, length, x.shape[2]),
        (x.strides[0], step * x.strides[1], *x.strides[1:]),
    )
    if window is not None:
        frames = apply_binary(builder, Binary.MUL, frames, window[:, None])
    onesided = bool(node.attribute("onesided", 1))
    if x.dtype == FLOAT64:
        return _by_definition(builder, frames, length, inverse=False, onesided=onesided)
    if frames.shape[-1] == 1:
        return _real_spectrum(builder, frames[..., 0], onesided=onesided)
    y = _complex(builder, frames, inverse=False)
    return y[..., : length // 2 + 1, :] if onesided else y


def _fitted(builder: Builder, x: View, size: int) -> View:
    """x with its last axis but one cut off, or filled up with zeros, to a size."""
    missing = size - x.shape[-2]
    if missing <= 0:
        return x[..., :size, :]
    y = builder.allocate((*x.shape[:-2], size, x.shape[-1]), dtype=x.dtype)
    builder.copy(x, y[..., : x.shape[-2], :])
    builder.fill(y[..., x.shape[-2] :, :], 0.0)
    return y


def _with_imaginary(builder: Builder, x: View) -> View:
    """[..., n, 1 or 2] as pairs; the imaginary parts of real numbers are zeros."""
    if x.shape[-1] == 2:
        return x
    y = builder.allocate((*x.shape[:-1], 2))
    builder.copy(x, y[..., :1])
    builder.fill(y[..., 1:], 0.0)
    return y


def _rows(builder: Builder, x: View, axes: int) -> View:
    """x with all but its last axes merged to one."""
    return builder.reshape(x, (int(np.prod(x.shape[: x.rank - axes], dtype=np.int64)), *x.shape[x.rank - axes :]))


def _real_spectrum(builder: Builder, x: View, *, onesided: bool) -> View:
    """[..., n] -> [..., n // 2 + 1 or n, 2]; the upper half is the mirrored conjugate of the lower."""
    length = x.shape[-1]
    bins = length // 2 + 1
    y = builder.allocate((*x.shape[:-1], bins if onesided else length, 2))
    rows = _rows(builder, y, 2)
    tables = builder.constant(fft_tables(length))
    builder.emit("real_fft", x=_rows(builder, x, 1), tables=tables, y=rows[:, :bins])
    if not onesided and length > bins:
        lower, upper = rows[:, length - bins : 0 : -1], rows[:, bins:]
        builder.copy(lower[..., 0], upper[..., 0])
        source, target = loop_views(lower[..., 1], upper[..., 1])
        builder.emit("unary", operator=Unary.NEG, alpha=0.0, beta=0.0, x=source, y=target)
    return y


def _real_signal(builder: Builder, x: View, length: int) -> View:
    """[..., length // 2 + 1, 2] -> [..., length, 1]."""
    y = builder.allocate((*x.shape[:-2], length, 1))
    tables = builder.constant(fft_tables(length))
    target = _rows(builder, y[..., 0], 1)
    builder.emit("inverse_real_fft", x=_rows(builder, x, 2), tables=tables, y=target)
    return y


def _complex(builder: Builder, x: View, *, inverse: bool) -> View:
    """[..., n, 2] -> [..., n, 2]."""
    y = builder.allocate(x.shape)
    tables = builder.constant(complex_fft_tables(x.shape[-2]))
    builder.emit("complex_fft", x=_rows(builder, x, 2), tables=tables, y=_rows(builder, y, 2), inverse=int(inverse))
    return y


def _by_definition(builder: Builder, x: View, length: int, *, inverse: bool, onesided: bool) -> View:
    """A transform in float64 as one matrix product: [..., size, 1 or 2] -> [..., bins, 1 or 2]."""
    matrix = _transform_matrix(x.shape[-2:], length, inverse=inverse, onesided=onesided)
    flat = builder.reshape(x, (*x.shape[:-2], -1)) if x.rank > 1 else x
    y = multiply(builder, flat, builder.constant(matrix.reshape(flat.shape[-1], -1)), FLOAT64)
    return builder.reshape(y, (*x.shape[:-2], *matrix.shape[2:]))


def _transform_matrix(size: Sequence[int], length: int, *, inverse: bool, onesided: bool) -> np.ndarray:
    """What each input contributes to each output: [size, 1 or 2, bins, 1 or 2] float64."""
    count, parts = size
    bins = length // 2 + 1 if onesided and not inverse else length
    turns = np.outer(np.arange(count), np.arange(bins)) % length
    roots = np.exp((2j if inverse else -2j) * np.pi * turns / length)
    if inverse:
        roots /= length
    if inverse and onesided:
        mirrored = (np.arange(count) > 0) & (2 * np.arange(count) != length)
        roots *= np.where(mirrored, 2, 1)[:, None]
    both = np.stack([roots, 1j * roots], 1)[:, :parts]
    result = np.stack([both.real, both.imag], -1)
    return result[..., :1] if inverse and onesided else result
