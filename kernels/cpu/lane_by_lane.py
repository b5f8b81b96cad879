"""Calls a kernel once for each lane: for operands that kernels take to be one for all lanes, but that arrive.

Kernels find packed weights once and use them for every lane of a batch, which is where batches save their time.
Weights that are themselves computed from the signal differ from lane to lane.

Bound by what bounds the called kernel.
"""

from __future__ import annotations

from ..contract import Context
from .memory import call_kernel, stack_words
from .native import native
from .turns import NATIVE_CONTEXT_WORDS
from .vectors import address_of

_LANES, _SLOTS = int(Context.LANES), int(Context.SLOTS)
_ARENA_BASE, _ARENA_STRIDE = int(Context.ARENA_BASE), int(Context.ARENA_STRIDE)
_WORDS = NATIVE_CONTEXT_WORDS


@native
def lane_by_lane(operands, context):
    """Call the kernel at address operands[0] on the operand words at address operands[1], one lane at a time."""
    one = stack_words(_WORDS)
    for word in range(_WORDS):
        one[word] = context[word]
    one[_LANES] = 1
    for lane in range(context[_LANES]):
        one[_ARENA_BASE] = context[_ARENA_BASE] + lane * context[_ARENA_STRIDE]
        one[_SLOTS] = context[_SLOTS] + 8 * lane
        call_kernel(operands[0], operands[1], address_of(one))
