"""What a chain computes: its steps one after the other, each as its own kernel would."""

from __future__ import annotations

import numpy as np

from ..opcodes import Binary, Unary
from ..schemas.chain import CHAIN_INPUTS, CHAIN_OUTPUTS, CHAIN_TEMPORARIES
from .elementwise import binary, unary, where
from .execute import definition


@definition
def chain(program: np.ndarray, **tensors: np.ndarray | None) -> None:
    """Run the steps on registers: inputs, temporaries, outputs.

    Args:
        program: [steps, CHAIN_WORDS] int32; `schemas.chain` says what the numbers are.
        tensors: all of one shape, float32; None where absent. No output may be an input's memory.
            x0, x1, x2, x3, x4, x5: [LOOP_RANK axes]; zero strides broadcast.
            y0, y1: [LOOP_RANK axes].

    Source: `elementwise`, whose functions the steps are.
    """
    registers = [tensors[f"x{index}"] for index in range(CHAIN_INPUTS)]
    outputs = [tensors[f"y{index}"] for index in range(CHAIN_OUTPUTS)]
    registers += [np.empty_like(outputs[0]) for _ in range(CHAIN_TEMPORARIES)]
    registers += outputs
    for step in program:
        family, operator, target, a, b, c = step[:6].tolist()
        alpha, beta = step[6:].view(np.float32).tolist()
        y = registers[target]
        if family == 0:
            unary(Unary(operator), alpha, beta, registers[a], y)
        elif family == 1:
            binary(Binary(operator), registers[a], registers[b], y)
        else:
            where(registers[a], registers[b], registers[c], y)
