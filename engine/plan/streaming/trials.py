"""Random signals for proofs: until one of them makes a network's outputs vary enough to show what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import numpy as np

LEAST_POSITIVE = 0.5
"""The least number of the positive signals."""

LEVELS = (1.0, 0.1, 0.01)
"""What random signals are multiplied by: the fainter, the less is clipped or saturated."""


def trial_signals(shapes: Mapping[str, Sequence[int]], rng: np.random.Generator) -> Iterator[dict[str, np.ndarray]]:
    """Yield signals of these shapes: of a normal distribution, a positive one, and the same ever fainter.

    Positive ones are for networks that have no numbers for others (logarithms, roots).
    """
    normal = {name: rng.standard_normal(tuple(shape), np.float32) for name, shape in shapes.items()}
    for level, least in product(LEVELS, (None, LEAST_POSITIVE)):
        yield {
            name: np.float32(level) * (signal if least is None else np.abs(signal) + np.float32(least))
            for name, signal in normal.items()
        }
