"""Small networks for the tests of the graph, and ONNX Runtime as the judge of their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto
from onnx.helper import (
    make_graph,
    make_model,
    make_node,
    make_opsetid,
    make_tensor_value_info,
    np_dtype_to_tensor_dtype,
)
from onnx.numpy_helper import from_array
from onnx.shape_inference import infer_shapes

from wavetile.engine.graph import Graph, fuse, load_network, specialise
from wavetile.engine.graph.export import to_model

Dims = Sequence[int | str | None]
Arrays = Mapping[str, np.ndarray]
Constants = dict[str, np.ndarray]
CHANNELS = 6


def graph_proto(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Dims],
    outputs: Sequence[str],
    constants: Arrays | None = None,
    dtypes: Mapping[str, type] | None = None,
) -> GraphProto:
    """Return a graph; inputs and outputs are float32 unless `dtypes` says otherwise, outputs of any size."""

    def value(name: str, dims: Dims | None) -> onnx.ValueInfoProto:
        dtype = np.dtype((dtypes or {}).get(name, np.float32))
        return make_tensor_value_info(name, np_dtype_to_tensor_dtype(dtype), dims)

    return make_graph(
        list(nodes),
        "network",
        [value(name, dims) for name, dims in inputs.items()],
        [value(name, None) for name in outputs],
        initializer=[from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )


def network_proto(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Dims],
    outputs: Sequence[str],
    constants: Arrays | None = None,
    *,
    opset: int = 17,
    dtypes: Mapping[str, type] | None = None,
    functions: Sequence[FunctionProto] = (),
    domain: str = "",
) -> ModelProto:
    """Return a model of one graph (see `graph_proto`), importing the operators of `domain` too."""
    graph = graph_proto(nodes, inputs, outputs, constants, dtypes)
    imports = [make_opsetid("", opset), *([make_opsetid(domain, 1)] if domain else [])]
    model = make_model(graph, opset_imports=imports, ir_version=8, functions=list(functions))
    # ONNX wants the rank of every output: inference knows it, and the sizes are left open.
    for value, inferred in zip(model.graph.output, infer_shapes(model).graph.output, strict=True):
        value.type.CopyFrom(inferred.type)
        value.type.tensor_type.shape.SetInParent()
        for dim in value.type.tensor_type.shape.dim:
            dim.Clear()
    return model


def bound_graph(model: ModelProto, **arguments: Any) -> Graph:
    """Return a model's bound graph; `arguments` are those of `specialise`."""
    return specialise(load_network(model.SerializeToString()), **arguments)


def session(model: ModelProto | bytes) -> onnxruntime.InferenceSession:
    """Return a model ready to run as it stands, without ONNX Runtime's own fusion."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    data = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run(model: ModelProto | bytes, feeds: Arrays) -> dict[str, np.ndarray]:
    """Return a model's outputs by name, by ONNX Runtime."""
    runner = session(model)
    names = [output.name for output in runner.get_outputs()]
    return {name: np.asarray(result) for name, result in zip(names, runner.run(names, dict(feeds)), strict=True)}


def random_feeds(graph: Graph, seed: int = 0) -> dict[str, np.ndarray]:
    """Return normally distributed values for a graph's inputs."""
    generator = np.random.default_rng(seed)
    return {
        name: np.asarray(generator.standard_normal(bound.shape) * 0.5).astype(bound.dtype)
        for name, bound in graph.inputs.items()
    }


def assert_same_numbers(original: ModelProto | bytes, graph: Graph, *, extra: Arrays | None = None) -> None:
    """Check a graph, written back as ONNX, against the network that it came from, on random inputs.

    `extra` are inputs that only the original still has. Tolerance 1e-5 of the largest output, at least of one.
    """
    feeds = random_feeds(graph)
    expected = run(original, {**feeds, **(extra or {})})
    exported = to_model(graph)
    onnx.checker.check_model(exported, full_check=True)
    actual = run(exported, feeds)
    assert list(actual) == list(expected)
    for name, want in expected.items():
        assert actual[name].shape == want.shape == graph.types[name].shape
        assert actual[name].dtype == want.dtype == graph.types[name].dtype
        largest = float(np.abs(want.astype(np.float64)).max(initial=1.0))
        np.testing.assert_allclose(actual[name], want, rtol=0, atol=1e-5 * largest, err_msg=name)


def assert_fusion_keeps_numbers(model: ModelProto, **arguments: Any) -> Graph:
    """Check the bound and the fused graph against the model; return the fused one."""
    graph = bound_graph(model, **arguments)
    assert_same_numbers(model, graph)
    fused = fuse(graph)
    assert_same_numbers(model, fused)
    return fused


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape) + len(shape)).standard_normal(shape).astype(np.float32)


def producer(op: str, *, bias: bool, group: int = 1) -> tuple[NodeProto, dict[str, list[int]], Constants]:
    """A node that makes 'p' with 6 channels from 'x'; its input shape and weights."""
    inputs = ["x", "w", "b"] if bias else ["x", "w"]
    constants = {"b": normal(CHANNELS)} if bias else {}
    if op == "Conv":
        constants["w"] = normal(CHANNELS, 4 // group, 3, 2)
        return make_node("Conv", inputs, ["p"], name="c", group=group, strides=[2, 1]), {"x": [2, 4, 7, 5]}, constants
    if op == "ConvTranspose":
        constants["w"] = normal(4, CHANNELS // group, 3)
        return (
            make_node("ConvTranspose", inputs, ["p"], name="c", group=group, strides=[2]),
            {"x": [2, 4, 5]},
            constants,
        )
    if op == "Gemm":
        constants["w"] = normal(CHANNELS, 4)
        node = make_node("Gemm", inputs, ["p"], name="c", transB=1, alpha=0.5, beta=2.0)
        return node, {"x": [3, 4]}, constants
    constants["w"] = normal(4, CHANNELS)
    return make_node("MatMul", ["x", "w"], ["p"], name="c"), {"x": [2, 3, 4]}, constants
