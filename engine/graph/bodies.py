"""Bodies of Scans, bound once for all steps: the Scan stays one node of the graph (`scans`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from onnx import GraphProto, NodeProto

from ..errors import UnsupportedError
from .attributes import read_attributes
from .captures import captured_names
from .growing import GrowingGraph, Scope
from .ir import Graph, TensorType
from .loops import Unroller
from .network import Network, read_array
from .scans import Scan, Walk, common_length, walks


class BodyBinder(Unroller, Protocol):
    """What binding a body needs of the graph around it."""

    network: Network
    graph: GrowingGraph
    sequences: dict[str, tuple[str, ...]]

    def beneath(self) -> BodyBinder:
        """One for a graph of its own, of the same network."""
        ...


def keep_scan(work: BodyBinder, node: NodeProto, inputs: list[str], scope: Scope, *, inlined: bool) -> None:
    """Bind a Scan as one node, and put its outputs into the scope.

    Raises:
        ModelError: its steps are not alike, or nothing that they read arrives with the signal; nothing has been bound.
    """
    around = {name: scope[name] for name in captured_names([node])}
    if all(name in work.constants for name in (*inputs, *around.values())):
        raise UnsupportedError("nothing that it reads arrives with the signal")
    attributes = read_attributes(node, work.opset)
    states = len(inputs) - attributes["num_scan_inputs"]
    types = [work.types[name] for name in inputs]
    ranks = [len(tensor.shape) for tensor in types[states:]]
    over = walks(attributes.get("scan_input_axes"), attributes.get("scan_input_directions"), ranks)
    length = common_length(node.name, types[states:], over)
    types[states:] = [
        TensorType(tensor.shape[: walk.axis] + tensor.shape[walk.axis + 1 :], tensor.dtype)
        for tensor, walk in zip(types[states:], over, strict=True)
    ]
    body = _bound(work, attributes["body"], types, around, states)
    body, captured = _hoisted(work, body, len(inputs), set(around.values()))
    made = [body.types[name] for name in body.outputs[states:]]
    ranks = [len(tensor.shape) + 1 for tensor in made]
    into = walks(attributes.get("scan_output_axes"), attributes.get("scan_output_directions"), ranks)
    outputs = [*types[:states], *(_stacked(tensor, walk, length) for tensor, walk in zip(made, into, strict=True))]
    for name, tensor in zip(node.output, outputs, strict=False):
        work.graph.check_size(tensor, f"output '{name}' of Scan '{node.name}'")
    most_steps = work.network.limits.nodes // max(1, len(body.nodes))
    scan = Scan(body, states, over, into, most_steps)
    inferred = dict(zip(node.output, outputs, strict=False))
    work.graph.append(node, [*inputs, *captured], inferred, scope, work.opset, inlined, {"scan": scan})


def _bound(
    work: BodyBinder,
    body: GraphProto,
    types: Sequence[TensorType],
    around: Scope,
    states: int,
) -> Graph:
    """One step as a graph: its inputs are states and elements of these types, then what is read from around.

    Raises ModelError where a step can not be bound without knowing which one it is, or changes the type of a state.
    """
    beneath = work.beneath()
    scope: Scope = {}
    for bound in dict.fromkeys(around.values()):
        if bound in work.sequences:
            raise UnsupportedError(f"its body reads the sequence '{bound}'; a tensor would work")
        beneath.graph.define(bound, scope, False)
        if bound in work.constants:
            beneath.graph.add_constant(bound, work.constants[bound])
        else:
            beneath.types[bound] = work.types[bound]
    scope.update(around)
    for value, tensor in zip(body.input, types, strict=True):
        beneath.types[beneath.graph.define(value.name, scope, True)] = tensor
    given = [scope[value.name] for value in body.input] + [
        bound for bound in dict.fromkeys(around.values()) if bound not in work.constants
    ]
    for tensor in body.initializer:
        beneath.add_initializer(tensor.name, read_array(tensor), scope)
    beneath.run(body.node, scope, inlined=True)
    outputs = {beneath.graph.define(value.name, {}, True): scope[value.name] for value in body.output}
    if any(bound in beneath.sequences for bound in outputs.values()):
        raise UnsupportedError("its body makes a sequence; tensors would work")
    graph = beneath.graph.finish({name: beneath.types[name] for name in given}, outputs)
    for value, name, before in zip(body.input, graph.outputs, types[:states], strict=False):
        if graph.types[name] != before:
            raise UnsupportedError(f"its state '{value.name}' is {before} at first, and {graph.types[name]} later")
    for name in graph.ragged:
        raise UnsupportedError(f"how much of '{name}' counts is another number at each step")
    return graph


def _hoisted(work: BodyBinder, body: Graph, given: int, around: set[str]) -> tuple[Graph, list[str]]:
    """Make constants of a body inputs of its Scan, as all is that it reads from around.

    Returns the body, and the names in the graph around of the inputs behind the first `given`.
    """
    read = set(body.outputs).union(*(node.reads for node in body.nodes))
    inputs = {name: tensor for index, (name, tensor) in enumerate(body.inputs.items()) if index < given or name in read}
    captured = list(inputs)[given:]
    for name, array in body.constants.items():
        inputs[name] = body.types[name]
        scope: Scope = {name: name}
        if name not in around:
            work.add_initializer(name, array, scope)
        captured.append(scope[name])
    return replace(body, inputs=inputs, constants={}), captured


def _stacked(tensor: TensorType, walk: Walk, length: int) -> TensorType:
    """The type of such tensors side by side."""
    return TensorType((*tensor.shape[: walk.axis], length, *tensor.shape[walk.axis :]), tensor.dtype)
