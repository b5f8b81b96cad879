"""One step of an LSTM or GRU layer, from tiny to large: state in, state out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.benchmarks import peers
from tests.benchmarks.networks import Effort, measure_file
from tests.benchmarks.rows import Row
from tests.benchmarks.targets import recurrent_target
from wavetile.engine.commands.peer import Peer

GATES = {"LSTM": 4, "GRU": 3}
HIDDEN = (8, 16, 32, 64, 128, 256, 512)
QUICK_HIDDEN = (8, 64, 512)


def measure_step(operator: str, hidden: int, folder: Path, effort: Effort) -> Row:
    """One layer with as many inputs as cells."""
    path = folder / f"{operator}_{hidden}.onnx"
    weights = random_weights(operator, hidden)
    onnx.save(layer(operator, hidden, weights), path)
    rng = np.random.default_rng(hidden)
    states = ["h", "c"] if operator == "LSTM" else ["h"]
    inputs = {name: (0.5 * rng.standard_normal((1, 1, hidden))).astype(np.float32) for name in ("x", *states)}
    rivals: dict[str, Callable[[], object]] = {}
    if not effort.quick and peers.is_here("torch"):
        expected = [np.asarray(array) for array in Peer(path).session.run(None, inputs)]
        torch = peers.torch_cell_call(operator, weights, inputs, expected)
        if torch is not None:
            rivals["torch"] = torch
    return measure_file(
        "recurrent", f"{operator} {hidden}", path, [inputs], effort, call="one step",
        goals={"onnxruntime": recurrent_target(hidden)}, rivals=rivals,
    )  # fmt: skip


def random_weights(operator: str, hidden: int) -> dict[str, np.ndarray]:
    """W, R and B of a layer with as many inputs as cells."""
    rng = np.random.default_rng(1)
    gates = GATES[operator]
    weights = {
        "W": rng.standard_normal((1, gates * hidden, hidden)) / np.sqrt(hidden),
        "R": rng.standard_normal((1, gates * hidden, hidden)) / np.sqrt(hidden),
        "B": 0.1 * rng.standard_normal((1, 2 * gates * hidden)),
    }
    return {name: array.astype(np.float32) for name, array in weights.items()}


def layer(operator: str, hidden: int, weights: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """A layer whose state is an input and an output."""
    shape = [1, 1, hidden]
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
            [numpy_helper.from_array(array, name) for name, array in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
