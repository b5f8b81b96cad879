"""Tensors of the Open Inference Protocol to arrays and back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import ml_dtypes
import numpy as np

from ....proto.inference.v2 import inference_pb2 as pb
from ...errors import SignalError
from ..status import RefusedError, quoted

MAX_RANK = 32
LARGEST_SIZE = 2**31 - 1
"""Of a tensor along one axis."""

DTYPES: dict[str, np.dtype] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BF16": np.dtype(ml_dtypes.bfloat16),
}
"""The protocol's name of a type -> NumPy's type."""
TEXT = "BYTES"
"""The protocol's name of text."""
_NAMES = {dtype.name: name for name, dtype in DTYPES.items()}

_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}
"""Type -> the field that holds such numbers one by one; FP16 and BF16 have none."""


def datatype_of(dtype: str) -> str:
    """The protocol's name of a type that NumPy names so; TEXT for text, "" for what the protocol does not have."""
    return TEXT if dtype in ("object", "str", "string") else _NAMES.get(dtype, "")


def read_inputs(request: pb.ModelInferRequest) -> dict[str, np.ndarray]:
    """The request's inputs by name, read-only where they share the message's bytes.

    Raises:
        SignalError: a tensor's type is unknown, or its numbers are not as many as its shape says, or in no field or in
            two.
        RefusedError: the numbers lie in a region of shared memory, or are BYTES.
    """
    raw = request.raw_input_contents
    for tensor in request.inputs:
        _check_parameters("input", tensor.name, tensor.parameters)
    if raw and len(raw) != len(request.inputs):
        raise SignalError(
            f"{len(raw)} raw_input_contents for {len(request.inputs)} inputs; one for each of them, or none, would work"
        )
    arrays: dict[str, np.ndarray] = {}
    for index, tensor in enumerate(request.inputs):
        if tensor.name in arrays:
            raise SignalError(f"input {quoted(tensor.name)} comes twice in one request; once would work")
        _check_type(tensor)
        if raw and tensor.HasField("contents"):
            raise SignalError(f"input {quoted(tensor.name)} has contents, and raw_input_contents too; one would work")
        arrays[tensor.name] = _shaped(tensor, _raw_numbers(tensor, raw[index]) if raw else _typed_numbers(tensor))
    return arrays


def requested_outputs(request: pb.ModelInferRequest, names: Sequence[str]) -> list[str]:
    """The names of the outputs that the request asks for, in its order; all of `names` if it names none.

    Raises SignalError for an unknown or repeated name or parameter, RefusedError for a region of shared memory.
    """
    if len(request.outputs) > len(names):
        raise SignalError(f"{len(request.outputs)} outputs are asked for; each of {', '.join(names)} once would work")
    for output in request.outputs:
        _check_parameters("output", output.name, output.parameters)
        if output.name not in names:
            raise SignalError(
                f"model {quoted(request.model_name)} has no output {quoted(output.name)}; "
                f"its outputs are {', '.join(names)}"
            )
    asked = [output.name for output in request.outputs]
    if len(set(asked)) != len(asked):
        raise SignalError(f"outputs {', '.join(asked)} are asked for; each once would work")
    return asked or list(names)


def write_outputs(response: pb.ModelInferResponse, outputs: Mapping[str, np.ndarray], max_bytes: int) -> None:
    """Add `outputs` to `response`, as raw contents; arrays of objects hold `bytes`, each of which is a text.

    Raises:
        SignalError: they have more than `max_bytes`, or one is of a type that the protocol does not have.
    """
    size = sum(sum(map(len, _texts(array))) if array.dtype == object else array.nbytes for array in outputs.values())
    if size > max_bytes:
        raise SignalError(
            f"the outputs have {size} bytes, more than the {max_bytes} that a message may have; "
            "fewer outputs, or smaller inputs, would work"
        )
    for name, array in outputs.items():
        datatype = datatype_of(array.dtype.name)
        if datatype not in DTYPES and datatype != TEXT:
            raise SignalError(
                f"output {quoted(name)} is {array.dtype.name}, which the protocol does not carry here; "
                f"outputs that are one of {', '.join(DTYPES)} would work"
            )
        response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        if datatype == TEXT:
            response.raw_output_contents.append(b"".join(_texts(array)))
            continue
        little_endian = array.dtype.newbyteorder("<")
        response.raw_output_contents.append(np.ascontiguousarray(array, dtype=little_endian).tobytes())


def _texts(array: np.ndarray) -> Iterator[bytes]:
    """Each text after its length in four bytes, as the protocol writes them."""
    return (len(text).to_bytes(4, "little") + text for text in array.flat)


def _check_parameters(what: str, name: str, parameters: Mapping[str, object]) -> None:
    for parameter in sorted(parameters):
        if parameter.startswith("shared_memory_"):
            raise RefusedError(
                f"{what} {quoted(name)} lies in a region of shared memory, which this server does not open for "
                "clients; tensors in the message would work"
            )
        raise SignalError(
            f"{what} {quoted(name)} has the parameter {quoted(parameter)}, which is unknown; without it would work"
        )


def _check_type(tensor: pb.ModelInferRequest.InferInputTensor) -> None:
    if tensor.datatype == TEXT:
        raise RefusedError(
            f"input {quoted(tensor.name)} is {TEXT}; no network here takes text: {', '.join(DTYPES)} would work"
        )
    if tensor.datatype not in DTYPES:
        raise SignalError(
            f"input {quoted(tensor.name)} is of type {quoted(tensor.datatype)}, which is unknown; "
            f"{', '.join(DTYPES)} would work"
        )


def _raw_numbers(tensor: pb.ModelInferRequest.InferInputTensor, data: bytes) -> np.ndarray:
    dtype = DTYPES[tensor.datatype]
    if len(data) % dtype.itemsize:
        raise SignalError(
            f"input {quoted(tensor.name)} has {len(data)} bytes; {tensor.datatype} needs a multiple of {dtype.itemsize}"
        )
    if tensor.datatype == "BOOL":  # any byte but 0 is true, and no other than 0 and 1 may get into an array of bool
        return np.frombuffer(data, np.uint8) != 0
    return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype, copy=False)


def _typed_numbers(tensor: pb.ModelInferRequest.InferInputTensor) -> np.ndarray:
    field = _CONTENTS.get(tensor.datatype)
    if field is None:
        raise SignalError(
            f"input {quoted(tensor.name)} is {tensor.datatype}, which has no typed contents; "
            "raw_input_contents would work"
        )
    for other, _ in tensor.contents.ListFields():
        if other.name != field:
            raise SignalError(
                f"input {quoted(tensor.name)} is {tensor.datatype}, but has {other.name}; {field} would work"
            )
    try:
        return np.array(getattr(tensor.contents, field), dtype=DTYPES[tensor.datatype])
    except OverflowError as error:
        raise SignalError(
            f"input {quoted(tensor.name)} has numbers that {tensor.datatype} does not hold; INT64 or UINT64 does"
        ) from error


def _shaped(tensor: pb.ModelInferRequest.InferInputTensor, numbers: np.ndarray) -> np.ndarray:
    shape = tuple(tensor.shape[: MAX_RANK + 1])
    if len(shape) > MAX_RANK or any(not 0 <= size <= LARGEST_SIZE for size in shape):
        raise SignalError(
            f"input {quoted(tensor.name)} has the shape {list(shape)}; at most {MAX_RANK} sizes of 0 to "
            f"{LARGEST_SIZE} would work"
        )
    if math.prod(shape) != numbers.size:
        raise SignalError(
            f"input {quoted(tensor.name)} has {numbers.size} numbers; its shape {list(shape)} needs {math.prod(shape)}"
        )
    try:
        return numbers.reshape(shape)
    except ValueError as error:  # nothing in it, and yet larger than memory along the other axes
        raise SignalError(f"input {quoted(tensor.name)} has the shape {list(shape)}, which is too large") from error
