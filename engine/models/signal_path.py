"""Refuses, before any shape is known, a network with an operator on its signal path that can not be computed.

Only what no binding of shapes and values can change is refused: an operator without a rule is refused where a signal
is certain to reach it. Whether one that reads shapes and constants alone folds away shows when shapes are bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from onnx import GraphProto, NodeProto

from ..errors import UnsupportedError
from ..graph import RESOLVED, Network, shaping_inputs
from ..graph.captures import captured_names
from ..graph.functions import is_defined_by_others
from ..graph.limits import subgraphs
from ..plan import OPERATORS

_BLIND = frozenset(
    {"OptionalHasElement", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength", "SequenceMap"}
    | {"Shape", "Size"}
)
"""Operators whose outputs the signal's numbers do not reach, or (sequences that grow) not all of them."""


def check_signal_path(network: Network) -> None:
    """Check the operators that the network's signals reach: all inputs but those that are bound by value.

    Raises:
        UnsupportedError: there is no rule for one of them, or an `If` decides by the signal.
    """
    reached = network.inputs.keys() - shaping_inputs(network, OPERATORS)
    refusal = _follow(network.model.graph.node, network.outputs, reached)
    if refusal is not None:
        raise refusal


def _follow(nodes: Sequence[NodeProto], wanted: Iterable[str], reached: set[str]) -> UnsupportedError | None:
    """Add to `reached` what these nodes make of it; return the first refusal of a node that is certain to run."""
    live, _ = _needed(nodes, wanted)
    first = None
    for index, node in enumerate(nodes):
        refusal, carried = _take_branches(node, reached) if node.op_type == "If" else _step(node, reached)
        reached.update(filter(None, carried))
        if index in live:
            first = first or refusal
    return first


def _needed(nodes: Sequence[NodeProto], wanted: Iterable[str]) -> tuple[set[int], set[str]]:
    """Positions of the nodes that `wanted` needs whichever branches are taken, and all names that are read for it."""
    names, live = set(wanted), set()
    for index in reversed(range(len(nodes))):
        node = nodes[index]
        if names.intersection(node.output):
            live.add(index)
            names.update(node.input)
            if node.op_type == "If":
                names.update(set.intersection(*(_captured(graph) for graph in subgraphs(node))))
            else:
                names.update(captured_names([node]))
    return live, names


def _captured(branch: GraphProto) -> set[str]:
    """What a branch needs from around it."""
    _, names = _needed(branch.node, _outputs(branch))
    return names.difference(_made(branch))


def _take_branches(node: NodeProto, reached: set[str]) -> tuple[UnsupportedError | None, Iterable[str]]:
    """Follow both branches of an If: certain is what holds in each of them."""
    if node.input[0] in reached:
        return UnsupportedError(
            f"If '{_name(node)}': its condition '{node.input[0]}' depends on the data; a condition that follows from "
            "input shapes or from bound values would work"
        ), ()
    refusals, carried = [], set(range(len(node.output)))
    for branch in subgraphs(node):
        refusals.append(_follow(branch.node, _outputs(branch), reached))
        carried.intersection_update(index for index, name in enumerate(_outputs(branch)) if name in reached)
        # The other branch may use the same names for values of its own.
        reached.difference_update(_made(branch))
    return refusals[0] if all(refusals) else None, [node.output[index] for index in carried]


def _step(node: NodeProto, reached: set[str]) -> tuple[UnsupportedError | None, Iterable[str]]:
    """A node's refusal, if any, and those of its outputs that are certain to arrive with the signal."""
    if node.op_type in _BLIND:
        return None, ()
    reads = [*filter(None, node.input), *captured_names([node])]
    # Taken from a sequence of signals and constants, a tensor is either.
    certain = all if node.op_type == "SequenceConstruct" else any
    if not certain(name in reached for name in reads):
        return None, ()
    if node.op_type in OPERATORS or node.op_type in RESOLVED or is_defined_by_others(node.op_type):
        return None, node.output[:1] if node.op_type == "Dropout" else node.output
    return UnsupportedError(
        f"{node.op_type} '{_name(node)}': there is no rule for this operator; there are rules for "
        f"{', '.join(sorted(OPERATORS))}"
    ), node.output


def _outputs(graph: GraphProto) -> list[str]:
    return [value.name for value in graph.output]


def _made(graph: GraphProto) -> set[str]:
    return {name for node in graph.node for name in node.output}


def _name(node: NodeProto) -> str:
    return node.name or ", ".join(node.output)
