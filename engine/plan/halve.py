"""Keeps the weights of products and recurrent layers as float16: a step then reads half as many bytes.

A program of one stream reads every weight once a step and multiplies it once, so that large ones are bound by the cache
that the weights stream from. Rounding a weight changes it by at most one part in 2048; sums, states and biases stay
float32. That changes results, so it is done only where a card or the loader asks for it.
"""

from __future__ import annotations

import numpy as np

from ...kernels.contract import Space
from ...kernels.errors import KernelError
from ...kernels.packing_half import halved
from ...kernels.schemas.half import HALF, HALVED_WEIGHTS
from ..errors import UnsupportedError
from .builder import Builder, Instruction
from .view import Buffer, View


def halve_weights(builder: Builder, prefixes: tuple[str, ...]) -> None:
    """Rewrite, in place, the instructions of all nodes whose names begin with one of the prefixes.

    Raises:
        UnsupportedError: a weight is beyond the range of float16.
    """
    kept: dict[Buffer, View] = {}

    def half(view: View) -> View:
        if view.buffer not in kept:
            kept[view.buffer] = builder.constant(halved(np.asarray(view.array, np.float32)))
        return kept[view.buffer]

    for index, instruction in enumerate(builder.instructions):
        if not instruction.node.startswith(prefixes):
            continue
        product = _as_product(instruction)
        names = HALVED_WEIGHTS.get(product.kernel, ())
        if names and all(product.operands[name].buffer.space is Space.WEIGHTS for name in names):
            try:
                operands = product.operands | {name: half(product.operands[name]) for name in names}
            except KernelError as error:
                raise UnsupportedError(f"node {product.node!r}: {error}") from error
            builder.instructions[index] = Instruction(product.kernel + HALF, operands, product.node)


def _as_product(instruction: Instruction) -> Instruction:
    """A convolution of one number a channel as the product that it is: its weights are packed alike."""
    o = instruction.operands
    if instruction.kernel != "conv_narrow":
        return instruction
    if o["groups"] != 1 or (*o["x"].shape[2:], *o["y"].shape[2:], o["kernel_height"], o["kernel_width"]) != (1,) * 6:
        return instruction
    kept = ("weights", "bias", "activation", "alpha", "beta", "slope")
    operands = {"x": o["x"][:, :, 0, 0], "y": o["y"][:, :, 0, 0], **{name: o[name] for name in kept}}
    return Instruction("dense", operands, instruction.node)
