"""From a file to a checked network: size, format, versions, limits, external data, operators, in that order."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto
from onnx.inliner import inline_local_functions
from onnx.version_converter import convert_version

from ..errors import LimitError, ModelError, UnsupportedError
from .contrib import CONTRIB_DOMAIN, CONTRIB_OPERATORS, check_contrib
from .external import load_external_data, refuse_external_data
from .limits import DEFAULT_LIMITS, Limits, all_graphs, all_nodes, check_network, nodes_below
from .network import Network, declared_type, read_array

OLDEST_OPSET = 9
"""Older networks are converted to this operator set, by ONNX's own converter."""

DEFAULT_DOMAINS = ("", "ai.onnx")


def load_network(
    source: Path | str | bytes, *, limits: Limits = DEFAULT_LIMITS, external_data: bool = False
) -> Network:
    """Read and check an ONNX network.

    `source` is a path, or the bytes of a file. Operator sets up to the newest that the installed onnx knows; those
    below 9 are converted to 9.
    `external_data` allows weights in files below the network's folder: for networks that you trust.

    Raises ModelError (no file, not ONNX, invalid, unsafe external data), LimitError, UnsupportedError.
    """
    if isinstance(source, bytes):
        path, what, data = None, "the network", source
        check_file_size(len(source), what, limits)
    else:
        path = Path(source)
        what = f"'{path}'"
        data = read_file(path, limits)
    model = parse(data, what)
    opset = check_versions(model, what)
    check_names(model, what)
    check_network(model, limits)
    if external_data:
        load_external_data(model, path.parent if path else None, limits)
    else:
        refuse_external_data(model)
    check_operators(model, opset)
    content = model.SerializeToString() if external_data else data
    check_validity(content, what)
    if opset < OLDEST_OPSET:
        model, opset = convert(model, what), OLDEST_OPSET
        check_operators(model, opset)
    if model.functions:
        model = inline_local_functions(model)
        check_operators(model, opset)
    initializers = {tensor.name: read_array(tensor) for tensor in model.graph.initializer}
    # The arrays are what is used from here on; a second copy of every weight would only take memory.
    del model.graph.initializer[:]
    return Network(
        name=path.stem if path else model.graph.name or "network",
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        opset=opset,
        inputs={v.name: declared_type(v) for v in model.graph.input if v.name not in initializers},
        outputs={v.name: declared_type(v) for v in model.graph.output},
        model=model,
        initializers=initializers,
        limits=limits,
    )


def read_file(path: Path, limits: Limits) -> bytes:
    """Return a regular file's bytes; its size is checked on the open file, before reading."""
    try:
        # O_NONBLOCK: a named pipe must be refused, not waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise ModelError(f"can not open network '{path}': {getattr(error, 'strerror', None) or error}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"network '{path}' is not a regular file")
        check_file_size(status.st_size, f"'{path}'", limits)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(limits.file_bytes + 1)
    finally:
        os.close(descriptor)
    check_file_size(len(data), f"'{path}'", limits)
    return data


def check_file_size(size: int, what: str, limits: Limits) -> None:
    """Raise LimitError for a file that is too large, ModelError for an empty one."""
    if size > limits.file_bytes:
        raise LimitError(f"{what} has {size} bytes, the limit is {limits.file_bytes}; raise Limits(file_bytes=...)")
    if size == 0:
        raise ModelError(f"{what} is empty")


def parse(data: bytes, what: str) -> ModelProto:
    """Decode the protobuf message."""
    try:
        model = ModelProto.FromString(data)
    except DecodeError as error:
        raise ModelError(f"{what} is not an ONNX file, or it is cut short ({error})") from None
    if not model.ir_version or not model.HasField("graph"):
        raise ModelError(f"{what} is not an ONNX network: it has no graph or no format version")
    return model


def check_versions(model: ModelProto, what: str) -> int:
    """Check the format version and operator sets; return the version of the default operator set."""
    newest = onnx.defs.onnx_opset_version()
    if model.ir_version > onnx.IR_VERSION:
        raise UnsupportedError(
            f"{what} has ONNX format version {model.ir_version}; onnx {onnx.__version__} reads up to {onnx.IR_VERSION}"
        )
    versions = {entry.version for entry in model.opset_import if entry.domain in DEFAULT_DOMAINS}
    if not versions:
        raise ModelError(f"{what} imports no default operator set; set opset_import to {OLDEST_OPSET}..{newest}")
    opset = max(versions)
    if len(versions) > 1 or not 1 <= opset <= newest:
        raise UnsupportedError(
            f"{what} uses operator set {sorted(versions)}; one from 1 to {newest} would work "
            "(onnx.version_converter can convert it)"
        )
    return opset


def convert(model: ModelProto, what: str) -> ModelProto:
    """Return a network of an old operator set in the oldest one that is understood.

    Raises UnsupportedError for what the converter can not translate, or would translate to something else.
    """
    for node in all_nodes(model):
        if node.op_type == "Scan":  # the converter takes the axis away from inputs and outputs without a word
            raise UnsupportedError(
                f"Scan '{node.name or ', '.join(node.output)}' is of operator set 8, where it has a batch axis; "
                "export it in operator set 9 or later"
            )
    try:
        return convert_version(model, OLDEST_OPSET)
    except RuntimeError as error:
        raise UnsupportedError(
            f"{what} uses an operator set below {OLDEST_OPSET} that can not be converted ({error}); export it anew"
        ) from None


def check_names(model: ModelProto, what: str) -> None:
    """Raise ModelError for a name that is not UTF-8, which protobuf hands out as bytes, and for an output's second."""
    names = [model.graph.name, *(text for function in model.functions for text in (function.domain, function.name))]
    for graph in all_graphs(model):
        names += [tensor.name for tensor in graph.initializer]
        for value in (*graph.input, *graph.output):
            names.append(value.name)
            names += [dim.dim_param for dim in value.type.tensor_type.shape.dim]
    for node in all_nodes(model):
        names += [node.op_type, node.domain, node.name, *node.input, *node.output]
        names += [attribute.name for attribute in node.attribute]
    for name in names:
        if not isinstance(name, str):
            raise ModelError(f"{what} is damaged: {name!r} is no text")
    for name, count in Counter(value.name for value in model.graph.output).items():
        if count > 1:
            raise ModelError(f"{what} has {count} outputs '{name}'; one would work")


def check_operators(model: ModelProto, opset: int) -> None:
    """Raise UnsupportedError for a node of a custom domain, or of an operator that the operator set has not.

    Calls of model-local functions pass: they are replaced by their bodies, which are then checked in their turn.
    """
    functions = {(function.domain, function.name) for function in model.functions}
    for node in nodes_below(model.graph.node):
        if (node.domain, node.op_type) in functions:
            continue
        if node.domain == CONTRIB_DOMAIN and node.op_type in CONTRIB_OPERATORS:
            check_contrib(node)
            continue
        if node.domain not in DEFAULT_DOMAINS:
            raise UnsupportedError(
                f"node '{node.name or ', '.join(node.output)}' is {node.domain}.{node.op_type}: operators of the "
                f"domain '{node.domain}' are not supported; export it with operators of the default domain"
            )
        try:
            schema = onnx.defs.get_schema(node.op_type, opset, "")
        except onnx.defs.SchemaError:
            schema = None
        if schema is None or schema.deprecated:
            raise UnsupportedError(
                f"node '{node.name or ', '.join(node.output)}' is {node.op_type}, which operator set {opset} does not "
                f"have{_operator_hint(node.op_type)}"
            )


def _operator_hint(op: str) -> str:
    """Return '; operator set N would work' if some operator set has `op`."""
    versions = [
        schema.since_version
        for schema in onnx.defs.get_all_schemas_with_history()
        if schema.name == op and schema.domain == "" and not schema.deprecated
    ]
    return f"; operator set {min(versions)} would work" if versions else ", nor any other; check its spelling"


def check_validity(data: bytes, what: str) -> None:
    """Run ONNX's own checker: attributes, arity, order of nodes, names."""
    try:
        onnx.checker.check_model(data)
    except (onnx.checker.ValidationError, ValueError, UnicodeDecodeError) as error:
        raise ModelError(f"{what} is not a valid ONNX network: {str(error).strip()}") from None
