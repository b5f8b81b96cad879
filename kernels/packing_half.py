"""Packed weights as float16: half the memory to read, for a relative error of each weight of at most 2^-11.

IEEE 754 binary16: 11 significant bits down to 6.1e-5, multiples of 6e-8 below that, nothing beyond 65504. Rounded to
the nearest, halves to even.
"""

from __future__ import annotations

import numpy as np

from .errors import KernelError

LARGEST = 65504.0


def halved(packed: np.ndarray) -> np.ndarray:
    """Packed weights [n] float32, n even, as float16 in [n / 2] int32: the first of two in the low bits.

    Raises:
        KernelError: a weight is not finite in float16.
    """
    largest = float(np.abs(packed).max(initial=0))
    if not largest <= LARGEST:
        raise KernelError(f"a weight of {largest:g} does not fit into float16, which ends at {LARGEST:g}; use float32")
    return packed.astype("<f2").view("<i4").astype(np.int32, copy=False)


def widened(kept: np.ndarray) -> np.ndarray:
    """What `halved` kept: [2 words] float32."""
    return kept.astype("<i4", copy=False).view("<f2").astype(np.float32)
