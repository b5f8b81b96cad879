"""Loops of known length, unrolled: Loop and Scan leave the graph as the nodes of their bodies, once a step.

A recurrent cell that an exporter wrote as a Scan becomes plain nodes that fusion and planning can see.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
from onnx import GraphProto, NodeProto
from onnx.helper import make_node
from onnx.numpy_helper import from_array

from ..errors import ModelError, UnsupportedError
from .attributes import read_attributes
from .growing import Scope
from .ir import TensorType
from .network import read_array

UNROLLED: Mapping[str, Sequence[int]] = {"Loop": (0,), "Scan": ()}
"""Operator -> the inputs that its number of steps follows from."""

ENDLESS = np.iinfo(np.int64).max
"""Loop's trip count where none is given: its condition, or the limit on nodes, ends it."""


class Unroller(Protocol):
    """What unrolling needs of the graph that grows."""

    opset: int
    types: dict[str, TensorType]
    constants: dict[str, np.ndarray]

    def visit(self) -> None:
        """Count one step; raises LimitError when there have been too many."""
        ...

    def run(self, nodes: Iterable[NodeProto], scope: Scope, *, inlined: bool = False) -> None:
        """Bind nodes in order; adds the values they make to the scope."""
        ...

    def add_initializer(self, name: str, array: np.ndarray, scope: Scope) -> None:
        """Define a constant under a name that is unique in the graph."""
        ...


def unroll(work: Unroller, node: NodeProto, inputs: list[str], scope: Scope) -> None:
    """Bind the steps of a Loop or Scan and put its outputs into the scope.

    Raises UnsupportedError where the number of steps depends on the data, ModelError where inputs contradict.
    """
    attributes = read_attributes(node, work.opset)
    body: GraphProto = attributes["body"]
    outer = dict(scope)
    for tensor in body.initializer:
        work.add_initializer(tensor.name, read_array(tensor), outer)
    steps = _scan if node.op_type == "Scan" else _loop
    carried, stacks, axes = steps(work, node, body, inputs, outer, attributes)
    for output, value in zip(node.output, carried, strict=False):
        if output:
            scope[output] = value
    for index, (output, values) in enumerate(zip(node.output[len(carried) :], stacks, strict=True)):
        if output:
            scope[output] = _stack(work, node, output, values, axes[index])


def _step(work: Unroller, body: GraphProto, scope: Scope, before: Iterable[NodeProto] = ()) -> list[str]:
    """Bind one step; return the graph's names of the body's outputs."""
    work.visit()
    work.run([*before, *body.node], scope, inlined=True)
    return [scope[value.name] for value in body.output]


def _scan(
    work: Unroller,
    node: NodeProto,
    body: GraphProto,
    inputs: list[str],
    outer: Mapping[str, str],
    attributes: Mapping,
) -> tuple[list[str], list[list[str]], list[int]]:
    """Scan of operator set 9 on: states first, then the values that are walked along an axis."""
    count = attributes["num_scan_inputs"]
    states, sequences = inputs[: len(inputs) - count], inputs[len(inputs) - count :]
    axes = attributes.get("scan_input_axes") or [0] * count
    backwards = attributes.get("scan_input_directions") or [0] * count
    lengths = {work.types[name].shape[axis] for name, axis in zip(sequences, axes, strict=True)}
    if len(lengths) != 1:
        raise ModelError(f"Scan '{node.name}': its inputs have the lengths {sorted(lengths)}; one for all would work")
    length = lengths.pop()
    formal = [value.name for value in body.input]
    stacks: list[list[str]] = [[] for _ in body.output[len(states) :]]
    for step in range(length):
        scope = {**outer, **dict(zip(formal, states, strict=False))}
        before = []
        for index, (name, axis) in enumerate(zip(sequences, axes, strict=True)):
            place = length - 1 - step if backwards[index] else step
            source, position = f"{node.name}.sequence{index}", f"{node.name}.position{index}"
            scope[source] = name
            before.append(make_node("Constant", [], [position], value=from_array(np.array(place, np.int64))))
            before.append(make_node("Gather", [source, position], [formal[len(states) + index]], axis=axis))
        results = _step(work, body, scope, before)
        states = results[: len(states)]
        for stack, value in zip(stacks, results[len(states) :], strict=True):
            stack.append(value)
    for stack, direction in zip(stacks, attributes.get("scan_output_directions") or [0] * len(stacks), strict=True):
        if direction:
            stack.reverse()
    return states, stacks, attributes.get("scan_output_axes") or [0] * len(stacks)


def _loop(
    work: Unroller,
    node: NodeProto,
    body: GraphProto,
    inputs: list[str],
    outer: Mapping[str, str],
    attributes: Mapping,
) -> tuple[list[str], list[list[str]], list[int]]:
    """Loop: a trip count, a condition, then what is carried."""
    limit = _known(work, node, inputs[0], "trip count") if inputs[0] else None
    trips = ENDLESS if limit is None else int(limit.item())
    condition = _known(work, node, inputs[1], "condition") if len(inputs) > 1 and inputs[1] else None
    going = condition is None or bool(condition.item())
    carried = inputs[2:]
    formal = [value.name for value in body.input]
    stacks: list[list[str]] = [[] for _ in body.output[1 + len(carried) :]]
    step = 0
    while going and step < trips:
        scope = {**outer, **dict(zip(formal[2:], carried, strict=True))}
        work.add_initializer(formal[0], np.array(step, np.int64), scope)
        work.add_initializer(formal[1], np.array(True), scope)
        results = _step(work, body, scope)
        going = bool(_known(work, node, results[0], "condition").item())
        carried = results[1 : 1 + len(carried)]
        for stack, value in zip(stacks, results[1 + len(carried) :], strict=True):
            stack.append(value)
        step += 1
    return carried, stacks, [0] * len(stacks)


def _known(work: Unroller, node: NodeProto, name: str, what: str) -> np.ndarray:
    value = work.constants.get(name)
    if value is None or value.size != 1:
        raise UnsupportedError(
            f"{node.op_type} '{node.name}': its {what} depends on the data; one that follows from input shapes or from "
            "bound values (values={...}) would work"
        )
    return value


def _stack(work: Unroller, node: NodeProto, output: str, values: list[str], axis: int) -> str:
    """Bind the nodes that put the values of all steps side by side along a new axis."""
    if not values:
        raise UnsupportedError(f"{node.op_type} '{node.name}' takes no step, so '{output}' would be empty; drop it")
    scope = {f"{output}.{index}": value for index, value in enumerate(values)}
    nodes = []
    if work.opset >= 13:
        nodes.append(make_node("Constant", [], [f"{output}.axes"], value=from_array(np.array([axis], np.int64))))
    for name in list(scope):
        if work.opset >= 13:
            nodes.append(make_node("Unsqueeze", [name, f"{output}.axes"], [f"{name}.row"]))
        else:
            nodes.append(make_node("Unsqueeze", [name], [f"{name}.row"], axes=[axis]))
    nodes.append(make_node("Concat", [f"{name}.row" for name in scope], [output], axis=axis))
    work.run(nodes, scope, inlined=True)
    return scope[output]
