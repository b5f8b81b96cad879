"""Convolutions of stride 2 with 5 or 6 taps as convolutions of stride 1 with 3 taps, which Winograd makes cheap.

Output i reads inputs 2 i + k - pad. With k - pad = 2 t + phase, these are the elements i + t of every second row, from
the first or the second on. So the four phases of an image, two along each axis, are four times as many channels of an
image half as large, and each has at most three taps along an axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from ....kernels import packing_winograd
from ..builder import Builder
from ..view import View

_PHASES = 2
_TAPS = 3


@dataclass(frozen=True)
class Phased:
    """What takes the place of a strided convolution's operands."""

    x: View
    """[batch, 4 channels, height / 2, width / 2]: phase by phase."""
    weights: np.ndarray
    """[output channels, 4 channels, 3, 3]."""
    pad: tuple[int, int]


def phased(
    builder: Builder, x: View, weights: np.ndarray, y: View, stride: tuple[int, ...], pad: tuple[int, ...]
) -> Phased | None:
    """The operands of stride 1, where they are worth the copy of x; else None.

    Args:
        x: [batch, channels, height, width]; of a convolution of one group, without dilation.
        weights: [output channels, channels, kernel height, kernel width].
        y: [batch, output channels, output height, output width].
    """
    kernel = weights.shape[2:]
    fits = all(_TAPS * _PHASES - 1 <= k <= _TAPS * _PHASES - p % _PHASES for k, p in zip(kernel, pad, strict=True))
    if stride != (_PHASES, _PHASES) or not fits:
        return None
    batch, channels, *size = x.shape
    half = [-(-extent // _PHASES) for extent in size]
    shape = batch, _PHASES * _PHASES * channels, *half
    wanted = (len(weights), shape[1], _TAPS, _TAPS)
    if not packing_winograd.pays(shape, wanted, y.shape, taps=kernel[0] * kernel[1] / (_PHASES * _PHASES)):
        return None
    split, turned = builder.allocate(shape), np.zeros(wanted, np.float32)
    for axis, extent in enumerate(size):
        if extent % _PHASES:  # the second phase ends earlier
            builder.fill(split[(slice(None),) * (axis + 2) + (slice(-1, None),)], 0.0)
    for number, (row, column) in enumerate(product(range(_PHASES), repeat=2)):
        part = slice(number * channels, (number + 1) * channels)
        source = x[:, :, row::_PHASES, column::_PHASES]
        builder.copy(source, split[:, part, : source.shape[2], : source.shape[3]])
        for (i, above), (j, left) in product(_taps(kernel[0], pad[0], row), _taps(kernel[1], pad[1], column)):
            turned[:, part, above, left] = weights[:, :, i, j]
    return Phased(split, turned, (-(-pad[0] // _PHASES), -(-pad[1] // _PHASES)))


def _taps(kernel: int, pad: int, phase: int) -> Iterator[tuple[int, int]]:
    """(tap of the strided kernel, tap of the phase's kernel) for all that read this phase."""
    for tap in range(kernel):
        if (tap - pad) % _PHASES == phase:
            yield tap, (tap - pad) // _PHASES - (-pad // _PHASES)
