"""Between real numbers and the integers that stand for them; both as float32, integers have up to 16 bits."""

from __future__ import annotations

from ..contract import Float, Int, Kernel
from .loops import loop, loop_out

QUANTIZE = Kernel(
    "quantize",  # y = round(x / scale) + zero_point, limited to [low, high]; halves go to even
    (
        *(loop("x"), loop("scale"), loop("zero_point"), loop_out(), Float("low"), Float("high")),
        Int("restored"),  # 1: y is what `dequantize` would make of that
    ),
)
DEQUANTIZE = Kernel("dequantize", (loop("x"), loop("scale"), loop("zero_point"), loop_out()))
