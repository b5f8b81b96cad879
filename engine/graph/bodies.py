"""The body of a loop, bound once for all steps, so that the loop stays one node of the graph (`scans`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np
from onnx import GraphProto, NodeProto, ValueInfoProto

from ..errors import UnsupportedError
from .captures import captured_names
from .growing import GrowingGraph, Scope
from .ir import Graph, TensorType
from .loops import Unroller
from .network import Network, read_array
from .passes.views import drop_identities
from .prune import prune


class BodyBinder(Unroller, Protocol):
    """What binding a body needs of the graph around it."""

    network: Network
    graph: GrowingGraph
    sequences: dict[str, tuple[str, ...]]
    stacks: set[str]

    def beneath(self) -> BodyBinder:
        """One for a graph of its own, of the same network."""
        ...


class Body(NamedTuple):
    """One step of a loop."""

    graph: Graph
    """Its inputs are those that were given as types, then all that it reads from around it, constants too."""
    captured: dict[str, str]
    """Each of the latter -> its name in the graph around it."""


def bind_body(
    work: BodyBinder,
    node: NodeProto,
    body: GraphProto,
    given: Sequence[TensorType | np.ndarray | None],
    results: Sequence[str],
    scope: Scope,
    leave_out: Iterable[NodeProto] = (),
) -> Body:
    """Bind a loop's body by itself.

    Args:
        work: of the graph around it, where nothing but constants is added, and that only if all goes well.
        node: the loop.
        body: its body.
        given: for each input of the body its type, or its value; None: nothing reads it.
        results: the body's names of the values that become the graph's outputs.
        scope: of the graph around it.
        leave_out: nodes of the body that are not bound.

    Raises:
        ModelError: a step can not be bound without knowing which one it is.
    """
    around = {name: scope[name] for name in captured_names([node])}
    beneath = work.beneath()
    inner: Scope = {}
    _bind_around(work, beneath, around, inner)
    inputs = [
        *_bind_inputs(beneath, body.input, given, inner),
        *(bound for bound in dict.fromkeys(around.values()) if bound not in work.constants),
    ]
    for tensor in body.initializer:
        beneath.add_initializer(tensor.name, read_array(tensor), inner)
    left_out = list(leave_out)
    beneath.run((each for each in body.node if each not in left_out), inner, inlined=True)
    outputs = {beneath.graph.define(name, {}, True): inner[name] for name in results}
    if any(bound in beneath.sequences for bound in outputs.values()):
        raise UnsupportedError("its body makes a sequence; tensors would work")
    graph = drop_identities(beneath.graph.finish({name: beneath.types[name] for name in inputs}, outputs))
    for name in graph.ragged:
        raise UnsupportedError(f"how much of '{name}' counts is another number at each step")
    types = sum(isinstance(each, TensorType) for each in given)
    return _hoisted(work, graph, types, set(around.values()))


def _bind_around(work: BodyBinder, beneath: BodyBinder, around: Scope, inner: Scope) -> None:
    """Make known in a body what it reads from around it, by the name that it has there."""
    for name, bound in around.items():
        if bound in work.sequences or bound in work.stacks:
            raise UnsupportedError(f"its body reads the sequence '{name}'; a tensor would work")
    for bound in dict.fromkeys(around.values()):
        beneath.graph.define(bound, {}, False)
        if bound in work.constants:
            beneath.graph.add_constant(bound, work.constants[bound])
        else:
            beneath.types[bound] = work.types[bound]
    inner.update(around)


def _bind_inputs(
    beneath: BodyBinder,
    formal: Sequence[ValueInfoProto],
    given: Sequence[TensorType | np.ndarray | None],
    inner: Scope,
) -> list[str]:
    """Make a body's own inputs known in it; return the names of those whose value is not known."""
    inputs = []
    for value, what in zip(formal, given, strict=True):
        if isinstance(what, np.ndarray):
            beneath.add_initializer(value.name, what, inner)
        elif what is not None:
            inputs.append(beneath.graph.define(value.name, inner, True))
            beneath.types[inputs[-1]] = what
    return inputs


def _hoisted(work: BodyBinder, body: Graph, given: int, around: set[str]) -> Body:
    """Make constants of a body inputs of it, as all is that it reads from around; `given` inputs it has anyway."""
    read = set(body.outputs).union(*(node.reads for node in body.nodes))
    inputs = {name: tensor for index, (name, tensor) in enumerate(body.inputs.items()) if index < given or name in read}
    captured = {name: name for name in list(inputs)[given:]}
    for name, array in body.constants.items():
        inputs[name] = body.types[name]
        captured[name] = name
        if name not in around:
            work.add_initializer(name, array, captured)
    return Body(prune(replace(body, inputs=inputs, constants={})), captured)
