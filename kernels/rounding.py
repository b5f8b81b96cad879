"""What products may round their operands to: floats of fewer digits, which tensor cores multiply.

Rounded to the nearest, halves to even; sums of the products are float32. Infinity and NaN stay.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Products(IntEnum):
    """The operands of products."""

    TF32 = 0
    """11 significant bits, the range of float32."""
    FLOAT16 = 1
    """11 significant bits down to 6.1e-5, infinite beyond 65504."""
    BFLOAT16 = 2
    """8 significant bits, the range of float32."""

    @property
    def digits(self) -> int:
        """Significant bits: a number is off by at most 2^-digits of itself."""
        return 8 if self is Products.BFLOAT16 else 11


def rounded(x: np.ndarray, products: Products) -> np.ndarray:
    """float32 x as an operand of these products: the nearest number that it can be, as float32."""
    if products is Products.FLOAT16:
        with np.errstate(over="ignore"):
            return x.astype(np.float16).astype(np.float32)
    dropped = 24 - products.digits
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    nearest = bits + np.uint32((1 << (dropped - 1)) - 1) + (bits >> np.uint32(dropped) & np.uint32(1))
    kept = nearest & np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)
    return np.where(np.isfinite(x), kept.view(np.float32), x)
