"""The image that the demo streams: nuclei under a microscope, drawn by tests/training/demo_field.py."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np

FIELD_PATH = Path(__file__).with_name("nuclei.npy.xz")
"""640 x 896 pixels of 8 bits; NumPy's format, packed, so that reading it needs no image library."""

LOW_PERCENTILE, HIGH_PERCENTILE = 1.0, 99.8
"""Mapped to 0 and 1: what the network's card asks for."""


def read_field() -> np.ndarray:
    """The image, `[height, width] uint8`."""
    with lzma.open(FIELD_PATH) as content:
        return np.load(content, allow_pickle=False)


def normalise(image: np.ndarray) -> np.ndarray:
    """Map an image's low and high percentile to 0 and 1; float32, what is beyond them is kept."""
    darkest, brightest = np.percentile(image, [LOW_PERCENTILE, HIGH_PERCENTILE])
    return ((image - darkest) / max(brightest - darkest, 1e-6)).astype(np.float32)
