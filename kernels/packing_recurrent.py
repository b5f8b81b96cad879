"""Weights and biases of one direction of an LSTM or GRU in the order in which their kernels read them, and back.

Gates keep the order of ONNX: i, o, f, c for LSTM, z, r, h for GRU. The hidden axis is split into panels of PANEL, and
all gates of a panel lie side by side: one pass over the weights computes everything that its cells need.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .contract import PANEL
from .schemas.recurrent_general import EXACT_PRODUCTS

LSTM_GATES = 4
GRU_GATES = 3


def gate_weights(weights: np.ndarray, gates: int) -> np.ndarray:
    """Pack the input weights W or the hidden weights R.

    Args:
        weights: [gates * hidden, inner], one direction of ONNX's W (inner = input) or R (inner = hidden).
        gates: LSTM_GATES or GRU_GATES.

    Returns:
        [ceil(hidden / PANEL), inner, gates, PANEL] float32, flat; zero where the hidden axis is padded.
    """
    hidden, inner = weights.shape[0] // gates, weights.shape[1]
    panels = -(-hidden // PANEL)
    wide = np.zeros((gates, panels * PANEL, inner), np.float32)
    wide[:, :hidden] = weights.reshape(gates, hidden, inner)
    return np.ascontiguousarray(wide.reshape(gates, panels, PANEL, inner).transpose(1, 3, 0, 2)).reshape(-1)


def unpack_gate_weights(packed: np.ndarray, gates: int, hidden: int, inner: int) -> np.ndarray:
    """The inverse of `gate_weights`: [gates * hidden, inner] float32."""
    panels = -(-hidden // PANEL)
    wide = packed[: panels * inner * gates * PANEL].reshape(panels, inner, gates, PANEL).transpose(2, 0, 3, 1)
    return wide.reshape(gates, panels * PANEL, inner)[:, :hidden].reshape(gates * hidden, inner)


def integer_weights(weights: np.ndarray) -> np.ndarray:
    """Pack integer W or R as one gate, by blocks of the inner axis whose products float32 adds up exactly.

    Args:
        weights: [columns, inner], integers of up to 9 bits.

    Returns:
        `gate_weights` of each EXACT_PRODUCTS elements of the inner axis, end to end.
    """
    blocks = range(0, weights.shape[1], EXACT_PRODUCTS)
    return np.concatenate([gate_weights(weights[:, start : start + EXACT_PRODUCTS], 1) for start in blocks])


def unpack_integer_weights(packed: np.ndarray, columns: int, inner: int) -> np.ndarray:
    """The inverse of `integer_weights`: [columns, inner] float32."""
    width = -(-columns // PANEL) * PANEL
    blocks = [(start, min(EXACT_PRODUCTS, inner - start)) for start in range(0, inner, EXACT_PRODUCTS)]
    return np.concatenate(
        [unpack_gate_weights(packed[start * width :], 1, columns, count) for start, count in blocks], axis=1
    )


def gate_bias(bias: np.ndarray | None, gates: int, hidden: int) -> np.ndarray:
    """Pack the biases B; None gives zeros.

    Args:
        bias: [2 * gates * hidden], one direction of ONNX's B: Wb, then Rb.
        gates: LSTM_GATES or GRU_GATES.
        hidden: size of the hidden axis.

    Returns:
        [2, ceil(hidden / PANEL), gates, PANEL] float32, flat.
    """
    panels = -(-hidden // PANEL)
    wide = np.zeros((2, gates, panels * PANEL), np.float32)
    if bias is not None:
        wide[..., :hidden] = bias.reshape(2, gates, hidden)
    return np.ascontiguousarray(wide.reshape(2, gates, panels, PANEL).transpose(0, 2, 1, 3)).reshape(-1)


def unpack_gate_bias(packed: np.ndarray, gates: int, hidden: int) -> np.ndarray:
    """The inverse of `gate_bias`: [2, gates * hidden] float32."""
    panels = -(-hidden // PANEL)
    wide = packed[: 2 * panels * gates * PANEL].reshape(2, panels, gates, PANEL).transpose(0, 2, 1, 3)
    return wide.reshape(2, gates, panels * PANEL)[..., :hidden].reshape(2, gates * hidden)


def small_block(hidden: int) -> int:
    """Elements of a vector that one sequence of `gru_small` takes: its hidden size, rounded up to 4, 8 or 16.

    A larger size is given back as it is: it does not fit.
    """
    return next((block for block in (4, 8, PANEL) if hidden <= block), hidden)


def small_gate_weights(weights: Sequence[np.ndarray], hidden: int, rows: int) -> np.ndarray:
    """Pack the W or the R of sequences that run side by side in `gru_small`.

    Args:
        weights: of each sequence [GRU_GATES * hidden, inner]; groups outermost, then directions.
        hidden: size of the hidden axis.
        rows: inner, or more, filled up with zeros: a block for R.

    Returns:
        [rows, GRU_GATES, PANEL] float32, flat; sequence s lies at elements s * block of a vector, zeros elsewhere.
    """
    block = small_block(hidden)
    packed = np.zeros((rows, GRU_GATES, PANEL), np.float32)
    for s, one in enumerate(weights):
        inner = one.shape[1]
        packed[:inner, :, s * block : s * block + hidden] = one.reshape(GRU_GATES, hidden, inner).transpose(2, 0, 1)
    return packed.reshape(-1)


def unpack_small_gate_weights(packed: np.ndarray, sequence: int, hidden: int, inner: int) -> np.ndarray:
    """One sequence's W or R [GRU_GATES * hidden, inner] float32 of what `small_gate_weights` packed."""
    start = sequence * small_block(hidden)
    wide = packed[: inner * GRU_GATES * PANEL].reshape(inner, GRU_GATES, PANEL)[..., start : start + hidden]
    return wide.transpose(1, 2, 0).reshape(GRU_GATES * hidden, inner)


def small_gate_bias(biases: Sequence[np.ndarray | None], hidden: int) -> np.ndarray:
    """Pack the biases B [2 * GRU_GATES * hidden] of sequences that run side by side; None gives zeros.

    Returns:
        [4, PANEL] float32, flat: z and r, each the sum of both biases, then Wb and Rb of the candidate.
    """
    block = small_block(hidden)
    packed = np.zeros((4, PANEL), np.float32)
    for s, one in enumerate(biases):
        if one is not None:
            (wz, wr, wn), (rz, rr, rn) = one.reshape(2, GRU_GATES, hidden)
            packed[:, s * block : s * block + hidden] = wz + rz, wr + rr, wn, rn
    return packed.reshape(-1)


def side_by_side(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Join what was packed for `gru_small`: of each [vectors, lanes] the lanes that it fills, end to end."""
    joined = np.zeros((len(parts[0]), PANEL), np.float32)
    joined[:, : sum(part.shape[1] for part in parts)] = np.concatenate(parts, axis=1)
    return joined.reshape(-1)
