"""The error that kernels and their contract raise: an operand that does not fit its schema, or a back end that is not there."""

from __future__ import annotations


class KernelError(Exception):
    """An instruction does not fit the contract; the text names the kernel, the operand, its value and what would fit."""
