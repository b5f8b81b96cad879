"""Limits on what a network file may ask for, checked on its description before anything of that size is allocated."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto
from onnx.helper import tensor_dtype_to_np_dtype

from ..errors import LimitError, ModelError, UnsupportedError

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What a network may take. Every default is far above any network that keeps up with a signal.

    - `file_bytes`: size of the ONNX file. Decoding one that is made for it takes some seventy times its size in memory.
    - `tensor_bytes`: size of one tensor: an initializer, a constant, or a value of the bound graph.
    - `initializer_bytes`: all initializers and constants together, external data included.
    - `nodes`: nodes of the network, those of subgraphs and of called functions included.
    - `nesting`: depth of subgraphs in subgraphs and of functions that call functions.
    - `folded_elements`: a constant that is worked out at load may have this many elements; larger ones stay nodes.
    """

    file_bytes: int = 256 * MIB
    tensor_bytes: int = 512 * MIB
    initializer_bytes: int = 1024 * MIB
    nodes: int = 100_000
    nesting: int = 8
    folded_elements: int = 1 << 22


DEFAULT_LIMITS = Limits()


def check_network(model: ModelProto, limits: Limits) -> None:
    """Check node count, nesting and every tensor that the file describes.

    Raises LimitError; ModelError for a tensor with negative dimensions; UnsupportedError for sparse tensors.
    """
    count = expanded_node_count(model, limits)
    if count > limits.nodes:
        raise LimitError(f"the network has {count} nodes, the limit is {limits.nodes}; raise Limits(nodes=...)")
    total = 0
    for tensor in tensors_of(model):
        total += tensor_bytes(tensor, limits)
    if total > limits.initializer_bytes:
        raise LimitError(
            f"initializers and constants take {total} bytes together, the limit is {limits.initializer_bytes}; "
            "raise Limits(initializer_bytes=...)"
        )


def tensor_bytes(tensor: TensorProto, limits: Limits) -> int:
    """Return the dense size of `tensor` in bytes from its description alone."""
    if any(dim < 0 for dim in tensor.dims):
        raise ModelError(f"tensor '{tensor.name}' has negative dimensions {list(tensor.dims)}")
    size = math.prod(tensor.dims) * element_bytes(tensor.data_type, f"tensor '{tensor.name}'")
    if size > limits.tensor_bytes:
        raise LimitError(
            f"tensor '{tensor.name}' of dimensions {list(tensor.dims)} takes {size} bytes, "
            f"the limit is {limits.tensor_bytes}; raise Limits(tensor_bytes=...)"
        )
    return size


def element_bytes(data_type: int, what: str) -> int:
    """Return the bytes of one element of an ONNX data type; 4-bit types count as a whole byte."""
    try:
        return tensor_dtype_to_np_dtype(data_type).itemsize
    except KeyError:
        raise ModelError(f"{what} has data type {data_type}, which ONNX {onnx.__version__} does not know") from None


def expanded_node_count(model: ModelProto, limits: Limits) -> int:
    """Count nodes with the bodies of every call of a model-local function, calls included, without replacing any.

    Functions that call functions can stand for exponentially many nodes; each function is counted once.
    Raises LimitError if subgraphs and functions together nest too deep, as they do without end in a recursion.
    """
    functions = {(function.domain, function.name): function.node for function in model.functions}
    counted: dict[tuple[str, str], tuple[int, int]] = {}

    def measure(nodes: Sequence[NodeProto], depth: int) -> tuple[int, int]:
        """Return (nodes, levels below) of a list of nodes that is itself `depth` levels deep."""
        if depth > limits.nesting:
            raise _too_deep(limits)
        total, levels = len(nodes), 0
        for node in nodes:
            parts = [measure(graph.node, depth + 1) for graph in subgraphs(node)]
            key = (node.domain, node.op_type)
            if key in functions:
                if key not in counted:
                    counted[key] = measure(functions[key], depth + 1)
                parts.append(counted[key])
            for part, below in parts:
                total += part
                levels = max(levels, below + 1)
        if depth + levels > limits.nesting:
            raise _too_deep(limits)
        return total, levels

    for nodes in functions.values():
        measure(nodes, 0)
    uncalled = sum(1 for nodes in functions.values() for _ in nodes_below(nodes))
    return max(measure(model.graph.node, 0)[0], uncalled)


def _too_deep(limits: Limits) -> LimitError:
    return LimitError(f"subgraphs or functions are nested deeper than {limits.nesting}; raise Limits(nesting=...)")


def subgraphs(node: NodeProto) -> list[GraphProto]:
    """Return the graphs that a node carries as attributes."""
    graphs: list[GraphProto] = []
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            graphs.append(attribute.g)
        elif attribute.type == AttributeProto.GRAPHS:
            graphs.extend(attribute.graphs)
    return graphs


def all_nodes(model: ModelProto) -> Iterator[NodeProto]:
    """Yield every node of the network: subgraphs' and functions' too."""
    yield from nodes_below(model.graph.node)
    for function in model.functions:
        yield from nodes_below(function.node)


def nodes_below(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """Yield the given nodes and those of their subgraphs."""
    pending = list(nodes)
    while pending:
        node = pending.pop()
        yield node
        for graph in subgraphs(node):
            pending.extend(graph.node)


def all_graphs(model: ModelProto) -> Iterator[GraphProto]:
    """Yield the main graph and every subgraph."""
    yield model.graph
    for node in all_nodes(model):
        yield from subgraphs(node)


def tensors_of(model: ModelProto) -> Iterator[TensorProto]:
    """Yield every dense tensor of the network: initializers and tensor attributes, at any depth.

    Raises UnsupportedError for sparse ones.
    """
    for graph in all_graphs(model):
        if graph.sparse_initializer:
            name = graph.sparse_initializer[0].values.name
            raise UnsupportedError(f"initializer '{name}' is sparse; store it as a dense tensor")
        yield from graph.initializer
    for node in all_nodes(model):
        for attribute in node.attribute:
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                raise UnsupportedError(
                    f"{node.op_type} '{node.name}' has the sparse attribute '{attribute.name}'; store it dense"
                )
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
