"""The image that the demo streams: nuclei under a microscope, drawn by tests/training/demo_field.py."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np

FIELD_PATH = Path(__file__).with_name("nuclei.npy.xz")
"""640 x 896 pixels of 8 bits; NumPy's format, packed, so that reading it needs no image library."""


def read_field() -> np.ndarray:
    """The image, `[height, width] uint8`."""
    with lzma.open(FIELD_PATH) as content:
        return np.load(content, allow_pickle=False)
