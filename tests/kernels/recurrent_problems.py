"""Random LSTM and GRU problems, their answers from ONNX Runtime, and how to put them to a kernel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from wavetile.kernels.opcodes import Activation
from wavetile.kernels.packing_recurrent import GRU_GATES, LSTM_GATES, gate_bias, gate_weights

from .harness import Constant, Lanes, Out, run_kernel


@dataclass(frozen=True)
class RecurrentProblem:
    """One direction of a recurrent layer for some lanes."""

    kernel: str
    time: int
    batch: int
    inner: int
    hidden: int
    reverse: bool = False
    bias: bool = True
    initial: bool = True
    linear_before_reset: bool = True
    candidate: Activation = Activation.TANH
    lanes: int = 1
    scale: float = 0.5
    """Spread of the weights; a large one drives the gates into saturation."""
    seed: int = 0

    @property
    def gates(self) -> int:
        return LSTM_GATES if self.kernel == "lstm" else GRU_GATES

    @property
    def states(self) -> tuple[str, ...]:
        return ("hidden", "cell") if self.kernel == "lstm" else ("hidden",)

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """W, R, B of one direction; x [lanes, time, batch, input]; hidden and cell [lanes, batch, hidden]."""
        random = np.random.default_rng(self.seed)

        def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
            return (scale * random.standard_normal(shape)).astype(np.float32)

        columns = self.gates * self.hidden
        return {
            "W": normal(columns, self.inner, scale=self.scale),
            "R": normal(columns, self.hidden, scale=self.scale / max(1, self.hidden) ** 0.5),
            "B": normal(2 * columns, scale=0.3 if self.bias else 0.0),
            "x": normal(self.lanes, self.time, self.batch, self.inner),
            "hidden": normal(self.lanes, self.batch, self.hidden, scale=0.5),
            "cell": normal(self.lanes, self.batch, self.hidden),
        }

    def expected(self) -> dict[str, np.ndarray]:
        """y [lanes, time, batch, hidden] and the last states [lanes, batch, hidden], by ONNX Runtime."""
        session = recurrent_session(self)
        results = []
        for lane in range(self.lanes):
            feeds = {"x": self.arrays["x"][lane]}
            if self.initial:
                feeds |= {f"initial_{state}": self.arrays[state][lane][None] for state in self.states}
            results.append(session.run(None, feeds))
        y, *last = (np.stack(result) for result in zip(*results, strict=True))
        return {"y": y[:, :, 0], **{f"last_{s}": value[:, 0] for s, value in zip(self.states, last, strict=True)}}

    def operands(self) -> dict[str, Any]:
        """Operands of the kernel, all in the arena, all outputs wanted."""
        arrays = self.arrays
        extra = (
            {}
            if self.kernel == "lstm"
            else {
                "linear_before_reset": int(self.linear_before_reset),
                "candidate": self.candidate,
            }
        )
        return {
            "x": Lanes(arrays["x"]),
            "input_weights": Constant(gate_weights(arrays["W"], self.gates)),
            "hidden_weights": Constant(gate_weights(arrays["R"], self.gates)),
            "bias": Constant(gate_bias(arrays["B"] if self.bias else None, self.gates, self.hidden)),
            **{f"initial_{state}": Lanes(arrays[state]) if self.initial else None for state in self.states},
            "y": Out((self.time, self.batch, self.hidden)),
            **{f"last_{state}": Out((self.batch, self.hidden)) for state in self.states},
            "reverse": int(self.reverse),
            **extra,
        }

    def run(self, backend: str, **changed: Any) -> dict[str, np.ndarray]:
        """The kernel's results, with some operands changed."""
        return run_kernel(self.kernel, backend, lanes=self.lanes, **(self.operands() | changed))


def recurrent_session(problem: RecurrentProblem) -> onnxruntime.InferenceSession:
    """ONNX Runtime on a model of the one node, with one thread."""
    lstm = problem.kernel == "lstm"
    state_shape = [1, problem.batch, problem.hidden]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [problem.time, problem.batch, problem.inner])]
    names = ["x", "W", "R", "B" if problem.bias else "", ""]
    if problem.initial:
        for state in problem.states:
            inputs.append(helper.make_tensor_value_info(f"initial_{state}", TensorProto.FLOAT, state_shape))
            names.append(f"initial_{state}")
    outputs = ["y", *(f"last_{state}" for state in problem.states)]
    attributes: dict[str, Any] = {"hidden_size": problem.hidden, "direction": "forward"}
    if problem.reverse:
        attributes["direction"] = "reverse"
    if not lstm:
        attributes["linear_before_reset"] = int(problem.linear_before_reset)
        attributes["activations"] = ["Sigmoid", problem.candidate.name.capitalize()]
    node = helper.make_node("LSTM" if lstm else "GRU", names, outputs, **attributes)
    constants = [numpy_helper.from_array(problem.arrays[name][None], name) for name in ("W", "R", "B")]
    graph = helper.make_graph(
        [node],
        problem.kernel,
        inputs,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        constants if problem.bias else constants[:2],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
