"""Small ONNX networks written as text, run by us and by onnxruntime."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx.parser
import onnxruntime

from wavetile.engine.graph import fuse, load_network, specialise
from wavetile.engine.plan import Program, Workspace, compile_graph


def parse(body: str, *, opset: int = 17, constants: Mapping[str, np.ndarray] | None = None) -> onnx.ModelProto:
    """A model from ONNX's text syntax: `body` is `(inputs) => (outputs) { nodes }`; constants become initialisers."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> net {body}')
    for name, value in (constants or {}).items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    return model


def compile_model(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> Program:
    network = load_network(model.SerializeToString())
    return compile_graph(fuse(specialise(network, {name: value.shape for name, value in feeds.items()})))


def run_program(program: Program, feeds: Mapping[str, np.ndarray], backend: str) -> dict[str, np.ndarray]:
    workspace = Workspace(program, backend)
    for name, value in feeds.items():
        workspace.input(name)[0] = value
    workspace.run(1)
    return {name: workspace.output(name)[0].copy() for name in program.outputs}


def run_onnxruntime(
    model: onnx.ModelProto, feeds: Mapping[str, np.ndarray], *, as_written: bool = False
) -> list[np.ndarray]:
    """The outputs; `as_written`: without optimisations, one of which takes a Pad with 0 before a MaxPool for -inf."""
    session = _session(model.SerializeToString(), as_written)
    return [np.asarray(value) for value in session.run(None, dict(feeds))]


@functools.lru_cache(maxsize=4)  # one network is run on many signals in turn
def _session(model: bytes, as_written: bool) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # DynamicQuantizeLSTM rounds otherwise with more
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def signal(shape: Sequence[int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(tuple(shape), np.float32)


def assert_matches(
    model: onnx.ModelProto, feeds: Mapping[str, np.ndarray], backend: str, tolerance: float = 2e-5
) -> None:
    """Our outputs equal onnxruntime's, relative to each output's scale."""
    ours = run_program(compile_model(model, feeds), feeds, backend)
    for value, theirs in zip(model.graph.output, run_onnxruntime(model, feeds), strict=True):
        scale = max(1.0, float(np.abs(theirs).max(initial=0)))
        np.testing.assert_allclose(ours[value.name], theirs, rtol=0, atol=tolerance * scale, err_msg=value.name)
