"""Dead code: nodes, constants and types that no output needs; and renaming, which every rewrite shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from onnx.defs import OpSchema

from .attributes import schema_of
from .ir import STREAM_DOMAIN, Graph, Node


def prune(graph: Graph) -> Graph:
    """Return the graph without nodes and constants that neither an output nor carried state needs."""
    needed = graph.kept_names()
    live = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            live.append(node)
            needed.update(node.reads)
    live.reverse()
    constants = {name: array for name, array in graph.constants.items() if name in needed}
    made = {name for node in live for name in node.outputs}
    types = {name: t for name, t in graph.types.items() if name in graph.inputs or name in constants or name in made}
    return replace(graph, nodes=live, constants=constants, types=types)


def drop_unread_outputs(graph: Graph) -> Graph:
    """Return the graph with optional outputs that nothing reads marked absent (''), such as an LSTM's last state."""
    read = graph.kept_names().union(*(node.reads for node in graph.nodes))
    nodes, types = [], dict(graph.types)
    for node in graph.nodes:
        unread = [name for name in node.outputs if name and name not in read]
        if not unread or node.domain == STREAM_DOMAIN:
            nodes.append(node)
            continue
        formal = schema_of(node.op, node.opset, node.domain).outputs
        outputs = list(node.outputs)
        for index, name in enumerate(outputs):
            optional = index < len(formal) and formal[index].option == OpSchema.FormalParameterOption.Optional
            if name in unread and optional:
                outputs[index] = ""
                del types[name]
        while not outputs[-1]:
            outputs.pop()
        nodes.append(replace(node, outputs=tuple(outputs)))
    return replace(graph, nodes=nodes, types=types)


def substitute(node: Node, names: Mapping[str, str]) -> Node:
    """Return the node reading other values: each key of `names` replaced by what it maps to."""
    if not any(name in names for name in node.reads):
        return node
    inputs = tuple(names.get(name, name) for name in node.inputs)
    attributes = dict(node.attributes)
    if attributes.get("slope") in names:
        attributes["slope"] = names[attributes["slope"]]
    return replace(node, inputs=inputs, attributes=attributes)


def rename_value(graph: Graph, old: str, new: str) -> None:
    """Rename a node's output, in place, where it is made and wherever it is read."""
    for index, node in enumerate(graph.nodes):
        if old in node.outputs:
            node = replace(node, outputs=tuple(new if name == old else name for name in node.outputs))
        graph.nodes[index] = substitute(node, {old: new})
    graph.types[new] = graph.types.pop(old)
    if old in graph.ragged:
        graph.ragged[new] = graph.ragged.pop(old)
