"""Normalisation by the mean and variance of a tensor's last axes."""

from __future__ import annotations

from math import prod

from ..contract import Float, Int, Kernel, Tensor

NORMALIZE = Kernel(
    "normalize",  # two kept axes, two that are normalised over
    (
        Tensor("x", 4),
        Tensor("scale", 4, optional=True),  # of x's shape; zero strides repeat
        Tensor("bias", 4, optional=True),
        Tensor("y", 4, written=True),
        Tensor("mean", 2, written=True, optional=True),  # of each pair of kept axes
        Tensor("inverse", 2, written=True, optional=True),  # 1 / sqrt(variance + epsilon)
        Float("epsilon"),
        Int("centred"),  # 0: the mean is taken for 0, as in RMS normalisation
    ),
    multiply_adds=lambda operands: 3 * prod(operands["x"].shape),
)
