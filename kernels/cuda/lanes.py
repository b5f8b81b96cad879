"""The launches that take all lanes together: see row_tiles.cuh, which has what these sizes follow from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..contract import Kernel, Space
from ..packing_recurrent import GRU_GATES, LSTM_GATES
from ..schemas.half import HALF
from .limits import Limits

MOST_ROWS = 16
"""Rows, of any lanes, that a block multiplies with each weight that it reads."""

LANES_BYTES = 43_392
"""Shared memory of a block; weights that it holds from step to step lie behind."""

LANES_THREADS = 512
"""Of a block, at most."""

LAYER_UNITS = (4, 8, 16)
"""Hidden numbers of a layer that a block may have: whole reads of weights, parts of a panel."""

STEP_UNITS = 8
"""As many in a layer of one step: 32 bytes of each gate, the least that the second cache gives at once."""

DENSE_COLUMNS = 32
"""Columns of a product that a block has: 4 for each thread of a slice."""


class Shape(NamedTuple):
    """What a launch needs beside its function; see `Launch`."""

    grid: tuple[int, int]
    """Parts of the result of each group of rows, side by side: a second axis has no room for the rows of all lanes."""
    threads: int
    shared_bytes: int = LANES_BYTES
    arrivals: int = 0
    cooperative: bool = False


def shape_of_lanes(kernel: Kernel, operands: Mapping[str, Any], lanes: int, limits: Limits) -> Shape | None:
    """The launch of all lanes together; None where they do not share their weights, or where it does not pay.

    A layer whose reset comes before its product stays with a block a lane: at each step it would wait twice.
    """
    weights = (operands.get(name) for name in ("weights", "input_weights", "hidden_weights", "bias", "slope"))
    if any(tensor is not None and tensor.space is not Space.WEIGHTS for tensor in weights):
        return None
    if "hidden_weights" not in operands:
        rows, columns = operands["y"].shape
        blocks = -(-columns // DENSE_COLUMNS) * _groups(lanes * rows)
        return Shape((blocks, 1), limits.slices * DENSE_COLUMNS // 4)
    if not operands.get("linear_before_reset", True):
        return None
    time, batch, hidden = operands["y"].shape
    if time == 1:
        units = next(units for units in LAYER_UNITS if units >= min(STEP_UNITS, hidden))
        return _layer(hidden, units, _groups(lanes * batch), limits)
    weight_bytes = 2 if kernel.name.endswith(HALF) else 4
    gates = GRU_GATES if "candidate" in operands else LSTM_GATES
    return _sequence(hidden, gates * weight_bytes, _groups(lanes * batch), limits)


def _sequence(hidden: int, weight_bytes: int, groups: int, limits: Limits) -> Shape | None:
    """All steps in one launch, on the smallest parts that all run at the same time: those that hold weights first."""
    if hidden < limits.shared_hidden:
        return None
    found = None
    for units in LAYER_UNITS:
        shape = _layer(hidden, units, groups, limits)._replace(cooperative=True)
        if shape.grid[0] > limits.multiprocessors:
            continue
        held_bytes = shape.shared_bytes + units * hidden * weight_bytes
        if held_bytes <= limits.shared_bytes:
            return shape._replace(shared_bytes=held_bytes)
        found = found or shape
    return found


def _layer(hidden: int, units: int, groups: int, limits: Limits) -> Shape:
    return Shape((-(-hidden // units) * groups, 1), limits.slices * units, arrivals=2 * groups)


def _groups(rows: int) -> int:
    return max(1, -(-rows // MOST_ROWS))
