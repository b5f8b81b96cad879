"""Max and average pooling over windows; the global kinds are reductions."""

from __future__ import annotations

from ..builder import Builder
from ..view import View
from .convolution import as_image, per_axis
from .registry import Lowering, rule


@rule("MaxPool", "AveragePool")
def pool(node: Lowering, builder: Builder) -> View:
    """ONNX MaxPool and AveragePool over one or two axes.

    ceil_mode only changes the output's size, which is bound already: its last window may reach past the end padding,
    but starts on the input or the padding before it, and takes what it finds there.
    """
    if node.wants(1):
        raise node.refuse("its output Indices is read", "export without return_indices")
    rank = len(node.shape(0)) - 2
    x = as_image(node, node.view(0))
    y = builder.allocate(node.output_shape())
    kernel = per_axis(node.attribute("kernel_shape"), 1, rank)
    stride = per_axis(node.attribute("strides"), 1, rank)
    dilation = per_axis(node.attribute("dilations"), 1, rank)
    pads = node.attribute("pads") or [0] * (2 * rank)
    before, after = per_axis(pads[:rank], 0, rank), per_axis(pads[rank:], 0, rank)
    builder.emit(
        "max_pool" if node.op == "MaxPool" else "average_pool",
        x=x,
        y=as_image(node, y),
        kernel_height=kernel[0],
        kernel_width=kernel[1],
        stride_height=stride[0],
        stride_width=stride[1],
        dilation_height=dilation[0],
        dilation_width=dilation[1],
        pad_top=before[0],
        pad_left=before[1],
        pad_bottom=after[0],
        pad_right=after[1],
        count_include_pad=node.attribute("count_include_pad", 0),
    )
    return y
