"""The table of one-line networks that `test_rules` runs; the files of cases fill it."""

from __future__ import annotations

import numpy as np

X = {"x": (2, 3, 5)}
IMAGE = {"x": (1, 4, 9, 11)}

CASES: dict[str, tuple[str, dict[str, tuple[int, ...]], dict[str, np.ndarray], int]] = {}
"""Name -> text, shapes of the inputs, constants, opset."""


def case(name: str, body: str, inputs: dict[str, tuple[int, ...]], opset: int = 17, /, **constants: np.ndarray) -> None:
    """Add a network: its text, the shapes of its inputs, its opset and its constants."""
    CASES[name] = (body, inputs, constants, opset)


def ints(*values: int) -> np.ndarray:
    """An int64 constant."""
    return np.array(values, np.int64)
