"""Small ONNX networks made on the spot, and cards for them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime
from onnx import TensorProto, helper
from onnx.numpy_helper import from_array

FLOAT = TensorProto.FLOAT


def save(path: Path, graph: onnx.GraphProto, opset: int = 17) -> Path:
    """Write a graph as a checked ONNX file."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def onnx_outputs(path: Path, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The named outputs, as onnxruntime computes them."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [np.asarray(output) for output in session.run(names, inputs)]


def leaky_integrator(path: Path, features: int = 3) -> Path:
    """y = x w + 0.5 h, h_out = y; x `[batch, features]`."""
    rng = np.random.default_rng(5)
    weights = rng.standard_normal((features, features)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["xw"], name="product"),
            helper.make_node("Mul", ["h", "half"], ["h_half"], name="leak"),
            helper.make_node("Add", ["xw", "h_half"], ["y"], name="sum"),
            helper.make_node("Identity", ["y"], ["h_out"], name="state"),
        ],
        "leaky_integrator",
        [helper.make_tensor_value_info(name, FLOAT, ["batch", features]) for name in ("x", "h")],
        [helper.make_tensor_value_info(name, FLOAT, ["batch", features]) for name in ("y", "h_out")],
        [from_array(weights, "w"), from_array(np.array(0.5, np.float32), "half")],
    )
    return save(path, graph)


def largest(path: Path) -> Path:
    """y = the largest number of x `[rows]`, a tensor of rank 0."""
    graph = helper.make_graph(
        [helper.make_node("ReduceMax", ["x"], ["y"], name="largest", keepdims=0)],
        "largest",
        [helper.make_tensor_value_info("x", FLOAT, ["rows"])],
        [helper.make_tensor_value_info("y", FLOAT, [])],
    )
    return save(path, graph)


def row_taker(path: Path) -> Path:
    """y = x scaled, of rows `first` on; x `[rows, columns]`, first int64 `[1]`, loud bool `[]`."""
    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["x", "first", "end", "axis"], ["rows"], name="slice"),
            helper.make_node("Where", ["loud", "ten", "one"], ["gain"], name="choose"),
            helper.make_node("Mul", ["rows", "gain"], ["y"], name="scale"),
        ],
        "row_taker",
        [
            helper.make_tensor_value_info("x", FLOAT, ["rows", "columns"]),
            helper.make_tensor_value_info("first", TensorProto.INT64, [1]),
            helper.make_tensor_value_info("loud", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("y", FLOAT, ["taken", "columns"])],
        [
            from_array(np.array([2**31], np.int64), "end"),
            from_array(np.array([0], np.int64), "axis"),
            from_array(np.array(10, np.float32), "ten"),
            from_array(np.array(1, np.float32), "one"),
        ],
    )
    return save(path, graph)


def gru_over_frames(path: Path, features: int = 5, hidden: int = 4, direction: str = "forward") -> Path:
    """An offline recurrent network: x `[1, frames, features]` -> y `[1, frames, hidden]`, its state hidden inside."""
    rng = np.random.default_rng(9)
    ways = 2 if direction == "bidirectional" else 1
    shapes = {"w": (ways, 3 * hidden, features), "r": (ways, 3 * hidden, hidden), "b": (ways, 6 * hidden)}
    weights = [from_array(rng.uniform(-0.5, 0.5, shape).astype(np.float32), name) for name, shape in shapes.items()]
    graph = helper.make_graph(
        [
            helper.make_node("Transpose", ["x"], ["time_first"], name="turn", perm=[1, 0, 2]),
            helper.make_node(
                "GRU",
                ["time_first", "w", "r", "b"],
                ["states"],
                name="gru",
                hidden_size=hidden,
                direction=direction,
                linear_before_reset=1,
            ),
            helper.make_node("Transpose", ["states"], ["back"], name="turn back", perm=[2, 0, 1, 3]),
            helper.make_node("Reshape", ["back", "shape"], ["y"], name="flat"),
        ],
        "gru_over_frames",
        [helper.make_tensor_value_info("x", FLOAT, [1, "frames", features])],
        [helper.make_tensor_value_info("y", FLOAT, [1, "frames", ways * hidden])],
        [*weights, from_array(np.array([1, -1, ways * hidden], np.int64), "shape")],
    )
    return save(path, graph)


def running_mean(path: Path, features: int = 3) -> Path:
    """An offline Scan: x `[1, frames, features]` -> y, the mean of all frames so far; it counts them in integers."""
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["": 17]> running_mean (float[1,frames,{features}] x)
        => (float[1,frames,{features}] y) {{
            total, frames, y = Scan<num_scan_inputs=1, scan_input_axes=[1], scan_output_axes=[1],
                body = step (float[1,{features}] sum, int64 count, float[1,{features}] frame)
                => (float[1,{features}] sum_next, int64 count_next, float[1,{features}] mean)
                {{ sum_next = Add(sum, frame) count_next = Add(count, one) c = Cast<to=1>(count_next)
                mean = Div(sum_next, c) }}>(zeros, none, x)
        }}"""
    )
    constants = {"zeros": np.zeros((1, features), np.float32), "none": np.array(0), "one": np.array(1)}
    model.graph.initializer.extend(from_array(array, name) for name, array in constants.items())
    return save(path, model.graph)


def write_card(path: Path, network: Path, entries: str, *, signal: str, stream: str) -> Path:
    """Write a card beside a network file; `entries` are lines of its [networks.net] table."""
    digest = hashlib.sha256(network.read_bytes()).hexdigest()
    path.write_text(
        f"""
name = "{path.stem}"
title = "A test"
task = "denoise"
licence = "MIT"
attribution = "Nobody"
budget_ms = 10.0

[signal]
{signal}

[networks.net]
file = "{network.name}"
sha256 = "{digest}"
source = "{network.name}"
{entries}

[stream]
{stream}
""",
        "utf-8",
    )
    return path


def with_constant_outputs(path: Path) -> Path:
    """Outputs of every kind around y = relu(x): `count` int64, `shape` int64 `[2]`, `flag` bool, `exact` float64."""
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["large"], ["count"], name="count"),
            helper.make_node("Relu", ["x"], ["y"], name="relu"),
            helper.make_node("Shape", ["x"], ["shape"], name="shape"),
            helper.make_node("Not", ["off"], ["flag"], name="flip"),
            helper.make_node("Identity", ["third"], ["exact"], name="exact"),
        ],
        "with_constant_outputs",
        [
            helper.make_tensor_value_info("x", FLOAT, ["rows", 3]),
            helper.make_tensor_value_info("off", TensorProto.BOOL, []),
        ],
        [
            helper.make_tensor_value_info("count", TensorProto.INT64, []),
            helper.make_tensor_value_info("y", FLOAT, ["rows", 3]),
            helper.make_tensor_value_info("shape", TensorProto.INT64, [2]),
            helper.make_tensor_value_info("flag", TensorProto.BOOL, []),
            helper.make_tensor_value_info("exact", TensorProto.DOUBLE, [1]),
        ],
        [from_array(np.array(2**24 + 1, np.int64), "large"), from_array(np.array([1 / 3]), "third")],
    )
    return save(path, graph)


def shape_teller(path: Path) -> Path:
    """shape = the shape of x `[4, 3]`: nothing to compute."""
    graph = helper.make_graph(
        [helper.make_node("Shape", ["x"], ["shape"], name="shape")],
        "shape_teller",
        [helper.make_tensor_value_info("x", FLOAT, [4, 3])],
        [helper.make_tensor_value_info("shape", TensorProto.INT64, [2])],
    )
    return save(path, graph)
