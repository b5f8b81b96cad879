"""The interface by which ONNX's own conformance suite drives a runtime: `onnx.backend.base`.

import onnx
from wavetile.engine import onnx_backend

outputs = onnx_backend.run_model(onnx.load("network.onnx"), [x])
prepared = onnx_backend.prepare(onnx.load("network.onnx"), "CPU")  # to run it again and again
outputs = prepared.run([x])
(y,) = onnx_backend.run_node(onnx.helper.make_node("Relu", ["x"], ["y"]), [x])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto
from onnx.backend.base import Backend, BackendRep, Device, DeviceType
from onnx.helper import make_model, make_opsetid, make_tensor_value_info, np_dtype_to_tensor_dtype
from onnx.shape_inference import infer_shapes

from .errors import BackendError, SignalError, WavetileError
from .graph import load_network
from .models.evaluator import Evaluator
from .models.signal_path import check_signal_path
from .plan import Target


class Prepared(BackendRep):
    """A network ready to run on whole arrays; a program is compiled for each new set of shapes."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self.network = evaluator.network
        """What was loaded."""

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
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Tell whether `prepare` takes a network, and its operators are all there."""
        try:
            check_signal_path(cls.prepare(model, device, **kwargs).network)
        except WavetileError:
            return False
        return True

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> Prepared:
        """Load a network, to be run as often as one likes.

        Raises:
            BackendError: the device is not there.
            ModelError: it is not valid, or uses what is not there.
        """
        if kwargs:
            raise SignalError(f"unknown arguments {sorted(kwargs)}; there are none beside model and device")
        if not cls.supports_device(device):
            raise BackendError(f"there is no device {device!r}; 'CPU' is there")
        return Prepared(Evaluator(load_network(model.SerializeToString()), Target(cls.back_end), threads=1))

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype, tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[np.ndarray, ...]:
        """Evaluate one operator.

        Args:
            node: its inputs and outputs are named at will; an empty name is an absent one.
            inputs: an array for each input that is present, in order, or a mapping from their names.
            device: as in `prepare`.
            outputs_info: type and shape of each output; they follow from the inputs, and are checked if given.
            **kwargs: `opset_version`, that of the operator; by default the newest.

        Raises:
            SignalError: inputs that are not the node's, outputs that are not `outputs_info`, unknown arguments.
            ModelError: the node is not valid, or uses what is not there.
        """
        opset = kwargs.pop("opset_version", onnx.defs.onnx_opset_version())
        names = list(dict.fromkeys(filter(None, node.input)))
        given = inputs if hasattr(inputs, "keys") else dict(zip(names, inputs, strict=False))
        if kwargs or given.keys() != set(names) or len(inputs) != len(names):
            raise SignalError(f"{len(inputs)} inputs and arguments {sorted(kwargs)}; {node.op_type} has inputs {names}")
        arrays = {name: np.asarray(given[name]) for name in names}
        model = make_model(onnx.GraphProto(name=node.op_type, node=[node]), opset_imports=[make_opsetid("", opset)])
        model.ir_version = onnx.IR_VERSION
        for name, array in arrays.items():
            kind = np_dtype_to_tensor_dtype(array.dtype)
            model.graph.input.append(make_tensor_value_info(name, kind, array.shape))
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in node.output if name)
        outputs = cls.run_model(_with_output_types(model), arrays, device)
        for output, (dtype, shape) in zip(outputs, outputs_info or (), strict=False):
            if output.dtype != dtype or output.shape != tuple(shape):
                raise SignalError(f"{node.op_type} gives {output.dtype} {output.shape}, not {dtype} {tuple(shape)}")
        return outputs

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Tell whether networks can run on a device of ONNX's naming: 'CPU', 'CUDA:1'."""
        try:
            return Device(device).type == DeviceType.CPU
        except (AttributeError, ValueError):
            return False


class ReferenceBackend(CpuBackend):
    """Networks on the NumPy definitions."""

    back_end = "reference"


def _with_output_types(model: ModelProto) -> ModelProto:
    """The model, each output with a type and a shape, as ONNX's checker wants: those that ONNX's inference finds."""
    inferred = infer_shapes(model)
    for output in inferred.graph.output:
        if output.type.WhichOneof("value") is None:  # of an operator that ONNX can not infer: all of these are float
            output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        if output.type.HasField("tensor_type"):
            output.type.tensor_type.shape.SetInParent()
    return inferred


is_compatible = CpuBackend.is_compatible
prepare = CpuBackend.prepare
run_model = CpuBackend.run_model
run_node = CpuBackend.run_node
supports_device = CpuBackend.supports_device
