"""Recurrent layers as ONNX allows them, on both back ends, against ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.plan.networks import assert_matches, compile_model, run_onnxruntime, run_program, signal
from wavetile.engine.errors import UnsupportedError

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
BACKENDS = ["reference", "cpu"]


@dataclass(frozen=True)
class Layer:
    """A network of one recurrent node."""

    op: str
    attributes: dict[str, Any] = field(default_factory=dict)
    time: int = 5
    batch: int = 3
    inner: int = 4
    hidden: int = 6
    lengths: tuple[int, ...] | None = None
    """sequence_lens."""
    arriving: bool = False
    """The lengths are an input of the network."""
    peepholes: bool = False
    initial: bool = True
    scale: float = 0.6

    def feeds(self) -> dict[str, np.ndarray]:
        directions = 2 if self.attributes.get("direction") == "bidirectional" else 1
        first, second = self.time, self.batch
        state = (directions, self.batch, self.hidden)
        if self.attributes.get("layout"):
            first, second, state = second, first, (self.batch, directions, self.hidden)
        feeds = {"x": signal((first, second, self.inner), 1)}
        if self.initial:
            feeds["initial_h"] = signal(state, 2)
            if self.op == "LSTM":
                feeds["initial_c"] = signal(state, 3)
        if self.arriving:
            feeds["lengths"] = np.array(self.lengths, np.int32)
        return feeds

    def model(self) -> onnx.ModelProto:
        directions = 2 if self.attributes.get("direction") == "bidirectional" else 1
        columns = GATES[self.op] * self.hidden
        constants: dict[str, np.ndarray] = {
            "w": self.scale * signal((directions, columns, self.inner), 4),
            "r": self.scale * signal((directions, columns, self.hidden), 5),
            "b": self.scale * signal((directions, 2 * columns), 6),
        }
        if self.lengths and not self.arriving:
            constants["lengths"] = np.array(self.lengths, np.int32)
        if self.peepholes:
            constants["p"] = self.scale * signal((directions, 3 * self.hidden), 7)
        feeds = self.feeds()
        optional = ["lengths" if self.lengths else "", *(n if n in feeds else "" for n in ("initial_h", "initial_c"))]
        names = ["x", "w", "r", "b", *optional, "p" if self.peepholes else ""]
        outputs = ["y", "y_h", "y_c"] if self.op == "LSTM" else ["y", "y_h"]
        node = helper.make_node(
            self.op, names[: 8 if self.op == "LSTM" else 6], outputs, hidden_size=self.hidden, **self.attributes
        )
        graph = helper.make_graph(
            [node],
            "layer",
            [
                helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
                for k, v in feeds.items()
            ],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None] * (4 if n == "y" else 3)) for n in outputs],
            [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


# ONNX Runtime has 0 where a node gives no alpha or beta for the first three; the operators' own defaults are others.
FUNCTIONS: dict[str, dict[str, Any]] = {
    "Affine": {"activation_alpha": [0.6], "activation_beta": [0.1]},
    "ScaledTanh": {"activation_alpha": [0.8], "activation_beta": [1.3]},
    "ThresholdedRelu": {"activation_alpha": [0.2]},
    **{name: {} for name in ("Relu", "Tanh", "Sigmoid", "LeakyRelu", "HardSigmoid", "Elu", "Softsign", "Softplus")},
}
LAYERS = {
    **{f"{op}_{d}": Layer(op, {"direction": d}) for op in GATES for d in ("forward", "reverse", "bidirectional")},
    **{f"{op}_wide": Layer(op, {"direction": "bidirectional"}, hidden=21, initial=False) for op in GATES},
    **{f"{op}_one_step": Layer(op, time=1, batch=1) for op in GATES},
    **{f"{op}_clip": Layer(op, {"clip": 0.3}, scale=2.0) for op in GATES},
    "LSTM_clip_peepholes": Layer("LSTM", {"clip": 0.4}, peepholes=True, scale=2.0),
    "LSTM_peepholes": Layer("LSTM", {"direction": "bidirectional"}, peepholes=True),
    "LSTM_input_forget": Layer("LSTM", {"input_forget": 1}),
    "LSTM_input_forget_peepholes": Layer("LSTM", {"input_forget": 1}, peepholes=True),
    "GRU_linear": Layer("GRU", {"linear_before_reset": 1, "clip": 0.5}, scale=2.0),
    "GRU_linear_functions": Layer("GRU", {"linear_before_reset": 1, "activations": ["HardSigmoid", "Softsign"]}),
    **{
        f"{op}_lengths_{direction}_{arriving}": Layer(
            op, {"direction": direction}, lengths=(2, 5, 1), arriving=arriving
        )
        for op in GATES
        for direction in ("forward", "reverse", "bidirectional")
        for arriving in (False, True)
    },
    **{
        f"{op}_no_steps_{direction}": Layer(op, {"direction": direction}, lengths=(3, 0, 1))
        for op in GATES
        for direction in ("forward", "reverse", "bidirectional")
    },
    **{f"{op}_full_lengths": Layer(op, lengths=(5, 5, 5)) for op in GATES},
    **{f"RNN_{name}": Layer("RNN", {"activations": [name]} | given) for name, given in FUNCTIONS.items()},
    **{
        f"LSTM_{name}": Layer("LSTM", {"activations": ["Sigmoid", name, "Tanh"]} | given)
        for name, given in FUNCTIONS.items()
    },
    **{
        f"LSTM_last_{name}": Layer("LSTM", {"activations": ["Sigmoid", "Tanh", name]} | given)
        for name, given in FUNCTIONS.items()
    },
    "GRU_parameters": Layer(
        "GRU",
        {
            "direction": "bidirectional",
            "activations": ["HardSigmoid", "ScaledTanh", "Sigmoid", "LeakyRelu"],
            "activation_alpha": [0.3, 0.8, 0.2],
            "activation_beta": [0.45, 1.2],
        },
    ),
    "LSTM_both_ways_differ": Layer(
        "LSTM",
        {"direction": "bidirectional", "activations": ["Sigmoid", "Tanh", "Tanh", "HardSigmoid", "Softsign", "Elu"]},
    ),
    "GRU_small_names": Layer("GRU", {"activations": ["hardsigmoid", "tanh"]}),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", LAYERS)
def test_matches_onnxruntime(name: str, backend: str) -> None:
    layer = LAYERS[name]
    assert_matches(layer.model(), layer.feeds(), backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_batch_first_is_the_other_layout_transposed(op: str, direction: str, backend: str) -> None:
    """ONNX Runtime does not take layout 1."""
    straight, turned = (Layer(op, {"direction": direction, "layout": layout}, lengths=(3, 5, 2)) for layout in (0, 1))
    model = turned.model()
    feeds = {name: value.swapaxes(0, 1) for name, value in straight.feeds().items()}
    ours = run_program(compile_model(model, feeds), feeds, backend)
    y, *last = run_onnxruntime(straight.model(), straight.feeds())
    expected = [y.transpose(2, 0, 1, 3), *(state.swapaxes(0, 1) for state in last)]
    for name, value in zip(("y", "y_h", "y_c"), expected, strict=False):
        np.testing.assert_allclose(ours[name], value, rtol=0, atol=2e-5)


def test_the_usual_layers_have_kernels_of_their_own() -> None:
    kernels = {name: compile_model(LAYERS[name].model(), LAYERS[name].feeds()).kernel_counts() for name in LAYERS}
    assert kernels["LSTM_full_lengths"]["lstm"] == 1
    assert kernels["GRU_bidirectional"]["gru_small"] == 1
    assert kernels["GRU_wide"]["gru"] == 2
    assert kernels["LSTM_both_ways_differ"]["lstm"] == kernels["LSTM_both_ways_differ"]["recurrent_general"] == 1
    assert kernels["RNN_forward"]["recurrent_general"] == 1


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"activations": ["Sigmoid", "Gelu"]}, "'Gelu'"),
        ({"activations": ["Sigmoid"]}, "activations has 1 names"),
        (
            {"activations": ["Sigmoid", "ScaledTanh"], "activation_alpha": [1.0]},
            "give activation_alpha and activation_beta",
        ),
    ],
)
def test_what_is_unknown_is_refused_by_name(attributes: dict[str, Any], words: str) -> None:
    layer = Layer("GRU", attributes)
    with pytest.raises(UnsupportedError, match=words):
        compile_model(layer.model(), layer.feeds())
