"""One step of an LSTM or GRU layer, from tiny to large: state in, state out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.benchmarks.networks import Effort, measure_file
from tests.benchmarks.rows import Row
from tests.benchmarks.targets import recurrent_target

GATES = {"LSTM": 4, "GRU": 3}
HIDDEN = (8, 16, 32, 64, 128, 256, 512)
QUICK_HIDDEN = (8, 64, 512)


def measure_step(operator: str, hidden: int, folder: Path, effort: Effort) -> Row:
    """One layer with as many inputs as cells."""
    path = folder / f"{operator}_{hidden}.onnx"
    onnx.save(layer(operator, hidden), path)
    rng = np.random.default_rng(hidden)
    states = ["h", "c"] if operator == "LSTM" else ["h"]
    inputs = {name: (0.5 * rng.standard_normal((1, 1, hidden))).astype(np.float32) for name in ("x", *states)}
    goals = {"onnxruntime": recurrent_target(hidden)}
    return measure_file("recurrent", f"{operator} {hidden}", path, [inputs], effort, call="one step", goals=goals)


def layer(operator: str, hidden: int) -> onnx.ModelProto:
    """A layer of random weights whose state is an input and an output."""
    rng = np.random.default_rng(1)
    gates, shape = GATES[operator], [1, 1, hidden]
    weights = {
        "W": rng.standard_normal((1, gates * hidden, hidden)) / np.sqrt(hidden),
        "R": rng.standard_normal((1, gates * hidden, hidden)) / np.sqrt(hidden),
        "B": 0.1 * rng.standard_normal((1, 2 * gates * hidden)),
    }
    states = ["h", "c"] if operator == "LSTM" else ["h"]
    extra: dict[str, Any] = {"linear_before_reset": 1} if operator == "GRU" else {}
    node = helper.make_node(
        operator, ["x", "W", "R", "B", "", *states], ["", *(f"{name}_out" for name in states)],
        hidden_size=hidden, **extra,
    )  # fmt: skip
    return helper.make_model(
        helper.make_graph(
            [node],
            operator,
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", *states)],
            [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, shape) for name in states],
            [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
