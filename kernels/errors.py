"""The error that kernels and their contract raise: an operand does not fit its schema, a back end is not there."""

from __future__ import annotations


class KernelError(Exception):
    """An instruction does not fit the contract; the text names kernel, operand, value and what would fit."""
