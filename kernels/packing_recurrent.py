"""Weights and biases of one direction of an LSTM or GRU in the order in which their kernels read them, and back.

Gates keep the order of ONNX: i, o, f, c for LSTM, z, r, h for GRU. The hidden axis is split into panels of PANEL, and
all gates of a panel lie side by side: one pass over the weights computes everything that its cells need.
"""

from __future__ import annotations

import numpy as np

from .contract import PANEL

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
