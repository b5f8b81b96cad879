"""Native Fourier transforms; real signals of long even length go through a complex transform of half the length.

Rows of any length and any stride from one to the next: signals [rows, n], contiguous; spectra and complex signals
[rows, n, 2], (real, imaginary) side by side.

Bound by the loads and stores of each pass, which stay in the first-level cache up to some 4000 points.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..contract import PANEL, Context
from ..packing_spectrum import halves
from ..schemas.spectrum import COMPLEX_FFT, INVERSE_REAL_FFT, REAL_FFT
from .fourier import HEADER_BYTES, complex_transform, rounded
from .fourier_vectors import half_length_bins, join_pairs, real_bins, split_pairs
from .memory import float_pointer, locate
from .native import native

_LANES = int(Context.LANES)
_PANEL = PANEL
_halves = njit(inline="always")(halves)
_REAL = REAL_FFT.positions()
_REAL_X, _REAL_TABLES, _REAL_Y, _REAL_SCRATCH = (_REAL[name] for name in ("x", "tables", "y", "scratch"))
_INVERSE = INVERSE_REAL_FFT.positions()
_INVERSE_X, _INVERSE_TABLES, _INVERSE_Y, _INVERSE_SCRATCH = (_INVERSE[n] for n in ("x", "tables", "y", "scratch"))
_COMPLEX = COMPLEX_FFT.positions()
_COMPLEX_X, _COMPLEX_TABLES, _COMPLEX_Y, _COMPLEX_INVERSE, _COMPLEX_SCRATCH = (
    _COMPLEX[name] for name in ("x", "tables", "y", "inverse", "scratch")
)


@njit(inline="always")
def _split(source, real, imaginary, count):
    """`count` pairs to two planes."""
    if count < _PANEL:
        x, a, b = float_pointer(source), float_pointer(real), float_pointer(imaginary)
        for i in range(count):
            a[i], b[i] = x[2 * i], x[2 * i + 1]
    else:
        for start in range(0, count, _PANEL):
            i = min(start, count - _PANEL)
            split_pairs(source + 8 * i, real + 4 * i, imaginary + 4 * i)


@njit(inline="always")
def _join(real, imaginary, target, count):
    """Two planes to `count` pairs."""
    if count < _PANEL:
        y, a, b = float_pointer(target), float_pointer(real), float_pointer(imaginary)
        for i in range(count):
            y[2 * i], y[2 * i + 1] = a[i], b[i]
    else:
        for start in range(0, count, _PANEL):
            i = min(start, count - _PANEL)
            join_pairs(real + 4 * i, imaginary + 4 * i, target + 8 * i)


@njit(inline="always")
def _copy_pairs(source, source_step, target, target_step, target_part, count):
    """Pairs that are `step` floats apart; the target's imaginary parts lie `target_part` behind the real ones."""
    x, y, z = float_pointer(source), float_pointer(target), float_pointer(target + 4 * target_part)
    for i in range(count):
        y[i * target_step] = x[i * source_step]
        z[i * target_step] = x[i * source_step + 1]


@rounded
def _bins(spectrum, length, cosines, target):
    """The length + 1 pairs of a real transform from the complex one of half its length, in planes."""
    z, y = float_pointer(spectrum), float_pointer(target)
    plane, sines = 4 * length, cosines + 4 * length
    y[0], y[1] = z[0] + z[length], 0.0
    y[2 * length], y[2 * length + 1] = z[0] - z[length], 0.0
    for start in range(1, length, _PANEL):
        k = min(start, length - _PANEL)
        behind = spectrum + 4 * (length - k - _PANEL + 1)
        real_bins(spectrum + 4 * k, behind, plane, cosines + 4 * k, sines + 4 * k, target + 8 * k)


@rounded
def _half_length(source, length, cosines, scale_at, real, imaginary):
    """The complex transform of half the length, times 2 * scale, in planes, from length + 1 pairs."""
    x, a, b = float_pointer(source), float_pointer(real), float_pointer(imaginary)
    sines, scale = cosines + 4 * length, float_pointer(scale_at)[0]
    a[0], b[0] = (x[0] + x[2 * length]) * scale, (x[0] - x[2 * length]) * scale
    for start in range(1, length, _PANEL):
        k = min(start, length - _PANEL)
        behind = source + 8 * (length - k - _PANEL + 1)
        half_length_bins(
            source + 8 * k, behind, cosines + 4 * k, sines + 4 * k, scale_at, real + 4 * k, imaginary + 4 * k
        )


@njit(inline="always")
def _lower_bins(spectrum, length, y, step, part):
    """The length // 2 + 1 pairs that lie in planes; those that are real have an imaginary part of 0."""
    z, real, imaginary = float_pointer(spectrum), float_pointer(y), float_pointer(y + 4 * part)
    real[0], imaginary[0] = z[0], 0.0
    for k in range(1, length // 2 + 1):
        real[k * step], imaginary[k * step] = z[k], z[length + k]
    if length % 2 == 0:
        imaginary[length // 2 * step] = 0.0


@rounded
def _forward(x, tables, y, step, part, scratch, n):
    """One row of n samples; `step` is the distance of y's pairs in floats, `part` that of the two of a pair."""
    halved = _halves(n)
    length = n // 2 if halved else n
    plane = 4 * length
    cosines = tables + HEADER_BYTES
    stages = cosines
    if halved:
        stages += 2 * plane
        _split(x, scratch, scratch + plane, length)
    else:
        source, real, imaginary = float_pointer(x), float_pointer(scratch), float_pointer(scratch + plane)
        for i in range(length):
            real[i], imaginary[i] = source[i], 0.0
    spectrum = complex_transform(scratch, scratch + 2 * plane, plane, tables, stages)
    if halved:
        direct = step == 2 and part == 1
        target = y if direct else scratch + 4 * plane
        _bins(spectrum, length, cosines, target)
        if not direct:
            _copy_pairs(target, 2, y, step, part, length + 1)
    else:
        _lower_bins(spectrum, length, y, step, part)


@native
def real_fft(operands, context):
    """`reference.spectrum.real_fft`, row by row."""
    n, step, part = operands[_REAL_X + 2], operands[_REAL_Y + 5], operands[_REAL_Y + 6]
    tables = locate(operands, _REAL_TABLES, context, 0)
    for lane in range(context[_LANES]):
        x = locate(operands, _REAL_X, context, lane)
        y = locate(operands, _REAL_Y, context, lane)
        scratch = locate(operands, _REAL_SCRATCH, context, lane)
        for row in range(operands[_REAL_X + 1]):
            source, target = x + 4 * row * operands[_REAL_X + 3], y + 4 * row * operands[_REAL_Y + 4]
            _forward(source, tables, target, step, part, scratch, n)


@njit(inline="always")
def _whole_spectrum(x, step, length, real_at, imaginary_at):
    """All `length` bins, in planes, from the lower half."""
    source, real, imaginary = float_pointer(x), float_pointer(real_at), float_pointer(imaginary_at)
    real[0], imaginary[0] = source[0], 0.0
    for k in range(1, (length + 1) // 2):
        a, b = source[k * step], source[k * step + 1]
        real[k], imaginary[k] = a, b
        real[length - k], imaginary[length - k] = a, -b
    if length % 2 == 0:
        real[length // 2], imaginary[length // 2] = source[length // 2 * step], 0.0


@rounded
def _inverse(x, step, tables, y, scratch, n):
    """One row to n samples. With its planes swapped, a forward transform is an inverse one."""
    halved = _halves(n)
    length = n // 2 if halved else n
    plane = 4 * length
    cosines = tables + HEADER_BYTES
    stages = cosines
    if halved:
        stages += 2 * plane
        pairs, free = x, scratch + 4 * plane
        if step != 2:
            pairs = free
            _copy_pairs(x, step, pairs, 2, 1, length + 1)
        scale_at = free + 8 * (length + 1)
        float_pointer(scale_at)[0] = 1.0 / n
        _half_length(pairs, length, cosines, scale_at, scratch + plane, scratch)
    else:
        _whole_spectrum(x, step, length, scratch + plane, scratch)
    signal = complex_transform(scratch, scratch + 2 * plane, plane, tables, stages)
    if halved:
        _join(signal + plane, signal, y, length)
    else:
        z, target, scale = float_pointer(signal + plane), float_pointer(y), np.float32(1.0 / n)
        for i in range(length):
            target[i] = z[i] * scale


@native
def inverse_real_fft(operands, context):
    """`reference.spectrum.inverse_real_fft`, row by row."""
    n, step = operands[_INVERSE_Y + 2], operands[_INVERSE_X + 5]
    tables = locate(operands, _INVERSE_TABLES, context, 0)
    for lane in range(context[_LANES]):
        x = locate(operands, _INVERSE_X, context, lane)
        y = locate(operands, _INVERSE_Y, context, lane)
        scratch = locate(operands, _INVERSE_SCRATCH, context, lane)
        for row in range(operands[_INVERSE_X + 1]):
            source, target = x + 4 * row * operands[_INVERSE_X + 4], y + 4 * row * operands[_INVERSE_Y + 3]
            _inverse(source, step, tables, target, scratch, n)


@rounded
def _complex(x, x_step, tables, y, y_step, inverse, scratch, n):
    """One row of n pairs, `step` floats apart. With its planes swapped, a forward transform is an inverse one."""
    plane = 4 * n
    real, imaginary = (scratch + plane, scratch) if inverse else (scratch, scratch + plane)
    if x_step == 2:
        _split(x, real, imaginary, n)
    else:
        source, a, b = float_pointer(x), float_pointer(real), float_pointer(imaginary)
        for i in range(n):
            a[i], b[i] = source[i * x_step], source[i * x_step + 1]
    result = complex_transform(scratch, scratch + 2 * plane, plane, tables, tables + HEADER_BYTES)
    real, imaginary = (result + plane, result) if inverse else (result, result + plane)
    if y_step == 2 and not inverse:
        _join(real, imaginary, y, n)
    else:
        scale = np.float32(1.0 / n) if inverse else np.float32(1.0)
        target, a, b = float_pointer(y), float_pointer(real), float_pointer(imaginary)
        for i in range(n):
            target[i * y_step], target[i * y_step + 1] = a[i] * scale, b[i] * scale


@native
def complex_fft(operands, context):
    """`reference.spectrum.complex_fft`, row by row."""
    o = operands
    tables = locate(o, _COMPLEX_TABLES, context, 0)
    for lane in range(context[_LANES]):
        x, y = locate(o, _COMPLEX_X, context, lane), locate(o, _COMPLEX_Y, context, lane)
        scratch = locate(o, _COMPLEX_SCRATCH, context, lane)
        for row in range(o[_COMPLEX_X + 1]):
            source, target = x + 4 * row * o[_COMPLEX_X + 4], y + 4 * row * o[_COMPLEX_Y + 4]
            inverse = o[_COMPLEX_INVERSE] == 1
            _complex(source, o[_COMPLEX_X + 5], tables, target, o[_COMPLEX_Y + 5], inverse, scratch, o[_COMPLEX_X + 2])
