"""Loops of known length, unrolled: Loop and Scan leave the graph as the nodes of their bodies, once a step.

A recurrent cell that an exporter wrote as a Scan becomes plain nodes that fusion and planning can see.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from onnx import GraphProto, NodeProto
from onnx.helper import make_node
from onnx.numpy_helper import from_array

from ..errors import UnsupportedError
from .attributes import read_attributes
from .growing import Scope
from .ir import TensorType
from .network import read_array
from .scans import common_length, walks

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


class _Result(NamedTuple):
    """What the steps of a loop have made."""

    steps: int
    carried: list[str]
    stacks: list[list[str]]
    """Of each output that is put together, its value of every step."""
    axes: Sequence[int]
    """Along which they are put together."""


def unroll(work: Unroller, node: NodeProto, inputs: list[str], scope: Scope) -> int:
    """Bind the steps of a Loop or Scan, put its outputs into the scope, and return how many steps there are.

    Raises UnsupportedError where the number of steps depends on the data, ModelError where inputs contradict.
    """
    attributes = read_attributes(node, work.opset)
    body: GraphProto = attributes["body"]
    outer = dict(scope)
    for tensor in body.initializer:
        work.add_initializer(tensor.name, read_array(tensor), outer)
    go = _scan if node.op_type == "Scan" else _loop
    result = go(work, node, body, inputs, outer, attributes)
    for output, value in zip(node.output, result.carried, strict=False):
        if output:
            scope[output] = value
    stacks = zip(node.output[len(result.carried) :], result.stacks, result.axes, strict=True)
    for output, values, axis in stacks:
        if output:
            scope[output] = _stack(work, node, output, values, axis)
    return result.steps


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
) -> _Result:
    """Scan of operator set 9 on: states first, then the values that are walked along an axis."""
    count = attributes["num_scan_inputs"]
    states, sequences = inputs[: len(inputs) - count], inputs[len(inputs) - count :]
    types = [work.types[name] for name in sequences]
    ranks = [len(tensor.shape) for tensor in types]
    over = walks(attributes.get("scan_input_axes"), attributes.get("scan_input_directions"), ranks)
    length = common_length(node.name, types, over)
    formal = [value.name for value in body.input]
    stacks: list[list[str]] = [[] for _ in body.output[len(states) :]]
    for step in range(length):
        scope = {**outer, **dict(zip(formal, states, strict=False))}
        before = []
        for index, (name, walk) in enumerate(zip(sequences, over, strict=True)):
            place = length - 1 - step if walk.backwards else step
            source, position = f"{node.name}.sequence{index}", f"{node.name}.position{index}"
            scope[source] = name
            before.append(make_node("Constant", [], [position], value=from_array(np.array(place, np.int64))))
            before.append(make_node("Gather", [source, position], [formal[len(states) + index]], axis=walk.axis))
        results = _step(work, body, scope, before)
        states = results[: len(states)]
        for stack, value in zip(stacks, results[len(states) :], strict=True):
            stack.append(value)
    for stack, direction in zip(stacks, attributes.get("scan_output_directions") or [0] * len(stacks), strict=True):
        if direction:
            stack.reverse()
    return _Result(length, states, stacks, attributes.get("scan_output_axes") or [0] * len(stacks))


def _loop(
    work: Unroller,
    node: NodeProto,
    body: GraphProto,
    inputs: list[str],
    outer: Mapping[str, str],
    attributes: Mapping,
) -> _Result:
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
    return _Result(step, carried, stacks, [0] * len(stacks))


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
