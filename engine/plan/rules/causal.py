"""CausalConvWithState: a depthwise convolution over what was kept and what is new."""

from __future__ import annotations

from ....kernels.opcodes import Activation
from ..builder import Builder
from ..view import View
from .convolution import Window, emit_convolution, filter_weights, packed_bias
from .registry import Lowering, activation_operands, rule


@rule("CausalConvWithState")
def causal_conv(node: Lowering, builder: Builder) -> list[View]:
    """ONNX CausalConvWithState (opset 27): inputs input, weight, bias, past_state; outputs output, present_state.

    The last k - 1 steps before, or zeros, lie in front of the new ones; what is kept for the next call is the end of
    both together.
    """
    activation = node.attribute("activation", "none")
    if activation not in ("none", "silu", "swish"):
        raise node.refuse(f"attribute activation is {activation!r}", "use none, silu or swish")
    x, weights = node.view(0), filter_weights(node, builder)
    batch, channels, length = x.shape
    before = weights.shape[3] - 1
    both = builder.allocate((batch, channels, before + length))
    if node.has(3):
        builder.copy(node.view(3), both[:, :, :before])
    else:
        builder.fill(both[:, :, :before], 0.0)
    builder.copy(x, both[:, :, before:])
    y = builder.allocate(x.shape)
    window = Window((1, 1), (1, 1), (0, 0), channels)
    code = Activation.NONE if activation == "none" else Activation.SWISH
    bias, after = packed_bias(node, builder), activation_operands(code, alpha=1.0)
    emit_convolution(builder, both[:, :, None], weights, bias, y[:, :, None], window, after)
    return [y, both[:, :, length:]]
