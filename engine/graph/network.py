"""The network: a checked ONNX model whose shapes are still open."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from onnx import ModelProto, TensorProto, TypeProto, ValueInfoProto
from onnx.helper import tensor_dtype_to_np_dtype
from onnx.numpy_helper import to_array

from ..errors import ModelError, UnsupportedError
from .limits import DEFAULT_LIMITS, Limits

Dims = tuple[int | str | None, ...]
"""Declared dimensions: a number, a name that must agree wherever it stands, or None for anything."""


class DeclaredType(NamedTuple):
    """What a network says of an input or output: element type and dimensions (None if not even the rank is given)."""

    dtype: np.dtype
    dims: Dims | None

    def __str__(self) -> str:
        if self.dims is None:
            return f"{self.dtype.name}[...]"
        return f"{self.dtype.name}[{', '.join('?' if dim is None else str(dim) for dim in self.dims)}]"


@dataclass(frozen=True)
class Network:
    """A checked network, unbound: `specialise` gives it shapes.

    `path` is None for a network given as bytes. `sha256` is of the file's bytes, in hex, and of its external data, if
    that was read. `opset` is the version of the default operator domain. `model` holds the operators, without weights;
    `initializers` holds these: read-only arrays by name.
    """

    name: str
    path: Path | None
    sha256: str
    opset: int
    inputs: dict[str, DeclaredType]
    outputs: dict[str, DeclaredType]
    model: ModelProto = field(repr=False)
    initializers: dict[str, np.ndarray] = field(repr=False)
    limits: Limits = field(repr=False, default=DEFAULT_LIMITS)


_FREE = -1
"""A dimension that some exporters write instead of saying nothing."""


def declared_type(value: ValueInfoProto) -> DeclaredType:
    """Read the type of a graph input or output. Raises as `read_type`."""
    return DeclaredType(*read_type(value.type, f"graph value '{value.name}'"))


def read_type(proto: TypeProto, what: str) -> tuple[np.dtype, Dims | None]:
    """Return (element type, dimensions or None) of a dense tensor type.

    Raises UnsupportedError for any other, ModelError for negative dimensions.
    """
    kind = proto.WhichOneof("value")
    if kind != "tensor_type":
        raise UnsupportedError(f"{what} is a {kind or 'value without type'}; only dense tensors can be processed")
    tensor = proto.tensor_type
    try:
        dtype = tensor_dtype_to_np_dtype(tensor.elem_type)
    except KeyError:
        dtype = None
    if dtype is None or dtype.hasobject:
        raise UnsupportedError(f"{what} has the element type {tensor.elem_type}; a numeric one would work")
    if not tensor.HasField("shape"):
        return dtype, None
    dims: list[int | str | None] = []
    for dim in tensor.shape.dim:
        kind = dim.WhichOneof("value")
        size = dim.dim_value if kind == "dim_value" else (dim.dim_param or None) if kind else None
        if isinstance(size, int) and size < 0:
            if size != _FREE:
                raise ModelError(f"{what} has a dimension of {size}; 0 or more would work, or a name for a free one")
            size = None
        dims.append(size)
    return dtype, tuple(dims)


def read_array(tensor: TensorProto) -> np.ndarray:
    """Return a dense tensor as a read-only array. Raises ModelError if its data are not what its dimensions say."""
    try:
        array = to_array(tensor)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ModelError(
            f"tensor '{tensor.name}' of dimensions {list(tensor.dims)} does not hold that many values: {error}"
        ) from None
    array.setflags(write=False)
    return array
