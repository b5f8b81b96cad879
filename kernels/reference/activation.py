"""Definitions of the activations that products and convolutions apply to their results."""

from __future__ import annotations

import numpy as np

from ..opcodes import Activation


def activate(x: np.ndarray, activation: Activation, alpha: float, beta: float, slope: np.ndarray | None) -> np.ndarray:
    """activation(x), float32.

    Args:
        x: any shape, float32.
        alpha, beta: the ONNX attributes of those activations that have them.
        slope: PRELU's factor below zero, broadcast against x.
    """
    a, b = np.float32(alpha), np.float32(beta)
    with np.errstate(over="ignore"):
        match activation:
            case Activation.NONE:
                return x
            case Activation.RELU:
                return np.where(x < 0, np.float32(0), x)
            case Activation.LEAKY_RELU:
                return np.where(x < 0, a * x, x)
            case Activation.SIGMOID:
                return 1 / (1 + np.exp(-x))
            case Activation.TANH:
                return np.tanh(x)
            case Activation.ELU:
                return np.where(x < 0, a * np.expm1(x), x)
            case Activation.HARD_SIGMOID:
                return np.clip(a * x + b, 0, 1)
            case Activation.HARD_SWISH:
                return x * np.clip(x / np.float32(6) + np.float32(0.5), 0, 1)
            case Activation.SWISH:
                return x / (1 + np.exp(-a * x))
            case Activation.CLIP:
                return np.clip(x, a, b)
            case Activation.PRELU:
                return np.where(x < 0, slope * x, x)
