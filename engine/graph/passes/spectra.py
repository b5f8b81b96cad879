"""Convolutions and products with a Fourier basis: made the short-time Fourier transforms that they are.

Exporters write a spectrogram as a Conv of one channel whose weights are the rows of a Fourier matrix, each times a
window; tf2onnx as a MatMul of the matrix and frames. A fast transform needs a few per cent of their multiply-adds, and
reads no matrix.
"""

from __future__ import annotations

import numpy as np

from ..ir import Graph, Node, TensorType
from .rewriter import Rewriter

STFT_OPSET = 17
"""The first that has the operator."""

_FEWEST_SAMPLES = 128
"""Below, a convolution is as fast."""

_RADICES = 2 * 3 * 5
"""A transform whose length has another prime factor p takes n p operations, so many that a convolution is faster."""


def transform_spectra(graph: Graph) -> Graph:
    """Return the graph with such convolutions and products made STFTs, and the parts put where they had them.

    The weights of the Conv are `[2 bins, 1, n]`, bins = n // 2 + 1: window * cos(2 pi k t / n) for all k, then the same
    with -sin. The window is the first row, where cos is 1; all others must agree with it, tap by tap, within the
    rounding of a float32. The matrix of the MatMul is `[2, bins, n]`, the same without a window, before frames
    `[n, frames]`.
    """
    work = Rewriter(graph)
    nodes = [new for node in graph.nodes for new in _of_convolution(work, node) or _of_product(work, node) or [node]]
    return work.finish(nodes)


def _of_convolution(work: Rewriter, conv: Node) -> list[Node] | None:
    """The nodes that give the same numbers as a convolution of [batch, 1, samples], or None."""
    weights = work.constant(conv.inputs[1]) if conv.op == "Conv" and len(conv.reads) == 2 else None
    if weights is None or weights.dtype != np.float32 or weights.ndim != 3 or weights.shape[1] != 1:
        return None
    attributes = conv.attributes
    if any(attributes["pads"]) or attributes["dilations"] != [1] or attributes.get("group", 1) != 1:
        return None
    window = fourier_window(weights[:, 0])
    if window is None:
        return None
    batch, _, samples = work.graph.types[conv.inputs[0]].shape
    frames = work.graph.types[conv.outputs[0]].shape[2]
    return _stft(work, conv, conv.inputs[0], (batch, samples, frames), attributes["strides"][0], window)


def _of_product(work: Rewriter, product: Node) -> list[Node] | None:
    """The nodes that give the same numbers as a product with [n, frames], which become one signal; or None."""
    basis = work.constant(product.inputs[0]) if product.op == "MatMul" and len(product.reads) == 2 else None
    types = work.graph.types
    shape = types[product.inputs[1]].shape if basis is not None else ()
    if basis is None or basis.dtype != np.float32 or basis.ndim != 3 or len(basis) != 2 or len(shape) != 2:
        return None
    window = fourier_window(basis.reshape(-1, basis.shape[2]))
    if window is None or (window != 1).any():
        return None
    n, frames = shape
    rows = work.add_value(f"{product.outputs[0]}.rows", TensorType((frames, n), basis.dtype))
    turned = Node("Transpose", f"{product.name}.rows", product.inputs[1:], (rows,), {"perm": [1, 0]}, product.opset)
    return [turned, *_stft(work, product, rows, (1, frames * n, frames), n, window)]


def fourier_window(rows: np.ndarray) -> np.ndarray | None:
    """The window `[n]` of a Fourier basis `[2 (n // 2 + 1), n]` of float32; None if they are none, or n is not fast."""
    n = rows.shape[1]
    bins = n // 2 + 1
    only_radices = pow(_RADICES, n.bit_length(), n) == 0
    if n < _FEWEST_SAMPLES or not only_radices or len(rows) != 2 * bins:
        return None
    window = rows[0].astype(np.float64)
    angles = 2 * np.pi * (np.outer(np.arange(bins), np.arange(n)) % n) / n
    basis = np.concatenate([np.cos(angles), -np.sin(angles)]) * window
    return rows[0] if (np.abs(rows - basis) <= np.finfo(np.float32).eps * np.abs(window)).all() else None


def _stft(
    work: Rewriter, node: Node, signal: str, sizes: tuple[int, int, int], step: int, window: np.ndarray
) -> list[Node]:
    """Signal -> [batch, samples, 1] -> [batch, frames, bins, 2] -> [batch, 2, bins, frames] -> the shape of the node.

    Args:
        sizes: batch, samples, frames.
    """
    made, opset = node.outputs[0], max(node.opset, STFT_OPSET)
    batch, samples, frames = sizes
    bins = len(window) // 2 + 1

    def constant(what: str, value: object, dtype: type = np.int64) -> str:
        return work.add_constant(f"{made}.{what}", np.asarray(value, dtype))

    def between(what: str, *shape: int) -> str:
        return work.add_value(f"{made}.{what}", TensorType(shape, np.dtype(np.float32)))

    def reshape(what: str, source: str, target: str) -> Node:
        shape = constant(f"{what}_shape", work.graph.types[target].shape)
        return Node("Reshape", f"{node.name}.{what}", (source, shape), (target,), {"allowzero": 0}, opset)

    column, spectra = between("signal", batch, samples, 1), between("spectra", batch, frames, bins, 2)
    parts = between("parts", batch, 2, bins, frames)
    windowed = (
        (constant("window", window, np.float32),) if (window != 1).any() else ("", constant("length", len(window)))
    )
    return [
        reshape("signal", signal, column),
        Node("STFT", node.name, (column, constant("step", step), *windowed), (spectra,), {"onesided": 1}, opset),
        Node("Transpose", f"{node.name}.parts", (spectra,), (parts,), {"perm": [0, 3, 2, 1]}, opset),
        reshape("bins", parts, made),
    ]
