"""Programs on several threads: the same bits as on one, nothing for small ones, and threads that end."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto
from onnx.helper import make_node

from tests.graph.networks import network_proto
from tests.patience import wait_until
from wavetile.engine.graph import fuse, load_network, specialise
from wavetile.engine.models.evaluator import Evaluator
from wavetile.engine.plan import Program, Target, Workspace, compile_graph
from wavetile.kernels.cpu.team import _schedule
from wavetile.kernels.schemas import KERNELS

Constants = dict[str, np.ndarray]


def _conv(name: str, source: str, shape: tuple[int, ...], constants: Constants, **attributes: Any) -> NodeProto:
    rng = np.random.default_rng(len(constants))
    constants[f"{name}.w"] = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
    constants[f"{name}.b"] = rng.standard_normal(shape[0]).astype(np.float32)
    return make_node("Conv", [source, f"{name}.w", f"{name}.b"], [name], **attributes)


def network(batch: int, size: tuple[int, int]) -> bytes:
    """A network with every kind of instruction that is cut: a small U-Net with strides, groups and a product."""
    constants: Constants = {
        "scales": np.array([1, 1, 2, 2], np.float32),
        "slope": np.linspace(0.1, 0.4, 32, dtype=np.float32).reshape(-1, 1, 1),
        "matrix": np.random.default_rng(9).standard_normal((64, 48)).astype(np.float32),
    }
    ones = {"pads": [1, 1, 1, 1]}
    nodes = [
        _conv("first", "x", (16, 3, 5, 5), constants, pads=[2, 2, 2, 2]),
        make_node("Relu", ["first"], ["first_r"]),
        _conv("second", "first_r", (32, 16, 3, 3), constants, **ones),
        make_node("PRelu", ["second", "slope"], ["second_r"]),
        make_node("MaxPool", ["second_r"], ["down"], kernel_shape=[2, 2], strides=[2, 2]),
        _conv("deep", "down", (64, 32, 3, 3), constants, **ones),
        _conv("apart", "deep", (64, 1, 3, 3), constants, group=64, **ones),
        make_node("Sigmoid", ["apart"], ["gate"]),
        make_node("Mul", ["gate", "deep"], ["gated"]),
        _conv("grouped", "gated", (64, 32, 3, 3), constants, group=2, strides=[2, 2], **ones),
        make_node("Resize", ["grouped", "", "scales"], ["up"], mode="linear"),
        _conv("point", "gated", (64, 64, 1, 1), constants),
        make_node("Add", ["up", "point"], ["sum"]),
        make_node("AveragePool", ["sum"], ["mean"], kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]),
        make_node("Transpose", ["mean"], ["last"], perm=[0, 2, 3, 1]),
        make_node("MatMul", ["last", "matrix"], ["product"]),
        make_node("Softmax", ["product"], ["y"], axis=-1),
    ]
    return network_proto(nodes, {"x": [batch, 3, *size]}, ["y", "mean"], constants).SerializeToString()


def compiled(batch: int, size: tuple[int, int], threads: int) -> Program:
    return compile_graph(fuse(specialise(load_network(network(batch, size)), {})), threads=threads)


def outputs(program: Program, backend: str, runs: int = 1) -> list[np.ndarray]:
    workspace = Workspace(program, backend)
    result: list[np.ndarray] = []
    for run in range(runs):
        port = workspace.input("x")
        port[...] = np.random.default_rng(run).standard_normal(port.shape)
        workspace.run(1)
        result += [workspace.output(name).copy() for name in program.outputs]
    return result


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize(("batch", "size"), [(1, (64, 96)), (1, (52, 60)), (3, (44, 44))])
def test_same_bits_on_any_number_of_threads(threads: int, batch: int, size: tuple[int, int]) -> None:
    alone, together = compiled(batch, size, 1), compiled(batch, size, threads)
    assert alone.table.threads == 1
    assert together.table.threads == threads
    assert together.multiply_adds == alone.multiply_adds
    for one, other in zip(outputs(alone, "cpu", 3), outputs(together, "cpu", 3), strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize(("stride", "dilation", "before"), [(1, 1, 1), (2, 1, 0), (1, 4, 4), (2, 3, 5)])
def test_volumes_are_cut_by_planes(stride: int, dilation: int, before: int) -> None:
    constants: Constants = {}
    geometry = {"strides": [stride] * 3, "dilations": [dilation] * 3, "pads": [before] * 3 + [dilation] * 3}
    nodes = [
        _conv("first", "x", (11, 5, 3, 3, 3), constants, **geometry),
        make_node("GridSample", ["first", "grid"], ["y"], padding_mode="border"),
    ]
    inputs = {"x": [1, 5, 33, 66, 67], "grid": [1, 20, 30, 40, 3]}
    network = load_network(network_proto(nodes, inputs, ["y"], constants, opset=20).SerializeToString())
    graph = fuse(specialise(network, {}))
    results = []
    for threads in (1, 2, 3):
        program = compile_graph(graph, threads=threads)
        if threads > 1:
            parts = program.table.parts
            assert parts is not None
            cut = {KERNELS[kernel].name for kernel, part in zip(program.table.kernels, parts, strict=True) if part == 1}
            assert cut >= {"conv_volume", "sample"}
        workspace = Workspace(program)
        for name in inputs:
            port = workspace.input(name)
            port[...] = np.random.default_rng(0).standard_normal(port.shape)
        workspace.run(1)
        results.append(workspace.output("y").tobytes())
    assert results[0] == results[1] == results[2]


def test_reference_runs_the_parts_one_after_the_other() -> None:
    alone, together = compiled(1, (52, 60), 1), compiled(1, (52, 60), 2)
    for one, other in zip(outputs(alone, "reference"), outputs(together, "reference"), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_small_programs_stay_on_one_thread() -> None:
    small = compiled(1, (16, 16), 2)
    assert small.multiply_adds < 20_000_000
    assert small.table.threads == 1


def test_large_instructions_are_cut() -> None:
    program = compiled(1, (128, 96), 2)
    parts = program.table.parts
    assert parts is not None
    cut = {KERNELS[kernel].name for kernel, part in zip(program.table.kernels, parts, strict=True) if part == 1}
    convolutions = {"conv_winograd", "conv_wide", "conv_depthwise"}
    assert cut >= convolutions | {"max_pool", "average_pool", "resize_linear", "dense"}


def test_threads_wait_where_they_must() -> None:
    # whole, two parts, two parts, whole, whole, two parts
    parts = np.array([-1, 0, 1, 0, 1, -1, -1, 0, 1])
    assert _schedule(parts, 0) == [0, None, 1, None, 3, None, 5, 6, None, 7, None]
    assert _schedule(parts, 1) == [None, 2, None, 4, None, None, 8, None]


def test_threads_end_with_their_runner() -> None:
    before = set(threading.enumerate())
    program = compiled(1, (64, 96), 2)
    outputs(program, "cpu")
    gc.collect()
    wait_until(lambda: {thread for thread in threading.enumerate() if thread.name == "wavetile compute"} <= before)


def test_calls_at_the_same_time() -> None:
    evaluator = Evaluator(load_network(network(1, (64, 96))), Target(), 2)
    images = [np.random.default_rng(i).standard_normal((1, 3, 64, 96)).astype(np.float32) for i in range(4)]
    expected = [evaluator.run({"x": image}) for image in images]
    with ThreadPoolExecutor(4) as callers:
        got = list(callers.map(lambda image: evaluator.run({"x": image}), images * 3))
    for one, other in zip(expected * 3, got, strict=True):
        assert all(one[name].tobytes() == other[name].tobytes() for name in one)
