"""The interface by which ONNX's own conformance suite drives a runtime: `onnx.backend.base`.

import onnx
from wavetile.engine import onnx_backend

outputs = onnx_backend.run_model(onnx.load("network.onnx"), [x])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import ModelProto
from onnx.backend.base import Backend, BackendRep

from .errors import SignalError
from .graph import load_network
from .models.evaluator import Evaluator


class Prepared(BackendRep):
    """A network ready to run on whole arrays; a program is compiled for each new set of shapes."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    def run(self, inputs: Any, **kwargs: Any) -> tuple[np.ndarray, ...]:
        """Evaluate the network.

        Args:
            inputs: arrays in the order of the network's inputs, or a mapping from their names.
            **kwargs: none are known.

        Returns:
            The outputs in the network's order.

        Raises:
            SignalError: too many or too few inputs, or one of another type or shape than declared.
            ModelError: the network can not be computed for these shapes.
        """
        if kwargs:
            raise SignalError(f"unknown arguments {sorted(kwargs)}; there are none beside the inputs")
        names = list(self._evaluator.network.inputs)
        if not hasattr(inputs, "keys"):
            given: Sequence[Any] = inputs if isinstance(inputs, (list, tuple)) else [inputs]
            if len(given) != len(names):
                raise SignalError(f"{len(given)} inputs were given; the network has {len(names)}: {', '.join(names)}")
            inputs = dict(zip(names, given, strict=True))
        outputs = self._evaluator.run({name: np.asarray(value) for name, value in inputs.items()})
        return tuple(outputs[name] for name in self._evaluator.network.outputs)


class CpuBackend(Backend):
    """Networks on the native kernels."""

    back_end = "cpu"

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> Prepared:
        """Load a network.

        Raises:
            ModelError: it is not valid, or uses what is not there.
        """
        if kwargs:
            raise SignalError(f"unknown arguments {sorted(kwargs)}; there are none beside model and device")
        return Prepared(Evaluator(load_network(model.SerializeToString()), cls.back_end, threads=1))

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Tell whether networks can run on a device of ONNX's naming."""
        return device == "CPU"


class ReferenceBackend(CpuBackend):
    """Networks on the NumPy definitions."""

    back_end = "reference"


prepare = CpuBackend.prepare
run_model = CpuBackend.run_model
supports_device = CpuBackend.supports_device
