"""What the native LSTM and GRU share: rows in scratch, products of rows with gate weights, the loop over the steps.

A row is one sequence: an element of the batch, or a lane when the batch is 1, so that lanes share each pass over the
weights. A row owns a region of its lane's scratch, in vectors of PANEL (P = panels of the hidden axis):

    hidden [P], second state [P], hidden part of the gates [P, gates], input part [steps, P, gates]

Per group of rows: the input part of up to RECURRENT_STEPS steps as one matrix product, then step by step the hidden
part for all rows, and the cells.

Bound by reading the weights once a step (T = 1), else by the latency of the cells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

from ..contract import ABSENT, PANEL, Context, Kernel, Space
from ..schemas.recurrent import RECURRENT_STEPS
from .gate_vectors import VECTOR_BYTES, copy_floats, panel_products, zero_vector
from .memory import float_pointer, locate, space_of
from .native import device
from .turns import TURN

STEPS = RECURRENT_STEPS

_ARENA_STRIDE = int(Context.ARENA_STRIDE)
_WEIGHTS_STRIDE = int(Context.WEIGHTS_STRIDE)
_LANES = int(Context.LANES)
_STATE = int(Space.STATE)
_ABSENT = ABSENT
_TURN = TURN
_PANEL = PANEL
_VECTOR = VECTOR_BYTES


def gate_products(gates: int, most_rows: int, half: bool = False):
    """A native function: products of any number of rows with packed gate weights; arguments as `panel_products`.

    Its last argument says whether to take the panels from the last to the first (`turns`). `most_rows` rows share a
    pass over a panel's weights: as many as leave registers for the weights. `half`: the weights are float16.
    """
    most = panel_products(most_rows, gates, 1, half)
    two = panel_products(2, gates, 1, half)
    pair = panel_products(1, gates, 2, half)
    single = panel_products(1, gates, 1, half)
    column = gates * VECTOR_BYTES
    weights_column = column // 2 if half else column

    @device
    def products(target, target_row, bias, x, x_row, x_step, weights, inner, rows, panels, backwards):
        panel_weights = inner * weights_column
        # One row alone waits for its sums: two panels at once halve the wait.
        paired = panels & -2 if rows == 1 else 0
        for index in range(0, paired, 2):
            panel = paired - 2 - index if backwards else index
            to, start, w = target + panel * column, bias + panel * column, weights + panel * panel_weights
            pair(to, target_row, column, start, column, x, x_row, x_step, w, panel_weights, inner)
        for index in range(paired, panels):
            panel = paired + panels - 1 - index if backwards else index
            to, start, w = target + panel * column, bias + panel * column, weights + panel * panel_weights
            source, left = x, rows
            while left >= most_rows:
                most(to, target_row, 0, start, 0, source, x_row, x_step, w, 0, inner)
                to += most_rows * target_row
                source += most_rows * x_row
                left -= most_rows
            while left >= 2:
                two(to, target_row, 0, start, 0, source, x_row, x_step, w, 0, inner)
                to += 2 * target_row
                source += 2 * x_row
                left -= 2
            if left == 1:
                single(to, target_row, 0, start, 0, source, x_row, x_step, w, 0, inner)

    return products


def input_products(products, gates: int):
    """A native function: the input part of the gates for some steps of all rows, as one matrix product or a few.

    Args of the function (int64; addresses and strides in bytes): target [rows, steps, panels, gates, PANEL] and its
    row stride; bias; x at the first step of the first row, its strides by row, step and input; weights; sizes; whether
    to take the panels backwards.
    """

    @device
    def compute(target, target_row, bias, x, x_row, x_time, x_step, weights, inner, rows, steps, panels, backwards):
        step_bytes = panels * gates * VECTOR_BYTES
        if rows > steps:
            for step in range(steps):
                to = target + step * step_bytes
                products(
                    to, target_row, bias, x + step * x_time, x_row, x_step, weights, inner, rows, panels, backwards
                )
        else:
            for row in range(rows):
                to = target + row * target_row
                products(
                    to, step_bytes, bias, x + row * x_row, x_time, x_step, weights, inner, steps, panels, backwards
                )

    return compute


@njit(inline="always")
def shares_weights(operands, position_x, context):
    """Whether the lanes are the rows: the batch is 1 and x lies at one distance from lane to lane."""
    return operands[position_x + 2] == 1 and space_of(operands, position_x) != _STATE and context[_LANES] > 1


@njit(inline="always")
def row_distance(operands, position_x, context, shared):
    """Bytes from one row of x to the next."""
    if shared:
        return context[_WEIGHTS_STRIDE + space_of(operands, position_x)]
    return 4 * operands[position_x + 5]


@njit(inline="always")
def region_distance(context, shared, vectors):
    """Bytes from one row's region of scratch to the next: regions of `vectors` vectors, or lanes."""
    return context[_ARENA_STRIDE] if shared else vectors * _VECTOR


@njit(inline="always")
def row_address(operands, position, context, group, row, shared, batch_stride):
    """Address of a row of an operand: of lane `row` where lanes are the rows, else of row `row` of lane `group`."""
    if shared:
        return locate(operands, position, context, row)
    return locate(operands, position, context, group) + 4 * row * batch_stride


@njit(inline="always")
def load_state(operands, position, context, group, rows, shared, target, target_row, panels):
    """Copy an optional [batch, hidden] operand to the rows' regions, padded with zeros; zeros where it is absent."""
    for row in range(rows):
        to = target + row * target_row
        for panel in range(panels):
            zero_vector(to + panel * _VECTOR)
        if operands[position] != _ABSENT:
            source = row_address(operands, position, context, group, row, shared, operands[position + 3])
            copy_floats(to, source, operands[position + 2])


@njit(inline="always")
def store_state(operands, position, context, group, rows, shared, source, source_row):
    """Copy the rows' state to an optional [batch, hidden] operand."""
    if operands[position] != _ABSENT:
        for row in range(rows):
            target = row_address(operands, position, context, group, row, shared, operands[position + 3])
            copy_floats(target, source + row * source_row, operands[position + 2])


@njit(inline="always")
def store_step(operands, position, context, group, rows, shared, step, source, source_row):
    """Copy the rows' hidden state to y[step]."""
    hidden, stride = operands[position + 3], operands[position + 6]
    for row in range(rows):
        target = row_address(operands, position, context, group, row, shared, operands[position + 5])
        target += 4 * step * operands[position + 4]
        if stride == 1:
            copy_floats(target, source + row * source_row, hidden)
        else:
            y, h = float_pointer(target), float_pointer(source + row * source_row)
            for i in range(hidden):
                y[i * stride] = h[i]


def layer(kernel: Kernel, gates: int, most_rows: int, cells: Callable[[Any], Any], *, half: bool = False) -> Any:
    """A native function (operands, context): a whole layer, one direction.

    Args:
        kernel: its schema.
        gates: how many.
        most_rows: see `gate_products`.
        cells: makes, of a function of `gate_products`, the native function that computes the cells of one step:
            (operands, from_input, from_hidden, bias, h, second, weights, hidden, region, rows, panels, backwards):
            addresses of the gates' two parts, of R's biases, of both states of the first row, and of R; sizes;
            `region` is the distance of rows; the order of another pass over R.
        half: the weights are float16.
    """
    at = kernel.positions()
    at_x, at_y, at_bias, at_scratch = at["x"], at["y"], at["bias"], at["scratch"]
    at_w, at_r, at_reverse = at["input_weights"], at["hidden_weights"], at["reverse"]
    at_initial, at_last = at["initial_hidden"], at["last_hidden"]
    has_cell = "initial_cell" in at
    at_initial_cell, at_last_cell = at.get("initial_cell", 0), at.get("last_cell", 0)
    products = gate_products(gates, most_rows, half)
    from_inputs, step_cells = input_products(products, gates), cells(products)

    @device
    def run(o, context):
        time, inner, hidden = o[at_x + 1], o[at_x + 3], o[at_y + 3]
        panels = (hidden + _PANEL - 1) // _PANEL
        shared = shares_weights(o, at_x, context)
        rows = context[_LANES] if shared else o[at_x + 2]
        step_bytes = gates * panels * _VECTOR
        region = region_distance(context, shared, panels * (2 + gates * (1 + min(time, STEPS))))
        x_row, x_time, x_step = row_distance(o, at_x, context, shared), 4 * o[at_x + 4], 4 * o[at_x + 6]
        w, r, bias = locate(o, at_w, context, 0), locate(o, at_r, context, 0), locate(o, at_bias, context, 0)
        for group in range(1 if shared else context[_LANES]):
            x = locate(o, at_x, context, group)
            h = locate(o, at_scratch, context, group)
            second = h + panels * _VECTOR
            from_hidden = second + panels * _VECTOR
            from_input = from_hidden + step_bytes
            load_state(o, at_initial, context, group, rows, shared, h, region, panels)
            if has_cell:
                load_state(o, at_initial_cell, context, group, rows, shared, second, region, panels)
            backwards = context[_TURN] & 1
            for first in range(0, time, STEPS):
                count = min(STEPS, time - first)
                start, turn = first, 1
                if o[at_reverse]:
                    start, turn = time - 1 - first, -1
                signal = x + start * x_time, x_row, turn * x_time, x_step
                sizes = inner, rows, count, panels
                if not backwards:
                    from_inputs(from_input, region, bias, *signal, w, *sizes, 0)
                for step in range(count):
                    inputs = from_input + step * step_bytes
                    products(from_hidden, region, bias + step_bytes, h, region, 4, r, hidden, rows, panels, backwards)
                    if step == 0 and backwards:  # R before W
                        from_inputs(from_input, region, bias, *signal, w, *sizes, 1)
                    backwards = 1 - backwards
                    step_cells(
                        o, inputs, from_hidden, bias + step_bytes, h, second, r, hidden, region, rows, panels, backwards
                    )
                    store_step(o, at_y, context, group, rows, shared, start + turn * step, h, region)
            store_state(o, at_last, context, group, rows, shared, h, region)
            if has_cell:
                store_state(o, at_last_cell, context, group, rows, shared, second, region)

    return run
