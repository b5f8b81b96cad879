"""Kernels whose weights are kept as float16: the schema of the kernel for float32, under its name with a suffix.

Two numbers lie in each int32 word, as `packing_half.halved` packs them. Everything else, sums and biases too, stays
float32.
"""

from __future__ import annotations

HALF = "_half"
"""What the names of these kernels end in."""

HALVED_WEIGHTS = {
    "dense": ("weights",),
    "lstm": ("input_weights", "hidden_weights"),
    "gru": ("input_weights", "hidden_weights"),
}
"""Kernel of float32 weights -> the operands that its sibling has as float16."""
