"""Whether a node's inputs and attributes go together, where ONNX's own inference does not look.

What computes a node takes its sizes from one of the inputs, and would read beyond another one that contradicts it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from onnx import NodeProto

from ..errors import ModelError
from .ir import TensorType

Shape = tuple[int | None, ...]
"""None: any size."""
Shapes = Sequence[tuple[int, ...] | None]
"""Of a node's inputs; None: it has none there."""
Rule = Callable[[str, Shapes, Mapping[str, Any]], Iterator[tuple[int, Shape]]]
"""Gives the inputs' positions, and the shapes that they must have."""

WORDS = {
    "auto_pad": ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"),
    "reduction": ("none", "add", "mul", "min", "max"),
}
"""What attributes of these names may say, whosever they are."""

COUNTS = ("group", "offset_group")
"""Attributes that are at least 1."""

MOST_AXES = 64
"""More than any tensor has; ONNX's inference takes the lower 32 bits of what is far beyond."""

_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_FILTERS = {"Conv": (1, 2), "ConvInteger": (1, None), "QLinearConv": (3, 8), "DeformConv": (1, 3)}
"""Positions of filters and bias."""


def check_agreement(node: NodeProto, types: Sequence[TensorType | None], attributes: Mapping[str, Any]) -> None:
    """Raise ModelError where a node's inputs, of these types, or its attributes contradict each other."""
    for name, words in WORDS.items():
        if attributes.get(name, words[0]) not in words:
            raise ModelError(
                f"{node.op_type} '{node.name}' has the {name} {attributes[name]!r}; {', '.join(words)} would work"
            )
    for name in COUNTS:
        if attributes.get(name, 1) < 1:
            raise ModelError(f"{node.op_type} '{node.name}' has the {name} {attributes[name]}; at least 1 would work")
    axis = attributes.get("axis", 0)
    if not -MOST_AXES <= axis < MOST_AXES:
        raise ModelError(f"{node.op_type} '{node.name}' has the axis {axis}, which no tensor has")
    rule = _RULES.get(node.op_type)
    if rule is None:
        return
    shapes = [None if one is None else one.shape for one in types]
    for position, wanted in rule(node.op_type, shapes, attributes):
        shape = shapes[position] if position < len(shapes) else None
        if shape is not None and not _fits(shape, wanted):
            sizes = ", ".join("any" if size is None else str(size) for size in wanted)
            raise ModelError(
                f"{node.op_type} '{node.name}': its input '{node.input[position]}' has the shape {list(shape)}, which "
                f"does not go with the other inputs and attributes; [{sizes}] would work"
            )


def _fits(shape: tuple[int, ...], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(
        wants is None or size == wants for size, wants in zip(shape, wanted, strict=True)
    )


def _convolution(op: str, shapes: Shapes, attributes: Mapping[str, Any]) -> Iterator[tuple[int, Shape]]:
    """X [batch, channels, ...], W [filters, channels / groups, ...], B [filters]."""
    at, bias = _FILTERS[op]
    x, w, groups = shapes[0], shapes[at], attributes.get("group", 1)
    if x is None or w is None:
        return
    yield 0, (None, _multiple(x[1], groups), *(None,) * (len(x) - 2))
    yield at, (_multiple(w[0], groups), x[1] // groups, *(None,) * (len(x) - 2))
    if bias is not None:
        yield bias, (w[0],)
    if op == "DeformConv":
        taps, sets = math.prod(w[2:]), attributes.get("offset_group", 1)
        yield 0, (None, _multiple(x[1], sets), *(None,) * (len(x) - 2))
        yield 2, (x[0], sets * taps * (len(x) - 2), *(None,) * (len(x) - 2))
        yield 4, (x[0], sets * taps, *(None,) * (len(x) - 2))


def _transposed(op: str, shapes: Shapes, attributes: Mapping[str, Any]) -> Iterator[tuple[int, Shape]]:
    """X [batch, channels, ...], W [channels, filters / groups, ...], B [filters]."""
    x, w, groups = shapes[0], shapes[1], attributes.get("group", 1)
    if x is None or w is None:
        return
    yield 1, (_multiple(x[1], groups), *(None,) * (len(x) - 1))
    yield 2, (w[1] * groups,)


def _recurrent(op: str, shapes: Shapes, attributes: Mapping[str, Any]) -> Iterator[tuple[int, Shape]]:
    """X, W, R, B, sequence_lens, initial_h, initial_c and P, as the specification of RNN, GRU and LSTM gives them."""
    x, r = shapes[0], shapes[2]
    if x is None or r is None:
        return
    yield 0, (None,) * 3
    yield 2, (None,) * 3
    gates, hidden = _GATES[op], attributes.get("hidden_size", r[2])
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    batch_first = attributes.get("layout", 0) == 1
    batch = x[0] if batch_first else x[1]
    state = (batch, directions, hidden) if batch_first else (directions, batch, hidden)
    yield 1, (directions, gates * hidden, x[2])
    yield 2, (directions, gates * hidden, hidden)
    yield 3, (directions, 2 * gates * hidden)
    yield 4, (batch,)
    yield 5, state
    yield 6, state
    yield 7, (directions, 3 * hidden)


def _slope(op: str, shapes: Shapes, attributes: Mapping[str, Any]) -> Iterator[tuple[int, Shape]]:
    """A slope that broadcasts to X, and not the other way round; or, as ONNX had it at first, one of each channel."""
    x, slope = shapes[0], shapes[1]
    if x is None or slope is None or slope == x[1:2]:
        return
    missing = len(x) - len(slope)
    yield 1, tuple(x[missing + axis] if size != 1 else 1 for axis, size in enumerate(slope)) if missing >= 0 else x


def _grid(op: str, shapes: Shapes, attributes: Mapping[str, Any]) -> Iterator[tuple[int, Shape]]:
    """X, a scale for all of it, for each place along an axis or for each block, and as many zero points."""
    x, scale = shapes[0], shapes[1]
    if x is None or scale is None:
        return
    if len(scale) == 1 and scale != (1,) and not attributes.get("block_size"):
        yield 1, (x[attributes.get("axis", 1)],)
    if len(shapes) > 2 and shapes[2] is not None and math.prod(scale) * math.prod(shapes[2]) != 1:
        yield 2, scale


def _region(op: str, shapes: Shapes, attributes: Mapping[str, Any]) -> Iterator[tuple[int, Shape]]:
    """A beginning and an end for each axis that is resized, where they are read."""
    x = shapes[0]
    if x is not None and attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        yield 1, (2 * len(attributes.get("axes") or x),)


def _multiple(size: int, of: int) -> int:
    """The size if it is a multiple, else the nearest one above."""
    return -(-size // of) * of


_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_FILTERS, _convolution),
    **dict.fromkeys(_GATES, _recurrent),
    "ConvTranspose": _transposed,
    "PRelu": _slope,
    "Resize": _region,
    "QuantizeLinear": _grid,
    "DequantizeLinear": _grid,
}
