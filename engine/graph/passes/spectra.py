"""Convolutions and products with a Fourier basis: made the Fourier transforms that they are.

Exporters write a spectrogram as a Conv of one channel whose weights are the rows of a Fourier matrix, each times a
window; tf2onnx as a MatMul of the matrix and frames. A fast transform needs a few per cent of their multiply-adds, and
reads no matrix.
"""

from __future__ import annotations

import numpy as np

from ..ir import Graph, Node, TensorType
from .rewriter import Rewriter

STFT_OPSET = 17
"""The first that has STFT and DFT."""

AXIS_INPUT_OPSET = 20
"""The first in which DFT's axis is an input."""

_FEWEST_SAMPLES = 128
"""Below, a convolution is as fast."""

_RADICES = 2 * 3 * 5
"""A transform whose length has another prime factor p takes n p operations, so many that a convolution is faster."""


def transform_spectra(graph: Graph) -> Graph:
    """Return the graph with such a Conv made an STFT, such a MatMul a DFT, and their parts put where they had them.

    The weights of the Conv are `[2 bins, 1, n]`, bins = n // 2 + 1: window * cos(2 pi k t / n) for all k, then the same
    with -sin. The window is the first row, where cos is 1; all others must agree with it, tap by tap, within the
    rounding of a float32. The matrix of the MatMul is `[2, bins, n]`, the same without a window, before frames
    `[n, frames]`.
    """
    work = Rewriter(graph)
    nodes = [new for node in graph.nodes for new in _stft_of_conv(work, node) or _dft_of_product(work, node) or [node]]
    return work.finish(nodes)


def _stft_of_conv(work: Rewriter, conv: Node) -> list[Node] | None:
    """The nodes that give the same numbers, or None."""
    weights = work.constant(conv.inputs[1]) if conv.op == "Conv" and len(conv.reads) == 2 else None
    if weights is None or weights.dtype != np.float32 or weights.ndim != 3 or weights.shape[1] != 1:
        return None
    attributes = conv.attributes
    if any(attributes["pads"]) or attributes["dilations"] != [1] or attributes.get("group", 1) != 1:
        return None
    window = fourier_window(weights[:, 0])
    return None if window is None else _stft(work, conv, window, attributes["strides"][0])


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


def _stft(work: Rewriter, conv: Node, window: np.ndarray, step: int) -> list[Node]:
    """Signal [batch, 1, samples] -> [batch, samples, 1] -> [batch, frames, bins, 2] -> [batch, 2 bins, frames]."""
    types, made, base = work.graph.types, conv.outputs[0], conv.inputs[1]
    batch, _, samples = types[conv.inputs[0]].shape
    frames, bins = types[made].shape[2], types[made].shape[1] // 2

    def constant(what: str, value: object, kind: type = np.int64) -> str:
        return work.add_constant(f"{base}.{what}", np.asarray(value, kind))

    def between(what: str, *shape: int) -> str:
        return work.add_value(f"{made}.{what}", TensorType(shape, types[made].dtype))

    signal = between("signal", batch, samples, 1)
    spectra = between("spectra", batch, frames, bins, 2)
    parts = between("parts", batch, 2, bins, frames)
    step_and_window = constant("step", step), constant("window", window, np.float32)
    shapes = constant("signal_shape", types[signal].shape), constant("shape", types[made].shape)
    order, opset = {"perm": [0, 3, 2, 1]}, max(conv.opset, STFT_OPSET)
    return [
        Node("Reshape", f"{conv.name}.signal", (conv.inputs[0], shapes[0]), (signal,), {"allowzero": 0}, opset),
        Node("STFT", conv.name, (signal, *step_and_window), (spectra,), {"onesided": 1}, opset),
        Node("Transpose", f"{conv.name}.parts", (spectra,), (parts,), order, opset),
        Node("Reshape", f"{conv.name}.bins", (parts, shapes[1]), (made,), {"allowzero": 0}, opset),
    ]


def _dft_of_product(work: Rewriter, product: Node) -> list[Node] | None:
    """Frames [n, frames] -> [frames, n, 1] -> [frames, bins, 2] -> [2, bins, frames], or None."""
    basis = work.constant(product.inputs[0]) if product.op == "MatMul" and len(product.reads) == 2 else None
    types, made = work.graph.types, product.outputs[0]
    frames = types[product.inputs[1]].shape if basis is not None else ()
    if basis is None or basis.dtype != np.float32 or basis.ndim != 3 or len(basis) != 2 or len(frames) != 2:
        return None
    window = fourier_window(basis.reshape(-1, basis.shape[2]))
    if window is None or (window != 1).any():
        return None
    n, count = frames

    def between(what: str, *shape: int) -> str:
        return work.add_value(f"{made}.{what}", TensorType(shape, types[made].dtype))

    rows, signal = between("rows", count, n), between("signal", count, n, 1)
    spectra = between("spectra", count, basis.shape[1], 2)
    shape = work.add_constant(f"{made}.signal_shape", np.asarray(types[signal].shape, np.int64))
    turned, parts, opset = {"perm": [1, 0]}, {"perm": [2, 1, 0]}, max(product.opset, STFT_OPSET)
    along, attributes = (signal,), {"axis": 1, "onesided": 1}
    if opset >= AXIS_INPUT_OPSET:
        axis = work.add_constant(f"{made}.axis", np.asarray(attributes.pop("axis"), np.int64))
        along = (signal, "", axis)
    return [
        Node("Transpose", f"{product.name}.rows", product.inputs[1:], (rows,), turned, opset),
        Node("Reshape", f"{product.name}.signal", (rows, shape), (signal,), {"allowzero": 0}, opset),
        Node("DFT", product.name, along, (spectra,), attributes, opset),
        Node("Transpose", f"{product.name}.parts", (spectra,), (made,), parts, opset),
    ]
