"""Sequences of known length: taken apart into tensors, so that no sequence is left in a bound graph.

Exporters write `SplitToSequence` and `SequenceAt` where `Split` would do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto
from onnx.helper import make_attribute, make_node
from onnx.numpy_helper import from_array

from ..errors import LimitError, ModelError, UnsupportedError
from .attributes import read_attributes
from .ir import TensorType

SEQUENCE_OPS: Mapping[str, Sequence[int]] = {
    "ConcatFromSequence": (),
    "SequenceAt": (1,),
    "SequenceConstruct": (),
    "SequenceEmpty": (),
    "SequenceErase": (1,),
    "SequenceInsert": (2,),
    "SequenceLength": (),
    "SplitToSequence": (1,),
}
"""Operator -> the inputs that are positions or lengths."""


def element_name(sequence: str, index: int) -> str:
    """Return the name of one tensor of a sequence that a lowered node makes."""
    return f"{sequence}[{index}]"


def lower(
    node: NodeProto,
    inputs: Sequence[str],
    types: Mapping[str, TensorType],
    constants: Mapping[str, np.ndarray],
    sequences: Mapping[str, tuple[str, ...]],
    opset: int,
    node_limit: int,
) -> tuple[list[NodeProto], int | None]:
    """Return plain nodes that do the work of a sequence operator, and the length of its output (None: it is a tensor).

    `inputs` are the graph's names of the node's inputs. A node that makes a sequence is lowered to nodes whose outputs
    are `element_name(output, i)`. Raises UnsupportedError for a length or position that depends on data,
    LimitError for more elements than `node_limit`.
    """
    if node.op_type == "SplitToSequence":
        return _split(node, inputs, types, constants, opset, node_limit)
    if node.op_type in ("SequenceConstruct", "SequenceEmpty"):
        return _sequence(node, node.input), len(node.input)
    if inputs[0] not in sequences:
        raise UnsupportedError(f"{node.op_type} '{node.name}': its sequence '{node.input[0]}' comes from the outside")
    elements = sequences[inputs[0]]
    if node.op_type == "SequenceLength":
        value = from_array(np.array(len(elements), np.int64))
        return [make_node("Constant", [], list(node.output), name=node.name, value=value)], None
    names = [element_name(node.input[0], index) for index in range(len(elements))]
    if node.op_type == "ConcatFromSequence":
        return _concat(node, names, read_attributes(node, opset), opset), None
    if node.op_type == "SequenceInsert":
        place = _position(node, inputs[2:], constants, len(names), default=len(names))
        names.insert(place, node.input[1])
        return _sequence(node, names), len(names)
    place = _position(node, inputs[1:], constants, len(names), default=len(names) - 1)
    if node.op_type == "SequenceErase":
        del names[place]
        return _sequence(node, names), len(names)
    return [make_node("Identity", [names[place]], list(node.output), name=node.name)], None


def _sequence(node: NodeProto, names: Sequence[str]) -> list[NodeProto]:
    """Return nodes that make each of the names an element of the node's output."""
    return [
        make_node("Identity", [name], [element_name(node.output[0], index)], name=f"{node.name}[{index}]")
        for index, name in enumerate(names)
    ]


def _position(
    node: NodeProto, inputs: Sequence[str], constants: Mapping[str, np.ndarray], length: int, *, default: int
) -> int:
    """Return the position, from the front, that a node is given; without one the default, the largest there is."""
    if not inputs or not inputs[0]:
        position = default
    else:
        value = constants.get(inputs[0])
        if value is None:
            raise UnsupportedError(
                f"{node.op_type} '{node.name}': its position depends on the data; a constant would work"
            )
        position = int(value.item())
    if not -length <= position <= default:
        raise ModelError(f"{node.op_type} '{node.name}': position {position} in a sequence of {length}")
    return position if position >= 0 else position + length


def _concat(node: NodeProto, names: Sequence[str], attributes: Mapping[str, Any], opset: int) -> list[NodeProto]:
    """Return nodes for ConcatFromSequence; with new_axis the tensors are stacked."""
    axis = attributes["axis"]
    if not attributes.get("new_axis", 0):
        return [make_node("Concat", names, list(node.output), name=node.name, axis=axis)]
    rows, nodes = [f"{node.name}.row{index}" for index in range(len(names))], []
    for name, row in zip(names, rows, strict=True):
        if opset >= 13:
            nodes += _with_constants("Unsqueeze", name, [np.array([axis])], row, row)
        else:
            nodes.append(make_node("Unsqueeze", [name], [row], axes=[axis]))
    return [*nodes, make_node("Concat", rows, list(node.output), name=node.name, axis=axis)]


def unstacked(node: NodeProto, stack: TensorType, opset: int) -> list[NodeProto]:
    """Return nodes for a ConcatFromSequence whose sequence is one tensor, its elements along the first axis."""
    attributes = read_attributes(node, opset)
    stacks, rank = bool(attributes.get("new_axis", 0)), len(stack.shape)
    axis = attributes["axis"] % (rank if stacks else rank - 1)
    order = [*range(1, axis + 1), 0, *range(axis + 1, rank)]
    (output,) = node.output
    turned = output if stacks else f"{output}.turned"
    nodes = [make_node("Transpose", [node.input[0]], [turned], name=turned, perm=order)]
    if not stacks:
        shape = [stack.shape[dim] for dim in order]
        shape[axis : axis + 2] = [shape[axis] * shape[axis + 1]]
        nodes += _with_constants("Reshape", turned, [np.array(shape)], output, node.name)
    return nodes


def _split(
    node: NodeProto,
    inputs: Sequence[str],
    types: Mapping[str, TensorType],
    constants: Mapping[str, np.ndarray],
    opset: int,
    node_limit: int,
) -> tuple[list[NodeProto], int]:
    """Lower SplitToSequence: to Gather where the axis is dropped, else to Slice."""
    attributes = read_attributes(node, opset)
    shape = types[inputs[0]].shape
    axis = attributes["axis"]
    if not -len(shape) <= axis < len(shape):
        raise ModelError(f"SplitToSequence '{node.name}': axis {axis} of a tensor of {len(shape)} axes")
    axis %= len(shape)
    given = len(inputs) > 1 and bool(inputs[1])
    sizes = np.array(1) if not given else constants.get(inputs[1])
    if sizes is None:
        raise UnsupportedError(f"SplitToSequence '{node.name}': its lengths depend on the data; constants would work")
    if sizes.ndim == 0:
        if sizes <= 0:
            raise ModelError(f"SplitToSequence '{node.name}': pieces of {int(sizes)}; 1 or more would work")
        count = -(-shape[axis] // int(sizes))
        if count > node_limit:
            raise LimitError(
                f"SplitToSequence '{node.name}' makes {count} tensors, {node_limit} nodes are left of the limit; "
                "raise Limits(nodes=...)"
            )
        starts = np.arange(count) * int(sizes)
        ends = np.minimum(starts + int(sizes), shape[axis])
    else:
        ends = np.cumsum(sizes)
        starts = ends - sizes
        if (sizes < 0).any() or (ends[-1] if len(ends) else 0) != shape[axis]:
            raise ModelError(f"SplitToSequence '{node.name}': lengths {sizes.tolist()} do not add up to {shape[axis]}")
    nodes: list[NodeProto] = []
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        output = element_name(node.output[0], index)
        name = f"{node.name}[{index}]"
        if not given and not attributes["keepdims"]:
            nodes += _with_constants("Gather", node.input[0], [np.array(start)], output, name)
            nodes[-1].attribute.append(make_attribute("axis", axis))
        else:
            bounds = [np.array([start]), np.array([end]), np.array([axis])]
            nodes += _with_constants("Slice", node.input[0], bounds, output, name)
    return nodes, len(starts)


def _with_constants(op: str, data: str, values: Sequence[np.ndarray], output: str, name: str) -> list[NodeProto]:
    """Return a node that reads `data` and integer constants, behind the nodes that make these."""
    names = [f"{output}.{index}" for index in range(len(values))]
    nodes = [
        make_node("Constant", [], [constant], value=from_array(value.astype(np.int64)))
        for constant, value in zip(names, values, strict=True)
    ]
    return [*nodes, make_node(op, [data, *names], [output], name=name)]
