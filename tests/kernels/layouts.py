"""Random memory layouts for tensors of tests: axes in any order, gaps between, zero strides where one repeats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from wavetile.kernels.reference import kernels as _kernels  # noqa: F401  (registers the definitions)

from .cuda.host import COMPILER, compiler_is_here
from .harness import Lanes, Out

LANES = (1, 3)
BACKENDS = ("reference", "cpu")


def _on_host(name: str) -> Any:
    return pytest.param(name, marks=pytest.mark.skipif(not compiler_is_here(), reason=f"there is no {COMPILER} here"))


ALL_BACKENDS = (*BACKENDS, _on_host("cuda"))
"""For problems of kernels that CUDA has too; they run on the processor, see `cuda.host`."""
NATIVE_BACKENDS = ALL_BACKENDS[1:]
"""For what is held against the definition, which is the reference itself."""

TOGETHER = (_on_host("cuda_held"), _on_host("cuda_streamed"))
"""For those that CUDA has for all lanes together, too."""


def ones_before(shape: Sequence[int], rank: int = 6) -> tuple[int, ...]:
    """A shape filled up with ones at the front."""
    return (1,) * (rank - len(shape)) + tuple(shape)


def shuffled_strides(shape: Sequence[int], rng: np.random.Generator) -> tuple[int, ...]:
    """Strides of a tensor whose axes lie in random order with random gaps, so that no two elements meet."""
    strides, step = [0] * len(shape), int(rng.integers(1, 3))
    for axis in rng.permutation(len(shape)):
        strides[axis] = step
        step = step * shape[axis] + int(rng.integers(0, 3))
    return tuple(strides)


def random_input(
    shape: Sequence[int], lanes: int, rng: np.random.Generator, layout: str, values: np.ndarray | None = None
) -> Lanes:
    """A normal random tensor in a layout: `dense`, `shuffled` or `broadcast` (random axes repeat)."""
    array = rng.standard_normal((lanes, *shape)).astype(np.float32) if values is None else values
    if layout == "dense":
        return Lanes(array)
    strides = shuffled_strides(shape, rng)
    if layout == "broadcast":
        repeated = rng.random(len(shape)) < 0.5
        for axis in np.flatnonzero(repeated):
            array = np.broadcast_to(array.take([0], axis + 1), array.shape)
        kept = tuple(1 if repeated[axis] else size for axis, size in enumerate(shape))
        strides = tuple(np.where(repeated, 0, shuffled_strides(kept, rng)).tolist())
    return Lanes(np.ascontiguousarray(array), strides=strides)


def random_output(shape: Sequence[int], rng: np.random.Generator, layout: str) -> Out:
    """Where a result goes: `dense`, or else shuffled."""
    return Out(tuple(shape)) if layout == "dense" else Out(tuple(shape), strides=shuffled_strides(shape, rng))
