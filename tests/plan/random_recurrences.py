"""Layers of random networks that keep a state, each with everything about it drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx.parser

from tests.plan.random_streams import Network, Value


def recurrent(net: Network, value: Value) -> Value:
    """A layer along the last dimension; the other one is its batch."""
    op, hidden = net.choice(("LSTM", "GRU", "RNN")), net.integer(1, 4)
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    name = net.node("Transpose", value.name, perm=[net.rank + 1, *([0] if net.rank == 1 else [0, 2]), 1])
    if net.rank == 2:
        name = net.node("Squeeze", name, net.constant([1]))
    extra = [net.weights(1, 2 * gates * hidden)] if net.integer(0, 1) else []
    if net.rank == 1 and net.integer(0, 1):
        extra = [*(extra or [""]), "", *(net.weights(1, 1, hidden) for _ in range(2 if op == "LSTM" else 1))]
    attributes = {"linear_before_reset": net.integer(0, 1)} if op == "GRU" else {}
    weights = net.weights(1, gates * hidden, value.channels, fan_in=value.channels)
    name = net.node(
        op,
        name,
        weights,
        net.weights(1, gates * hidden, hidden, fan_in=hidden),
        *extra,
        hidden_size=hidden,
        **attributes,
    )
    # [sequence, 1, batch, hidden]
    name = net.node("Transpose", name, perm=[1, 3, 2, 0])
    if net.rank == 1:
        name = net.node("Squeeze", name, net.constant([2]))
    return net.derived(value, name, [lambda length: length] * net.rank, hidden)


def scanned(net: Network, value: Value) -> Value:
    """A cell that is written out as a Scan or Loop, over one value or two; one that counts its steps makes two."""
    if net.rank == 2:
        return recurrent(net, value)
    channels, hidden = value.channels, net.integer(1, 4)
    given, made, outputs = [f"float[1,{hidden}] s"], [f"float[1,{hidden}] s_next"], [f"float[1,{hidden}] o"]
    starts, values = [net.weights(1, hidden)], {"e": value.name}
    weights = net.weights(channels, hidden, fan_in=channels), net.weights(hidden, hidden, fan_in=hidden)
    nodes = f"a = MatMul(e, {weights[0]}) b = MatMul(s, {weights[1]}) c = Add(a, b) s_next = Tanh(c) "
    nodes += f"o = {net.choice(('Neg', 'Identity'))}({net.choice(('s', 's_next'))}) "
    if net.integer(0, 1):
        values["f"] = net.node("Sigmoid", value.name)
        nodes = f"g = Mul(e, f) {nodes.replace('(e, ', '(g, ')}"
    if net.integer(0, 1):
        given, made = [*given, "int64 n"], [*made, "int64 n_next"]
        starts, outputs = [*starts, net.constant(np.array(0))], [*outputs, f"float[1,{hidden}] p"]
        nodes += f"n_next = Add(n, {net.constant(np.array(1))}) k = Cast<to=1>(n_next) p = Div(s_next, k)"
    write = net.choice((as_scan, as_loop))
    name, axes = write(net, dict(zip(given, starts, strict=True)), made, outputs, values, channels, nodes)
    parts = [f"{name}_{index}" for index in range(len(made), len(made) + len(outputs))]
    turned = [
        net.node("Transpose", part, perm=[1, 2, 0]) if axis == 0 else part
        for part, axis in zip(parts, axes, strict=True)
    ]
    return net.derived(value, net.node("Concat", *turned, axis=1), [lambda length: length], hidden * len(parts))


def as_scan(
    net: Network,
    states: Mapping[str, str],
    after: Sequence[str],
    outputs: Sequence[str],
    values: Mapping[str, str],
    channels: int,
    nodes: str,
) -> tuple[str, list[int]]:
    """Add a Scan over values [1, channels, time]; its name, and the axes along which its outputs are put together.

    Args:
        net: where it is added.
        states: each as the body declares it -> what it is at first.
        after: the states' next values, as the body declares them.
        outputs: likewise.
        values: the body's name of an element -> the value.
        channels: of these.
        nodes: of the body.
    """
    axes = [net.choice((0, 2, -1)) for _ in outputs]
    formal = [*states, *(f"float[1,{channels}] {element}" for element in values)]
    name = net.node(
        "Scan",
        *states.values(),
        *values.values(),
        outputs=len(after) + len(outputs),
        num_scan_inputs=len(values),
        scan_input_axes=[net.choice((2, -1)) for _ in values],
        scan_output_axes=axes,
        body=onnx.parser.parse_graph(f"cell ({', '.join(formal)}) => ({', '.join([*after, *outputs])}) {{ {nodes} }}"),
    )
    return name, axes


def as_loop(
    net: Network,
    states: Mapping[str, str],
    after: Sequence[str],
    outputs: Sequence[str],
    values: Mapping[str, str],
    channels: int,
    nodes: str,
) -> tuple[str, list[int]]:
    """Add a Loop over values [1, channels, time]: see `as_scan`."""
    del channels
    shape = net.node("Shape", next(iter(values.values())))
    length = net.node("Gather", shape, net.constant(np.array(2)), axis=0)
    gathers = " ".join(f"{element} = Gather<axis=2>({value}, i)" for element, value in values.items())
    formal, made = ["int64 i", "bool more", *states], ["bool more", *after, *outputs]
    body = f"cell ({', '.join(formal)}) => ({', '.join(made)}) {{ {gathers} {nodes} }}"
    name = net.node(
        "Loop",
        length,
        "",
        *states.values(),
        outputs=len(after) + len(outputs),
        body=onnx.parser.parse_graph(body),
    )
    return name, [0] * len(outputs)
