"""The two loops that say what a machine can do: they do what they are said to do, and their rates are rates."""

from __future__ import annotations

import numpy as np

from wavetile.kernels.contract import PANEL
from wavetile.kernels.cpu import floor


def test_multiply_adds_are_made() -> None:
    place = np.full(floor.SUMS * PANEL, 0.5, np.float32)
    floor.call("floor_multiply", 3, place.ctypes.data)
    total = np.float32(0.5)
    for _ in range(3):
        total = total * np.float32(0.5) + np.float32(0.5)
    np.testing.assert_array_equal(place, total)


def test_every_byte_is_read() -> None:
    block = np.arange(5 * floor.BLOCK_FLOATS, dtype=np.float32)
    place = np.zeros(PANEL, np.float32)
    floor.call("floor_read", block.ctypes.data, 5, 2, place.ctypes.data)
    np.testing.assert_array_equal(place, 2 * block.reshape(-1, PANEL).sum(axis=0))


def test_rates_are_plausible() -> None:
    # From the slowest core that runs Python to one that nobody has yet.
    assert 1e8 < floor.multiply_adds_per_second() < 1e12
    assert 1e8 < floor.bytes_per_second(1 << 14) < 1e13
