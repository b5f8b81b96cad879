"""Layers that ONNX has no operator for, as functions of its operators that any model can carry and any runtime run."""

from __future__ import annotations

import onnx
from onnx import FunctionProto
from onnx.helper import make_opsetid
from onnx.parser import parse_function

COMPOSITE_DOMAIN = "wavetile.composites"
"""Domain of the functions; a model that calls one imports it, in version 1."""

OLDEST_OPSET = 15
"""The operator set in which Shape came to give a part of a shape."""


def probabilistic_max_pool(block: int, *, opset: int = 17) -> FunctionProto:
    """The pooling of convolutional deep belief networks: `detection, pooled = ProbabilisticMaxPool(x)`.

    The detection units of a block and one more unit, that all of them are off, share a softmax: at most one of them is
    on, and the pooling unit is on where one is. With x the input that a unit gets from the layer below,

        detection[i] = exp(x[i]) / (1 + sum over its block of exp(x[j]))
        pooled = sum over its block of detection[j]

    Source: H. Lee, R. Grosse, R. Ranganath, A. Ng, "Convolutional deep belief networks for scalable unsupervised
    learning of hierarchical representations", ICML 2009, section 3.6, equations for P(h = 1 | v) and P(p = 0 | v).

    x           [batch, channels, height, width] float32, sides multiples of `block`
    detection   the same shape
    pooled      [batch, channels, height / block, width / block]

    Args:
        block: side of a pooling block, in units.
        opset: the operator set of the model that is to carry the function.

    Raises:
        ValueError: a block without units, or an operator set before OLDEST_OPSET.
    """
    if block < 1:
        raise ValueError(f"a block of {block} units a side; at least 1 is needed")
    if opset < OLDEST_OPSET:
        raise ValueError(f"operator set {opset}; {OLDEST_OPSET} or later is needed")
    units = block * block
    function = parse_function(
        f"""
        <domain: "{COMPOSITE_DOMAIN}", opset_import: ["" : {opset}]>
        ProbabilisticMaxPool (x) => (detection, pooled)
        {{
            blocks = SpaceToDepth <blocksize = {block}> (x)
            by_unit = Constant <value = int64[3] {{0, {units}, -1}}> ()
            inputs = Reshape (blocks, by_unit)
            one_behind = Constant <value = int64[6] {{0, 0, 0, 0, 1, 0}}> ()
            with_off = Pad (inputs, one_behind)
            shares = Softmax <axis = 1> (with_off)
            first = Constant <value = int64[1] {{0}}> ()
            last = Constant <value = int64[1] {{{units}}}> ()
            along = Constant <value = int64[1] {{1}}> ()
            on = Slice (shares, first, last, along)
            blocked_shape = Shape (blocks)
            on_blocks = Reshape (on, blocked_shape)
            detection = DepthToSpace <blocksize = {block}> (on_blocks)
            any_on = ReduceSum (on, along)
            batch_and_channels = Shape <start = 0, end = 2> (x)
            height_and_width = Shape <start = 2, end = 4> (blocks)
            pooled_shape = Concat <axis = 0> (batch_and_channels, height_and_width)
            pooled = Reshape (any_on, pooled_shape)
        }}
        """
    )
    function.doc_string = probabilistic_max_pool.__doc__ or ""
    return function


def with_composites(model: onnx.ModelProto, *functions: FunctionProto) -> onnx.ModelProto:
    """A model that calls composites, made complete: it carries the functions and imports their domain."""
    complete = onnx.ModelProto()
    complete.CopyFrom(model)
    complete.functions.extend(functions)
    if all(entry.domain != COMPOSITE_DOMAIN for entry in complete.opset_import):
        complete.opset_import.append(make_opsetid(COMPOSITE_DOMAIN, 1))
    return complete
