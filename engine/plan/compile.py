"""Compiles a bound graph to a program: rules lower the nodes, copies are elided, memory is laid out."""

from __future__ import annotations

from ...kernels.errors import KernelError
from ..errors import LimitError, ModelError, UnsupportedError
from ..graph import Graph, Node
from .builder import Builder
from .bundle import bundle_layers
from .carriers import carrier, conform, to_carrier
from .chains import fuse_chains
from .depth_first import turn_batches
from .elide import elide_copies
from .halve import halve_weights
from .partition import partition
from .program import Program, assemble
from .rules import RULES, Lowering
from .sliding import keep_windows
from .target import CPU, Target
from .view import View
from .weights import WeightMemory


def compile_graph(
    graph: Graph,
    *,
    name: str = "",
    threads: int = 1,
    target: Target = CPU,
    weights: WeightMemory | None = None,
) -> Program:
    """Compile a bound graph; its states become slots' memory, its other inputs and outputs ports.

    Args:
        graph: every shape a number; best after `fuse`.
        name: what the program is called in messages; the graph's own name if empty.
        threads: how many compute one step together, where it is large enough to gain by that (`partition`).
        target: the back end that it is for, and what may be rounded.
        weights: memory for them that other programs of the same network read too; None: its own.

    Raises:
        UnsupportedError: an operator, attribute or type has no rule; the error names the node.
    """
    for key in graph.outputs:
        if key in graph.ragged and graph.ragged[key].count not in graph.outputs:
            raise UnsupportedError(f"output {key!r}: its size depends on the data; run the network whole")
    builder = Builder(target)
    values: dict[str, View] = {}
    inputs: dict[str, View] = {}
    carried = {state.input: state for state in graph.states}
    for key, tensor in graph.inputs.items():
        if key in carried:
            values[key] = builder.state(tensor.shape, carried[key].initial, carrier(tensor.dtype))
        else:
            values[key] = inputs[key] = builder.allocate(tensor.shape, dtype=carrier(tensor.dtype), pinned=True)
    for node in graph.nodes:
        _lower(node, graph, values, builder)

    builder.node = "outputs"
    outputs = _hand_out(graph, values, builder)
    _keep_states(graph, values, builder)
    fuse_chains(builder)
    elide_copies(builder)
    keep_windows(builder)
    bundle_layers(builder)
    if target.halved:
        halve_weights(builder, target.halved)
    if threads == 1 and not target.on_device:
        turn_batches(builder)
    partition(builder, threads)
    return assemble(name or graph.name, builder, inputs, outputs, weights or WeightMemory())


def _hand_out(graph: Graph, values: dict[str, View], builder: Builder) -> dict[str, View]:
    """Copy every output that is no state to a place of its own."""
    outputs: dict[str, View] = {}
    carried = {state.output for state in graph.states}
    for key in graph.outputs:
        if key not in carried:
            tensor = graph.types[key]
            outputs[key] = builder.allocate(tensor.shape, dtype=carrier(tensor.dtype), pinned=True)
            builder.copy(_value(key, graph, values, builder), outputs[key])
    return outputs


def _keep_states(graph: Graph, values: dict[str, View], builder: Builder) -> None:
    """Copy every state's new value over the old one.

    Last of all: until here every reader still saw the state of the step before. Two passes, since one state's new value
    may be another state's old one.
    """
    fresh = []
    for state in graph.states:
        source = _value(state.output, graph, values, builder)
        if any(source.buffer is values[other.input].buffer for other in graph.states):
            staged = builder.allocate(source.shape, dtype=source.dtype)
            builder.copy(source, staged)
            source = staged
        fresh.append((source, values[state.input]))
    for source, target in fresh:
        builder.copy(builder.reshape(source, target.shape), target)


def _value(key: str, graph: Graph, values: dict[str, View], builder: Builder) -> View:
    if key in values:
        return values[key]
    if key not in graph.constants:
        raise ModelError(f"output {key!r} is made by no node")
    return builder.constant(to_carrier(graph.constants[key]))


def _lower(node: Node, graph: Graph, values: dict[str, View], builder: Builder) -> None:
    rule = RULES.get((node.domain, node.op))
    if rule is None:
        known = ", ".join(sorted(op for domain, op in RULES if domain == node.domain))
        raise UnsupportedError(f"{node}: there is no rule for this operator; there are rules for {known}")
    builder.node = node.name
    lowering = Lowering(node, graph, values, builder)
    try:
        result = rule.lower(lowering, builder)
    # Rules rely on what inference has checked; a file that slips through it is refused all the same.
    except (ArithmeticError, KernelError, LookupError, TypeError, ValueError) as error:
        raise UnsupportedError(f"{node}: {error}") from error
    except MemoryError as error:
        raise LimitError(f"{node}: what it computes does not fit into memory; smaller sizes would work") from error
    views = [result] if isinstance(result, View) else list(result)
    missing = [output for output in node.outputs[len(views) :] if output]
    if missing:
        raise UnsupportedError(f"{node}: its rule does not compute its output {missing[0]!r}; leave it unread")
    for output, view in zip(node.outputs, views, strict=False):
        if output and view is not None:
            expected = graph.types[output]
            if view.size != expected.size:
                raise UnsupportedError(f"{node}: its rule gives shape {view.shape} for {output!r}, which is {expected}")
            if not rule.keeps_range or view.dtype != carrier(expected.dtype):
                view = conform(builder, view, expected.dtype)
            values[output] = view if view.shape == expected.shape else builder.reshape(view, expected.shape)
