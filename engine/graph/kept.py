"""Loops and Scans that are kept whole: each is bound as one node, by the body of one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from onnx import GraphProto, NodeProto
from onnx.helper import make_node

from ..errors import UnsupportedError
from .attributes import read_attributes
from .bodies import Body, BodyBinder, bind_body
from .captures import captured_names
from .growing import Scope
from .ir import Graph, Node, TensorType
from .limits import all_graphs, all_nodes
from .prune import prune
from .scans import OPSET, Scan, Walk, common_length, walks

_CARRIED = 2
"""A Loop and its body begin with a trip count or step's number, and a condition; then comes what is carried."""
_NUMBER = TensorType((), np.dtype(np.int64))


def keep_whole(work: BodyBinder, node: NodeProto, inputs: list[str], scope: Scope, *, inlined: bool) -> None:
    """Bind a Loop or Scan as one node, and put its outputs into the scope.

    A Loop becomes what a Scan is: it goes over the values of which its body takes the element of the step's number, and
    puts together the sequences that its body appends to.

    Raises:
        ModelError: its steps are not alike, or nothing that they read arrives with the signal; nothing has been bound.
    """
    read = (*filter(None, inputs), *(scope[name] for name in captured_names([node])))
    if all(each in work.constants for name in read for each in work.sequences.get(name, (name,))):
        raise UnsupportedError("nothing that it reads arrives with the signal")
    keep = _keep_scan if node.op_type == "Scan" else _keep_loop
    keep(work, node, inputs, scope, inlined)


def _keep_scan(work: BodyBinder, node: NodeProto, inputs: list[str], scope: Scope, inlined: bool) -> None:
    attributes = read_attributes(node, work.opset)
    body: GraphProto = attributes["body"]
    states = len(inputs) - attributes["num_scan_inputs"]
    given = [work.types[name] for name in inputs]
    ranks = [len(tensor.shape) for tensor in given[states:]]
    over = walks(attributes.get("scan_input_axes"), attributes.get("scan_input_directions"), ranks)
    given[states:] = [
        TensorType(tensor.shape[: walk.axis] + tensor.shape[walk.axis + 1 :], tensor.dtype)
        for tensor, walk in zip(given[states:], over, strict=True)
    ]
    step = bind_body(work, node, body, given, [value.name for value in body.output], scope)
    ranks = [len(step.graph.types[name].shape) + 1 for name in step.graph.outputs[states:]]
    into = walks(attributes.get("scan_output_axes"), attributes.get("scan_output_directions"), ranks)
    scan = Scan(step.graph, states, over, into, _most_steps(work, step.graph))
    _append(work, node, [*inputs, *step.captured.values()], list(node.output), scan, scope, inlined)


def _keep_loop(work: BodyBinder, node: NodeProto, inputs: list[str], scope: Scope, inlined: bool) -> None:
    body: GraphProto = read_attributes(node, work.opset)["body"]
    trips, carried = _trips(work, inputs), inputs[_CARRIED:]
    made = [value.name for value in body.output[1:]]
    outputs = [*node.output, *[""] * (len(made) - len(node.output))]
    grown = {
        place: _appended(work, body, place, name, outputs[place])
        for place, name in enumerate(carried)
        if name in work.sequences
    }
    states = [place for place in range(len(carried)) if place not in grown]
    given = [None if place in grown else work.types[name] for place, name in enumerate(carried)]
    results = [body.output[0].name, *(made[place] for place in states), *made[len(carried) :]]
    results += [insert.input[1] for insert in grown.values()]
    step = bind_body(work, node, body, [_NUMBER, np.array(True), *given], results, scope, grown.values())
    scan, names = _as_scan(work, _ever_on(work, step), [carried[place] for place in states], trips)
    given_to = [outputs[place] for place in states] + [""] * (scan.states - len(states))
    given_to += outputs[len(carried) :] + [outputs[place] for place in grown]
    _append(work, node, names, given_to, scan, scope, inlined)
    work.stacks.update(scope[outputs[place]] for place in grown if outputs[place])


def _trips(work: BodyBinder, inputs: Sequence[str]) -> int:
    """How many steps a Loop takes."""
    count = work.constants.get(inputs[0])
    going = [work.constants.get(name) for name in inputs[1:_CARRIED] if name]
    if count is None or count.item() < 1 or any(value is None or not value.all() for value in going):
        raise UnsupportedError("how often it goes round does not follow from shapes alone; a trip count would work")
    return int(count.item())


def _appended(work: BodyBinder, body: GraphProto, place: int, sequence: str, result: str) -> NodeProto:
    """The node of a body that puts one tensor a step behind a sequence that is carried, and empty at first.

    Args:
        work: of the graph around it.
        body: of the Loop.
        place: of the sequence among what is carried.
        sequence: the graph's name of what it is at first.
        result: the file's name of what it is in the end, or ''.

    Raises:
        UnsupportedError: more is done with it.
    """
    formal, after = body.input[_CARRIED + place].name, body.output[1 + place].name
    touched = [(each, (*each.input, *each.output, *captured_names([each]))) for each in body.node]
    within = [each for each, names in touched if formal in names or after in names]
    behind = [each for each in within if each.op_type == "SequenceInsert" and not any(each.input[2:])]
    readers = {each.op_type for each in all_nodes(work.network.model) if result and result in each.input}
    handed_on = {value.name for graph in all_graphs(work.network.model) for value in graph.output}
    alone = len(within) == 1 and within == behind and readers <= {"ConcatFromSequence"} and result not in handed_on
    if work.sequences[sequence] or not alone:
        raise UnsupportedError(
            f"it carries the sequence '{formal}'; an empty one that each step puts a tensor behind, and that "
            "ConcatFromSequence alone reads in the end, would work"
        )
    return behind[0]


def _ever_on(work: BodyBinder, step: Body) -> Body:
    """Take the condition away from what a Loop's body gives. Raises UnsupportedError if it may end the loop."""
    condition, *outputs = step.graph.outputs
    value = work.constants.get(step.captured.get(condition, ""))
    if value is None or not value.all():
        raise UnsupportedError("a condition may end it; one that is always true would work")
    return step._replace(graph=prune(replace(step.graph, outputs=outputs)))


def _as_scan(work: BodyBinder, step: Body, states: Sequence[str], trips: int) -> tuple[Scan, list[str]]:
    """What a Loop is as a Scan, and the names of its node's inputs.

    Where a body takes the element of the step's number of a value that has as many as there are steps, the Scan goes
    over that value; where the number is read otherwise, it becomes one more state.
    """
    graph, types = step.graph, dict(step.graph.types)
    number, *formals = list(graph.inputs)[: 1 + len(states)]
    over: dict[str, tuple[str, Walk]] = {}
    nodes = []
    for node in graph.nodes:
        walk = _gone_over(node, number, step, trips)
        if walk is None:
            nodes.append(node)
        else:
            over[node.outputs[0]] = step.captured[node.inputs[0]], walk
    if not over:
        raise UnsupportedError("its body takes the element of its number of no value that has one for each step")
    outputs, captured, given = list(graph.outputs), dict(step.captured), list(states)
    if any(number in node.reads for node in nodes):
        one, after = f"{number}.one", f"{number}.next"
        names: Scope = {}
        for name, value in ((number, 0), (one, 1)):
            work.add_initializer(name, np.array(value, np.int64), names)
        formals, given, captured[one] = [*formals, number], [*given, names[number]], names[one]
        types |= {one: _NUMBER, after: _NUMBER}
        nodes.append(Node("Add", after, (number, one), (after,), {}, OPSET))
        outputs.insert(len(states), after)
    read = set(outputs).union(*(node.reads for node in nodes))
    captured = {name: around for name, around in captured.items() if name in read}
    inputs = {name: types[name] for name in (*formals, *over, *captured)}
    body = prune(replace(graph, inputs=inputs, outputs=outputs, nodes=nodes, types=types))
    into = (Walk(0, False),) * (len(outputs) - len(given))
    scan = Scan(body, len(given), tuple(walk for _, walk in over.values()), into, _most_steps(work, body))
    return scan, [*given, *(name for name, _ in over.values()), *captured.values()]


def _gone_over(node: Node, number: str, step: Body, trips: int) -> Walk | None:
    """How a node of a Loop's body takes one element a step of a value from around it; None if it does not."""
    if node.op != "Gather" or node.inputs[1] != number or node.inputs[0] not in step.captured:
        return None
    shape = step.graph.types[node.inputs[0]].shape
    axis = node.attributes.get("axis", 0) % len(shape)
    return Walk(axis, False) if shape[axis] == trips else None


def _most_steps(work: BodyBinder, body: Graph) -> int:
    return work.network.limits.nodes // max(1, len(body.nodes))


def _append(
    work: BodyBinder,
    node: NodeProto,
    inputs: list[str],
    outputs: Sequence[str],
    scan: Scan,
    scope: Scope,
    inlined: bool,
) -> None:
    """Add the node; `outputs` are the file's names, '' where there is none."""
    body = scan.body
    types = [work.types[name] for name in inputs[: scan.states]]
    for name, after, before in zip(inputs, body.outputs, types, strict=False):
        if body.types[after] != before:
            raise UnsupportedError(f"its state '{name}' is {before} at first, and {body.types[after]} later")
    length = common_length(node.name, (work.types[name] for name in inputs[scan.states : scan.captures]), scan.inputs)
    for name, walk in zip(body.outputs[scan.states :], scan.outputs, strict=True):
        shape = body.types[name].shape
        types.append(TensorType((*shape[: walk.axis], length, *shape[walk.axis :]), body.types[name].dtype))
    inferred = {name: tensor for name, tensor in zip(outputs, types, strict=False) if name}
    for name, tensor in inferred.items():
        work.graph.check_size(tensor, f"output '{name}' of {node.op_type} '{node.name}'")
    named = make_node(node.op_type, [], outputs, name=node.name)
    work.graph.append(named, inputs, inferred, scope, work.opset, inlined, {"scan": scan})
