"""The schema of every kernel, in the order in which native code reads the operand words.

What each kernel computes is the function of the same name in `kernels.reference`; how weights are packed is in
`kernels.packing`. Names of axes: batch, channels, height, width; time, hidden; rows, inner, columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

from . import windows
from .contract import LOOP_RANK, PANEL, Choice, Field, Float, Int, Kernel, Tensor
from .opcodes import Activation, Binary, Reduce, Unary

ACTIVATION: tuple[Field, ...] = (
    Choice("activation", Activation),
    Float("alpha"),
    Float("beta"),
    Tensor("slope", 1, "dense", optional=True),  # [channels padded to PANEL], PRELU only
)

RECURRENT_STEPS = 64
"""Time steps whose input part `lstm` and `gru` compute at once, before their recurrence."""


def padded(columns: int) -> int:
    """Columns rounded up to whole panels."""
    return -(-columns // PANEL) * PANEL


def _conv_multiply_adds(operands: Mapping[str, Any]) -> int:
    x, y = operands["x"], operands["y"]
    window = operands["kernel_height"] * operands["kernel_width"]
    return prod(y.shape) * (x.shape[1] // operands["groups"]) * window


def _recurrent_multiply_adds(gates: int) -> Callable[[Mapping[str, Any]], int]:
    def count(operands: Mapping[str, Any]) -> int:
        time, batch, inner = operands["x"].shape
        hidden = operands["y"].shape[2]
        return time * batch * gates * hidden * (inner + hidden)

    return count


def _gate_scratch(gates: int) -> Callable[[Mapping[str, Any]], int]:
    def count(operands: Mapping[str, Any]) -> int:
        # For each row: two vectors of running state, the hidden part of the gates, and the input part of many steps.
        time, batch, _ = operands["x"].shape
        width = padded(operands["y"].shape[2])
        return batch * width * (2 + gates + gates * min(time, RECURRENT_STEPS))

    return count


def _loop(name: str) -> Tensor:
    return Tensor(name, LOOP_RANK)


def _loop_out() -> Tensor:
    return Tensor("y", LOOP_RANK, written=True)


def _conv(name: str, scratch: Callable[[Mapping[str, Any]], int] | None = None) -> Kernel:
    extra = (Tensor("scratch", 1, "dense", written=True),) if scratch else ()
    return Kernel(
        name,
        (
            Tensor("x", 4),  # [batch, channels, height, width], rows where the variant says so (see plan.rules)
            Tensor("weights", 1, "dense"),  # packed by packing.<name>
            Tensor("bias", 1, "dense", optional=True),  # [output channels padded to PANEL]
            Tensor("y", 4, written=True),  # [batch, output channels, height, width]
            Int("groups"),
            Int("kernel_height"),
            Int("kernel_width"),
            Int("stride_height"),
            Int("stride_width"),
            Int("dilation_height"),
            Int("dilation_width"),
            Int("pad_top"),
            Int("pad_left"),  # bottom and right padding follow from the size of y
            *ACTIVATION,
            *extra,
        ),
        scratch=scratch,
        multiply_adds=_conv_multiply_adds,
    )


def _pool(name: str) -> Kernel:
    return Kernel(
        name,
        (
            Tensor("x", 4),
            Tensor("y", 4, written=True),
            Int("kernel_height"),
            Int("kernel_width"),
            Int("stride_height"),
            Int("stride_width"),
            Int("dilation_height"),
            Int("dilation_width"),
            Int("pad_top"),
            Int("pad_left"),
            Int("pad_bottom"),
            Int("pad_right"),
            Int("count_include_pad"),  # average only: 1 counts padding (not what ceil_mode adds) in the divisor
        ),
    )


def _recurrent(name: str, gates: int, *extra: Field) -> Kernel:
    return Kernel(
        name,
        (
            Tensor("x", 3),  # [time, batch, input]
            Tensor("input_weights", 1, "dense"),  # packed by packing_recurrent.gate_weights
            Tensor("hidden_weights", 1, "dense"),  # packed by packing_recurrent.gate_weights
            Tensor("bias", 1, "dense"),  # packed by packing_recurrent.gate_bias
            Tensor("initial_hidden", 2, "rows", optional=True),  # [batch, hidden]; absent: zeros
            Tensor("y", 3, written=True, optional=False),  # [time, batch, hidden]
            Tensor("last_hidden", 2, "rows", written=True, optional=True),  # may be initial_hidden's own memory
            Int("reverse"),  # 1: time runs from the last step to the first
            *extra,
            Tensor("scratch", 1, "dense", written=True),
        ),
        scratch=_gate_scratch(gates),
        multiply_adds=_recurrent_multiply_adds(gates),
    )


KERNELS: tuple[Kernel, ...] = (
    # Data movement
    Kernel("copy", (_loop("x"), _loop_out())),
    Kernel("fill", (_loop_out(), Float("value"))),
    Kernel(
        "gather",  # y[o, i, n] = x[o, indices[i], n]; an index below 0 gives 0.0 (zero padding)
        (Tensor("x", 3), Tensor("indices", 1, "dense", dtype="int32"), Tensor("y", 3, written=True)),
    ),
    # Element-wise
    Kernel("unary", (Choice("operator", Unary), Float("alpha"), Float("beta"), _loop("x"), _loop_out())),
    Kernel("binary", (Choice("operator", Binary), _loop("a"), _loop("b"), _loop_out())),
    Kernel("where", (_loop("condition"), _loop("a"), _loop("b"), _loop_out())),
    # Reductions
    Kernel(
        "reduce",  # over the last three axes of x
        (Choice("operator", Reduce), Tensor("x", 6), Tensor("y", 3, written=True)),
    ),
    Kernel("softmax", (Tensor("x", 3), Tensor("y", 3, written=True), Int("logarithm"))),  # over the middle axis
    # Products
    Kernel(
        "dense",  # y = activation(x @ w + bias), constant w
        (
            Tensor("x", 2),  # [rows, inner]
            Tensor("weights", 1, "dense"),  # packed by packing.dense
            Tensor("bias", 1, "dense", optional=True),  # [columns padded to PANEL]
            Tensor("y", 2, written=True),  # [rows, columns]
            *ACTIVATION,  # slope is one for each column
        ),
        multiply_adds=lambda o: prod(o["y"].shape) * o["x"].shape[1],
    ),
    Kernel(
        "matmul",  # y[b, c] = a[b, c] @ b[b, c], both arriving
        (Tensor("a", 4), Tensor("b", 4, "rows"), Tensor("y", 4, "rows", written=True)),
        multiply_adds=lambda o: prod(o["y"].shape) * o["a"].shape[3],
    ),
    # Windows
    _conv("conv_wide", windows.conv_wide_scratch),  # vectors along the width: images, long signals
    _conv("conv_narrow", windows.conv_narrow_scratch),  # vectors along the output channels: a few steps of a stream
    _conv("conv_depthwise"),  # one input channel a group, vectors along the width
    _pool("max_pool"),
    _pool("average_pool"),
    Kernel(
        "resize_linear",  # separable: each output is a blend of two rows by two columns
        (
            Tensor("x", 4),
            Tensor("rows", 2, "dense", dtype="int32"),  # [output height, 2]: first and second source row
            Tensor("row_weights", 1, "dense"),  # [output height]: weight of the second
            Tensor("columns", 2, "dense", dtype="int32"),  # [output width, 2]
            Tensor("column_weights", 1, "dense"),
            Tensor("y", 4, written=True),
            Tensor("scratch", 1, "dense", written=True),
        ),
        scratch=lambda o: 2 * o["y"].shape[3],
        multiply_adds=lambda o: 4 * prod(o["y"].shape),
    ),
    # Recurrent
    _recurrent(
        "lstm",
        4,
        Tensor("initial_cell", 2, "rows", optional=True),
        Tensor("last_cell", 2, "rows", written=True, optional=True),
    ),
    _recurrent("gru", 3, Int("linear_before_reset"), Choice("candidate", Activation)),  # candidate: TANH or RELU
    # Spectra
    Kernel(
        "real_fft",  # y[r, k] = sum over n of x[r, n] exp(-2 pi i k n / N), k = 0 .. N/2, as (real, imaginary)
        (
            Tensor("x", 2, "rows"),
            Tensor("tables", 1, "dense"),  # packing_spectrum.fft_tables(n)
            Tensor("y", 3, "rows", written=True),  # [rows, n // 2 + 1, 2]
            Tensor("scratch", 1, "dense", written=True),
        ),
        scratch=lambda o: 4 * o["x"].shape[1] + 4,
    ),
    Kernel(
        "inverse_real_fft",  # scaled by 1 / N; the imaginary parts of bin 0 and (even N) N / 2 are ignored
        (
            Tensor("x", 3, "rows"),  # [rows, n // 2 + 1, 2]
            Tensor("tables", 1, "dense"),
            Tensor("y", 2, "rows", written=True),  # [rows, n]
            Tensor("scratch", 1, "dense", written=True),
        ),
        scratch=lambda o: 4 * o["y"].shape[1] + 4,
    ),
)

KERNEL_BY_NAME: dict[str, Kernel] = {kernel.name: kernel for kernel in KERNELS}
KERNEL_IDS: dict[str, int] = {kernel.name: index for index, kernel in enumerate(KERNELS)}
