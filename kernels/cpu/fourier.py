"""The complex Fourier transform inside the native spectra: Stockham's algorithm over two planes and two buffers.

With span s (the product of the radices before), r the radix and g groups, a stage takes for each i = s p + q

    target[q + s (r p + j)] = exp(-2 pi i j p / (r g)) * sum over l of exp(-2 pi i j l / r) source[i + l s g]

Reads are contiguous over i. Where s is at least PANEL so are writes; where s divides PANEL, PANEL neighbours are
interleaved in registers. The last vector of a row overlaps the one before: a stage never writes what it reads.
Everything else (short transforms, spans such as 3 and 6) goes one number at a time, with the same operations; radices
above 5 straight from the definition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

from ..contract import PANEL
from ..packing_spectrum import HEADER_WORDS
from .fourier_vectors import stage_block
from .memory import float_pointer

HEADER_BYTES = 4 * HEADER_WORDS

_PANEL = PANEL


def rounded(function: Callable[..., Any]) -> Any:
    """Make a function for native code whose operations are rounded one by one, whatever its caller lets LLVM do.

    Numbers that cancel in a transform do so to the last bit, and a transform has the same bits on every machine.
    """
    return njit(error_model="numpy", fastmath=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


_wide_2, _wide_3, _wide_4, _wide_5 = (stage_block(radix, 0) for radix in (2, 3, 4, 5))
_first_4 = stage_block(4, 1)
_next_2, _next_3, _next_4, _next_5 = (stage_block(radix, 4) for radix in (2, 3, 4, 5))
_third_3, _third_5 = (stage_block(radix, 8) for radix in (3, 5))
_one_2, _one_3, _one_4, _one_5 = (stage_block(radix, 0, width=1) for radix in (2, 3, 4, 5))


@rounded
def _wide_stage(source, target, plane, twiddles, radix, span, groups):
    """A stage of radix 2 to 5 whose span is at least PANEL."""
    step, spread, column = 4 * span * groups, 4 * span, 4 * groups
    for p in range(groups):
        for start in range(0, span, _PANEL):
            q = 4 * min(start, span - _PANEL)
            x, y, factors = source + p * spread + q, target + p * radix * spread + q, twiddles + 4 * p
            if radix == 4:
                _wide_4(x, step, y, spread, plane, factors, column)
            elif radix == 2:
                _wide_2(x, step, y, spread, plane, factors, column)
            elif radix == 3:
                _wide_3(x, step, y, spread, plane, factors, column)
            else:
                _wide_5(x, step, y, spread, plane, factors, column)


@njit(inline="always")
def _can_interleave(radix, span):
    return (radix == 4 and span == 1) or span == 4 or (span == 8 and (radix == 3 or radix == 5))


@rounded
def _interleaved_stage(source, target, plane, twiddles, radix, span, groups):
    """A stage of which `_can_interleave` is true."""
    count = span * groups
    step = 4 * count
    for start in range(0, count, _PANEL):
        i = 4 * min(start, count - _PANEL)
        x, y, factors = source + i, target + radix * i, twiddles + i
        if span == 1:
            _first_4(x, step, y, 0, plane, factors, step)
        elif span == 8:
            if radix == 3:
                _third_3(x, step, y, 0, plane, factors, step)
            else:
                _third_5(x, step, y, 0, plane, factors, step)
        elif radix == 4:
            _next_4(x, step, y, 0, plane, factors, step)
        elif radix == 2:
            _next_2(x, step, y, 0, plane, factors, step)
        elif radix == 3:
            _next_3(x, step, y, 0, plane, factors, step)
        else:
            _next_5(x, step, y, 0, plane, factors, step)


@rounded
def _narrow_stage(source, target, plane, twiddles, radix, span, groups):
    """A stage of radix 2 to 5 whose span is below PANEL, one number at a time."""
    step, spread = 4 * span * groups, 4 * span
    for p in range(groups):
        for q in range(span):
            i = 4 * (p * span + q)
            x, y, factors = source + i, target + 4 * (p * radix * span + q), twiddles + i
            if radix == 4:
                _one_4(x, step, y, spread, plane, factors, step)
            elif radix == 2:
                _one_2(x, step, y, spread, plane, factors, step)
            elif radix == 3:
                _one_3(x, step, y, spread, plane, factors, step)
            else:
                _one_5(x, step, y, spread, plane, factors, step)


@rounded
def _plain_stage(source, target, plane, twiddles, radix, span, groups):
    """Any stage, straight from its definition; sums are in float64, of which a large radix has need."""
    count = span * groups
    columns = groups if span >= _PANEL else count
    factors = float_pointer(twiddles)
    roots = float_pointer(twiddles + 8 * (radix - 1) * columns)
    source_real, source_imaginary = float_pointer(source), float_pointer(source + plane)
    target_real, target_imaginary = float_pointer(target), float_pointer(target + plane)
    for p in range(groups):
        for q in range(span):
            i = p * span + q
            column = p if span >= _PANEL else i
            for j in range(radix):
                real, imaginary, turn = 0.0, 0.0, 0
                for l in range(radix):  # noqa: E741
                    cosine, sine = roots[turn], roots[radix + turn]
                    a, b = source_real[i + l * count], source_imaginary[i + l * count]
                    real += float(cosine) * a + float(sine) * b
                    imaginary += float(cosine) * b - float(sine) * a
                    turn += j
                    if turn >= radix:
                        turn -= radix
                place = q + span * (radix * p + j)
                if j == 0:
                    target_real[place], target_imaginary[place] = real, imaginary
                else:
                    c, s = factors[2 * (j - 1) * columns + column], factors[(2 * j - 1) * columns + column]
                    target_real[place] = real * c - imaginary * s
                    target_imaginary[place] = real * s + imaginary * c


@rounded
def complex_transform(source, target, plane, header, twiddles):
    """Transform the planes at `source`; `target` is a second buffer of the same size. Both are overwritten.

    Args: addresses of the buffers; bytes from the real to the imaginary plane; the header of `fft_tables`; its stages.

    Returns:
        The address of the buffer that holds the result.
    """
    words = float_pointer(header)
    span = 1
    for index in range(int(words[0])):
        radix, groups = int(words[1 + 2 * index]), int(words[2 + 2 * index])
        if radix > 5:
            _plain_stage(source, target, plane, twiddles, radix, span, groups)
        elif span >= _PANEL:
            _wide_stage(source, target, plane, twiddles, radix, span, groups)
        elif span * groups >= _PANEL and _can_interleave(radix, span):
            _interleaved_stage(source, target, plane, twiddles, radix, span, groups)
        else:
            _narrow_stage(source, target, plane, twiddles, radix, span, groups)
        columns = groups if span >= _PANEL else span * groups
        twiddles += 8 * ((radix - 1) * columns + radix)
        span *= radix
        source, target = target, source
    return source
