"""Whether a network may be cut into steps: every node must work on each step of the stream by itself.

Two bindings of one network that differ in the number of steps show where the stream's axis is: the axes whose sizes
differ. A node that mixes elements along such an axis (a convolution, a pool, a sum) remembers more than any recurrent
state holds; running it on random signals does not always betray that, so it is refused by what it is.
"""

from __future__ import annotations

import numpy as np

from ..errors import UnsupportedError
from ..graph import Graph, Node

# fmt: off
POINTWISE = frozenset({
    "Abs", "Add", "And", "BatchNormalization", "Cast", "Ceil", "Clip", "Cos", "Div", "Dropout", "Elu", "Equal", "Erf",
    "Exp", "Expand", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity",
    "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mul", "Neg", "Not", "Or", "PRelu",
    "Pow", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt",
    "Sub", "Sum", "Swish", "Tanh", "ThresholdedRelu", "Where", "Xor",
})
# fmt: on
"""Each output element is made of input elements at its own place."""

RESHAPING = frozenset({"Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
"""They move elements; a certificate shows at once when they move them from step to step."""

ALONG_AXIS = frozenset(
    {"ArgMax", "ArgMin", "Concat", "Gather", "Hardmax", "LogSoftmax", "LpNormalization", "Softmax", "Split", "TopK"}
)
"""They work along the one axis that their attribute names."""

ALONG_AXES = {"Slice": 3} | {
    f"Reduce{kind}": 1 for kind in ("L1", "L2", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
}
"""They work along the axes of an attribute or of this input."""

RECURRENT = frozenset({"GRU", "LSTM", "RNN"})
"""They work along their sequence: those whose sequence is the stream are lifted, and not checked here."""


def check_stepwise(node: Node, step: Graph, longer: Graph) -> None:
    """Check one node of a network that is to run step by step.

    Args:
        node: the node as it is in `step`; not a recurrent one whose sequence is the stream, which is lifted.
        step: the network bound to the steps of one chunk; `longer`: the same network bound to more.

    Raises:
        UnsupportedError: the node reads across steps, or is of a kind of which that is not known.
    """
    streaming = [_streaming_axes(name, step, longer) for name in node.inputs]
    if not any(streaming) and not any(_streaming_axes(name, step, longer) for name in node.outputs):
        return
    if node.op in POINTWISE or node.op in RESHAPING:
        return
    if node.op in ("MatMul", "Gemm") and _keeps_rows_apart(node, streaming, step):
        return
    axes = _working_axes(node, step)
    crossed = node.op == "Gather" and streaming[0] and streaming[1]  # every step of one with every step of the other
    if axes is not None and not axes & streaming[0] and not crossed:
        return
    raise UnsupportedError(
        f"{node}: it works across the steps of the stream, which needs more than a recurrent layer's state; run the "
        "network whole with Model.run, or export it with its state as inputs and outputs"
    )


def _streaming_axes(name: str, step: Graph, longer: Graph) -> set[int]:
    if name not in step.types or name not in longer.types:
        return set()
    sizes = step.types[name].shape, longer.types[name].shape
    return {axis for axis, (a, b) in enumerate(zip(*sizes, strict=True)) if a != b}


def _keeps_rows_apart(node: Node, streaming: list[set[int]], step: Graph) -> bool:
    """Whether a product adds up along no streaming axis: rows of the first matrix, or batches of both."""
    left = len(step.types[node.inputs[0]].shape)
    inner = 0 if node.op == "Gemm" and node.attributes.get("transA") else left - 1
    return inner not in streaming[0] and not streaming[1]


def _working_axes(node: Node, step: Graph) -> set[int] | None:
    """The axes of the first input along which a node works; None where that is not known."""
    rank = len(step.types[node.inputs[0]].shape)
    if node.op in RECURRENT:
        return {1 if node.attributes.get("layout") else 0}
    if node.op in ALONG_AXIS:
        if node.op in ("Hardmax", "LogSoftmax", "Softmax") and node.opset < 13:
            return set(range(node.attributes["axis"] % rank, rank))
        return {node.attributes.get("axis", 0) % rank}
    if node.op in ALONG_AXES:
        position = ALONG_AXES[node.op]
        given = node.attributes.get("axes")
        if given is None and len(node.inputs) > position and node.inputs[position]:
            constant = step.constants.get(node.inputs[position])
            given = None if constant is None else np.asarray(constant).tolist()
        return {axis % rank for axis in given} if given else None
    return None
