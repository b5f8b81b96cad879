"""Constants worked out at load, by the operators of ONNX's reference implementation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from onnx import GraphProto, NodeProto, ValueInfoProto

from .ir import TensorType

if TYPE_CHECKING:
    from onnx.reference import ReferenceEvaluator

RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
"""Operators that give something else every time."""

NEVER_FOLDED = RANDOM | {
    "Loop",
    "Scan",
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "DeformConv",
    "QLinearConv",
    "DynamicQuantizeLSTM",
    "LSTM",
    "GRU",
    "RNN",
    "Einsum",
    "DFT",
    "STFT",
    "Det",
    "Attention",
    "NonMaxSuppression",
    "RoiAlign",
    "MaxRoiPool",
    "MaxUnpool",
    "GridSample",
}
"""Operators whose work is not bounded by the size of what they read and give: they stay nodes."""

WORKED_OUT: Mapping[str, Sequence[int]] = {
    "BlackmanWindow": (0,),
    "ConstantOfShape": (0,),
    "HammingWindow": (0,),
    "HannWindow": (0,),
    "MelWeightMatrix": (0, 1, 2, 3, 4),
    "Range": (0, 1, 2),
}
"""Operators that only ever make constants, with the inputs whose values that takes."""

REFERENCE_FROM = {"Softmax": 13, "LogSoftmax": 13, "Hardmax": 13, "Resize": 11}
"""Operators that the reference knows only in their later meaning: not folded in older operator sets."""

EVALUATED_AS = {"DequantizeLinear": 19}
"""Operators that the reference lacks in older operator sets, where they mean the same: evaluated in this one."""

BOUNDED_BY_INPUT = frozenset({"NonZero", "Unique", "Compress"})
"""Operators whose output size depends on the data, but never outgrows the input by more than its rank."""


class Folder:
    """Evaluates nodes on constants. One reference evaluator is kept for each operator with its attributes."""

    def __init__(self, opset: int, element_limit: int) -> None:
        self._opset = opset
        self._element_limit = element_limit
        self._evaluators: dict[tuple, ReferenceEvaluator] = {}

    def can_fold(
        self,
        node: NodeProto,
        inputs: Sequence[str],
        constants: Mapping[str, np.ndarray],
        outputs: Mapping[str, TensorType | None],
    ) -> bool:
        """Return whether every input is a constant, the operator repeatable, and the work small."""
        if not all(name in constants for name in inputs if name) or node.op_type in NEVER_FOLDED:
            return False
        if self._opset < REFERENCE_FROM.get(node.op_type, 0):
            return False
        if node.op_type not in BOUNDED_BY_INPUT and None in outputs.values():
            return False
        sizes = [constants[name].size for name in inputs if name]
        sizes += [value.size for value in outputs.values() if value is not None]
        return sum(sizes) <= self._element_limit

    def fold(
        self,
        node: NodeProto,
        inputs: Sequence[str],
        constants: Mapping[str, np.ndarray],
        outputs: Mapping[str, TensorType | None],
    ) -> dict[str, np.ndarray] | None:
        """Return the outputs' values by name; None if the reference has no such operator, or refuses these inputs."""
        names = [name for name in node.output if name]
        feeds = {f"i{index}": constants[name] for index, name in enumerate(inputs) if name}
        try:
            with np.errstate(all="ignore"):
                results = self._evaluator(node).run(None, feeds)
        # A file can make any operator of the reference fail in any way; the node then stays a node, and is refused by
        # name where its value is needed.
        except Exception:  # noqa: BLE001
            return None
        arrays = {}
        for name, result in zip(names, results, strict=True):
            array = np.asarray(result)
            want = outputs[name]
            if want is not None and (array.shape != want.shape or array.dtype != want.dtype):
                return None
            arrays[name] = array
        return arrays

    def _evaluator(self, node: NodeProto) -> ReferenceEvaluator:
        key = (
            node.op_type,
            tuple(bool(name) for name in node.input),
            tuple(bool(name) for name in node.output),
            tuple(attribute.SerializeToString(deterministic=True) for attribute in node.attribute),
        )
        if key not in self._evaluators:
            # Imported late: the reference loads every operator, 0.1 s, and many networks have nothing to fold.
            from onnx.reference import ReferenceEvaluator

            opset = max(self._opset, EVALUATED_AS.get(node.op_type, 0))
            graph = GraphProto(name="fold")
            copy = graph.node.add()
            copy.CopyFrom(node)
            copy.domain = ""
            copy.input[:] = [f"i{index}" if name else "" for index, name in enumerate(node.input)]
            copy.output[:] = [f"o{index}" if name else "" for index, name in enumerate(node.output)]
            graph.input.extend(ValueInfoProto(name=name) for name in copy.input if name)
            graph.output.extend(ValueInfoProto(name=name) for name in copy.output if name)
            self._evaluators[key] = ReferenceEvaluator(graph, opsets={"": opset})
        return self._evaluators[key]
