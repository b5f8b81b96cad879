"""Values of nodes that follow from shapes and constants alone: Constant, OptionalHasElement, Range, Shape, Size."""

from __future__ import annotations

import math

import numpy as np
from onnx import NodeProto

from ..errors import ModelError
from .attributes import constant_value, read_attributes
from .growing import GrowingGraph
from .ir import TensorType

SHAPE_OPS = frozenset({"Constant", "Shape", "Size"})


def known_value(node: NodeProto, inputs: list[str], graph: GrowingGraph, opset: int) -> np.ndarray | None:
    """Return the value of a node that needs no input's data, None for another.

    `inputs` are the graph's names of the node's inputs.

    Raises LimitError (a Range that is too long), ModelError (one without an end).
    """
    if node.op_type == "Constant":
        return constant_value(node)
    if node.op_type == "Shape":
        attributes = read_attributes(node, opset)
        dims = graph.types[inputs[0]].shape
        # Python's slice clamps and counts from the end exactly as the specification of `start` and `end` says.
        return np.array(dims[attributes.get("start", 0) : attributes.get("end")], np.int64)
    if node.op_type == "OptionalHasElement":
        return np.array(any(inputs))
    if node.op_type == "Size":
        return np.array(graph.types[inputs[0]].size, np.int64)
    if node.op_type == "Range" and all(name in graph.constants for name in inputs):
        # Tensors of one element pass for numbers here: ONNX's own definition of AffineGrid gives some.
        bounds = [graph.constants[name].reshape(-1) for name in inputs]
        if all(bound.size == 1 for bound in bounds):
            return _range(node, graph, *(bound[0] for bound in bounds))
    return None


def _range(node: NodeProto, graph: GrowingGraph, start: np.generic, limit: np.generic, delta: np.generic) -> np.ndarray:
    """Return start + i * delta, i below ceil((limit - start) / delta), of the bounds' type."""
    dtype = start.dtype
    wide = np.int64 if dtype.kind in "iu" else np.float64
    first, last, step = (np.asarray(bound).astype(wide) for bound in (start, limit, delta))
    if step == 0 or not np.isfinite([first, last, step]).all():
        raise ModelError(f"Range '{node.name}' from {first} to {last} by {step} has no end; a delta of 1 would work")
    # Python's integers: the difference of two int64 may be none.
    span, stride = (last.item() - first.item(), step.item())
    count = max(int(-(-span // stride)) if wide is np.int64 else math.ceil(span / stride), 0)
    graph.check_size(TensorType((count,), dtype), f"output of Range '{node.name}'")
    return (first + np.arange(count) * step).astype(dtype)
