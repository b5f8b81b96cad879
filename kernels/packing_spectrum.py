"""The tables of a Fourier transform: its stages and the roots of unity that they read.

A real transform of length n goes through a complex one, of n / 2 where `halves(n)`, else of n. The complex length is
split into stages of radix 4, 2, 3, 5 and then whatever primes are left (Stockham's autosort algorithm: C. Van Loan,
Computational Frameworks for the Fast Fourier Transform, section 1.7). A stage of radix r takes n r operations, so that
a length with a large prime factor p is exact but costs n p.
"""

from __future__ import annotations

import numpy as np

from .contract import PANEL
from .errors import KernelError

HEADER_WORDS = 64
"""Floats at the start of the tables: the number of stages, then radix and groups of each."""

LONGEST = 1 << 24
"""Lengths must be exact in float32."""


def halves(n: int) -> bool:
    """Whether a real transform goes through a complex one of half its length: if n is even and long.

    A short one saves little by it, and in its sums what is a plain addition would be a turn by a root of unity, so that
    numbers which cancel would no longer do so exactly.
    """
    return n % 2 == 0 and n > 2 * PANEL


def radices(length: int) -> list[int]:
    """The radices of the stages of a complex transform; their product is `length`."""
    result = []
    for radix in (4, 2, 3, 5):
        while length % radix == 0:
            result.append(radix)
            length //= radix
    factor = 7
    while length > 1:
        if factor * factor > length:
            factor = length
        while length % factor == 0:
            result.append(factor)
            length //= factor
        factor += 2
    return result


def fft_tables(n: int) -> np.ndarray:
    """Tables for `real_fft` and `inverse_real_fft` of length n, computed in float64.

    Returns:
        float32, flat: a header of HEADER_WORDS; where `halves(n)` cos and sin of 2 pi k / n, each [n / 2]; then for
        each stage of radix r, span s (the product of the radices before it) and g groups (complex length / r / s)
        the twiddle factors exp(-2 pi i j p / (r g)) for j in 1 .. r - 1, each real [c], imaginary [c],
        with c = g where s >= PANEL, else c = s g with every p repeated s times; then cos [r] and sin [r] of 2 pi j / r.

    Raises:
        KernelError: n is below 1 or above LONGEST.
    """
    _check(n)
    length = n // 2 if halves(n) else n
    parts = []
    if halves(n):
        angles = 2 * np.pi * np.arange(length) / n
        parts += [np.cos(angles), np.sin(angles)]
    return _tables(length, parts)


def complex_fft_tables(n: int) -> np.ndarray:
    """Tables for `complex_fft` of length n, as `fft_tables` has them without the part for halved lengths.

    Raises:
        KernelError: n is below 1 or above LONGEST.
    """
    _check(n)
    return _tables(n, [])


def _check(n: int) -> None:
    if not 1 <= n <= LONGEST:
        raise KernelError(f"a Fourier transform of length {n}; 1 to {LONGEST} is possible")


def _tables(length: int, before: list[np.ndarray]) -> np.ndarray:
    """The header and, behind what comes before, the stages of a complex transform."""
    stages = radices(length)
    header = np.zeros(HEADER_WORDS)
    header[0] = len(stages)
    parts = [header, *before]
    span = 1
    for index, radix in enumerate(stages):
        groups = length // radix // span
        header[1 + 2 * index : 3 + 2 * index] = radix, groups
        p = np.arange(groups) if span >= PANEL else np.repeat(np.arange(groups), span)
        for j in range(1, radix):
            angles = 2 * np.pi * j * p / (radix * groups)
            parts += [np.cos(angles), -np.sin(angles)]
        angles = 2 * np.pi * np.arange(radix) / radix
        parts += [np.cos(angles), np.sin(angles)]
        span *= radix
    return np.concatenate(parts).astype(np.float32)
