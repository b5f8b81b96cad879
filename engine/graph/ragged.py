"""Outputs whose size depends on the data: they get the largest size that they can have, and a value that counts.

A program has fixed shapes. Such an operator fills the beginning of its output along one axis and says in one more
output, int64 [1], how much of it counts; whoever runs the network cuts the output there. No node can read it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from onnx import NodeProto

from ..errors import UnsupportedError
from .ir import TensorType

_INT64 = np.dtype(np.int64)


class Bound(NamedTuple):
    """One output of such an operator."""

    largest: TensorType
    axis: int | None
    """Along which only the beginning counts; None: all of it does."""


def _compress(types: Sequence[TensorType], values: Sequence[np.ndarray | None], axis: int | None) -> list[Bound]:
    x, condition = types[0], types[1].size
    if axis is None:
        return [Bound(TensorType((min(condition, x.size),), x.dtype), 0)]
    axis %= len(x.shape)
    shape = (*x.shape[:axis], min(condition, x.shape[axis]), *x.shape[axis + 1 :])
    return [Bound(TensorType(shape, x.dtype), axis)]


def _non_zero(types: Sequence[TensorType], values: Sequence[np.ndarray | None], axis: int | None) -> list[Bound]:
    return [Bound(TensorType((len(types[0].shape), types[0].size), _INT64), 1)]


def _unique(types: Sequence[TensorType], values: Sequence[np.ndarray | None], axis: int | None) -> list[Bound]:
    x = types[0]
    axis = None if axis is None else axis % len(x.shape)
    listed = TensorType((x.size if axis is None else x.shape[axis],), _INT64)
    y = Bound(TensorType((x.size,), x.dtype), 0) if axis is None else Bound(x, axis)
    return [y, Bound(listed, 0), Bound(listed, None), Bound(listed, 0)]


def _non_max_suppression(
    types: Sequence[TensorType], values: Sequence[np.ndarray | None], axis: int | None
) -> list[Bound]:
    batch, classes, boxes = types[1].shape
    most = values[2] if len(values) > 2 else None
    kept = 0 if most is None else min(max(int(most.reshape(-1)[0]), 0), boxes)
    return [Bound(TensorType((batch * classes * kept, 3), _INT64), 0)]


RAGGED: Mapping[str, Callable[[Sequence[TensorType], Sequence[np.ndarray | None], int | None], list[Bound]]] = {
    "Compress": _compress,
    "NonMaxSuppression": _non_max_suppression,
    "NonZero": _non_zero,
    "Unique": _unique,
}
"""Operator -> (types and constant values of its inputs, attribute axis) -> a bound for each formal output."""


def bounds(
    node: NodeProto,
    inputs: Sequence[str],
    types: Mapping[str, TensorType],
    constants: Mapping[str, np.ndarray],
    attributes: Mapping[str, Any],
) -> list[Bound]:
    """Return what an operator of `RAGGED` can give at most, for each of its formal outputs.

    `inputs` are the graph's names of the node's inputs. Raises UnsupportedError where the bound depends on data too.
    """
    if node.op_type == "NonMaxSuppression" and len(inputs) > 2 and inputs[2] and inputs[2] not in constants:
        raise UnsupportedError(
            f"NonMaxSuppression '{node.name}': max_output_boxes_per_class '{node.input[2]}' is computed from the data; "
            "a constant, or an input, would work"
        )
    present = [name for name in inputs if name]
    return RAGGED[node.op_type](
        [types[name] for name in present], [constants.get(name) for name in inputs], attributes.get("axis")
    )


def unreadable(node: NodeProto, name: str) -> UnsupportedError:
    """Return the error for a node that reads a value whose size depends on the data."""
    return UnsupportedError(
        f"{node.op_type} '{node.name}' reads '{name}', whose size depends on the data; such a value can only be an "
        "output of the network: cut the network in two there"
    )
