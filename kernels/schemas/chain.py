"""Chains: several element-wise operators over one shape in one instruction."""

from __future__ import annotations

from ..contract import LOOP_RANK, Kernel, Tensor

CHAIN_INPUTS = 6
CHAIN_TEMPORARIES = 6
CHAIN_OUTPUTS = 2
CHAIN_WORDS = 8
"""Numbers in a step: family, operator, target, a, b, c, and the bits of float32 alpha and beta.

The family says which kernel the step stands for: 0 unary, 1 binary, 2 where. Target, a, b and c are registers: the
inputs come first, then the temporaries, then the outputs. A register that a step does not read is 0.
"""

CHAIN = Kernel(
    "chain",
    (
        Tensor("program", 2, "dense", dtype="int32"),  # [steps, CHAIN_WORDS]
        *(Tensor(f"x{index}", LOOP_RANK, optional=True) for index in range(CHAIN_INPUTS)),
        *(Tensor(f"y{index}", LOOP_RANK, written=True, optional=index > 0) for index in range(CHAIN_OUTPUTS)),
    ),
)
