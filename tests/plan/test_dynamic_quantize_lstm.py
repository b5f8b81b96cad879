"""DynamicQuantizeLSTM on both back ends against ONNX Runtime, whose operator it is.

Both compute with the same integers, so that results agree as those of real layers do. But h is rounded to integers at
each step: where it lies within its own rounding error of a tie, about once in 300,000 numbers, the two may go to
neighbouring integers. The layers here have no such tie; `test_a_tie_moves_one_step_by_one_quantum` is about them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

import wavetile
from tests.plan.networks import assert_matches, compile_model, run_onnxruntime, run_program, signal
from tests.plan.test_recurrent import BACKENDS, FUNCTIONS, LAYERS, Layer
from wavetile.engine.errors import ModelError, UnsupportedError
from wavetile.engine.graph import fuse, load_network, specialise
from wavetile.engine.graph.export import to_model
from wavetile.engine.plan.streaming import StreamingAxis, StreamPlan, find_axes


def quantised(layer: Layer, kind: str = "int8", *, per_column: bool = False) -> onnx.ModelProto:
    """The network of an LSTM with integer weights.

    Those of int8 have 7 bits: ONNX Runtime's own sums of 8 bits saturate on a machine without VNNI.
    """
    model = layer.model()
    node, constants = model.graph.node[0], {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    node.op_type, node.domain = "DynamicQuantizeLSTM", "com.microsoft"
    node.input.extend([""] * (8 - len(node.input)))
    most, zero_point = (63, 0) if kind == "int8" else (110, 117)
    for name in "wr":
        real = constants[name].swapaxes(1, 2)
        scale = np.abs(real).max(1 if per_column else (1, 2), keepdims=True) / most
        shape = (len(real), -1) if per_column else (len(real),)
        constants[name] = (np.rint(real / scale) + zero_point).astype(kind)
        constants[f"{name}_scale"] = scale.reshape(shape)
        constants[f"{name}_zero_point"] = np.full_like(scale.reshape(shape), zero_point, kind)
        node.input.extend([f"{name}_scale", f"{name}_zero_point"])
    del model.graph.initializer[:]
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items())
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


KINDS = {"int8": {"kind": "int8"}, "uint8_columns": {"kind": "uint8", "per_column": True}}
QUANTISED = {name: layer for name, layer in LAYERS.items() if layer.op == "LSTM" and name[5:] not in FUNCTIONS}
QUANTISED |= {
    f"short_{lengths}_{direction}_{arriving}": Layer(
        "LSTM", {"direction": direction}, lengths=lengths, arriving=arriving
    )
    for lengths in ((3, 2, 0), (0, 0, 0))  # what no row has is not quantised
    for direction in ("forward", "reverse", "bidirectional")
    for arriving in (False, True)
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", QUANTISED)
def test_matches_onnxruntime(name: str, kind: str, backend: str) -> None:
    layer = QUANTISED[name]
    assert_matches(quantised(layer, **KINDS[kind]), layer.feeds(), backend, tolerance=2e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("weight_type", [QuantType.QInt8, QuantType.QUInt8])
def test_files_of_the_quantiser(tmp_path: Path, weight_type: QuantType, per_channel: bool, backend: str) -> None:
    """What onnxruntime.quantization makes of a file with an LSTM, loaded as any file is."""
    layer = Layer("LSTM", {"direction": "bidirectional"}, time=9, inner=17, hidden=33, scale=0.3)
    onnx.save(layer.model(), tmp_path / "real.onnx")
    quantize_dynamic(
        tmp_path / "real.onnx",
        tmp_path / "integers.onnx",
        op_types_to_quantize=["LSTM"],
        per_channel=per_channel,
        weight_type=weight_type,
        reduce_range=True,
    )
    model = onnx.load(tmp_path / "integers.onnx")
    assert [node.op_type for node in model.graph.node] == ["DynamicQuantizeLSTM"]
    outputs = wavetile.load(tmp_path / "integers.onnx", backend=backend).run(layer.feeds())
    for name, theirs in zip(outputs, run_onnxruntime(model, layer.feeds()), strict=True):
        np.testing.assert_allclose(outputs[name], theirs, rtol=0, atol=2e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_tie_moves_one_step_by_one_quantum(backend: str) -> None:
    """Steps that each start from ONNX Runtime's own state: errors do not add up, and ties are rare.

    A number on the other side of a tie moves what goes into each gate by a quantum of h times a weight, and the cell
    and its output by less than the four gates together.
    """
    layer = Layer("LSTM", time=1, batch=2, inner=300, hidden=270, scale=0.05)
    model = quantised(layer, "uint8")
    program, feeds = compile_model(model, layer.feeds()), layer.feeds()
    worst = []
    for step in range(20):
        feeds["x"] = signal((1, 2, 300), step)
        ours, (_, y_h, y_c) = run_program(program, feeds, backend), run_onnxruntime(model, feeds)
        worst.append(max(np.abs(ours["y_h"] - y_h).max(), np.abs(ours["y_c"] - y_c).max()))
        feeds |= {"initial_h": y_h, "initial_c": y_c}
    greatest = np.abs(layer.scale * signal((1, 1080, 270), 5)).max()
    quantum = np.ptp(feeds["initial_h"]) / 255
    assert max(worst) < 4 * quantum * greatest
    assert np.sort(worst)[-3] < 2e-6


@pytest.mark.parametrize("backend", BACKENDS)
def test_nan_counts_as_the_least(backend: str) -> None:
    layer = LAYERS["LSTM_bidirectional"]
    feeds = layer.feeds()
    feeds["x"][1, 0, 2] = np.nan
    assert_matches(quantised(layer), feeds, backend, tolerance=2e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_that_arrive(backend: str) -> None:
    layer = LAYERS["LSTM_bidirectional"]
    model, feeds = quantised(layer, "uint8", per_column=True), layer.feeds()
    for tensor in list(model.graph.initializer):
        if tensor.name != "b":
            feeds[tensor.name] = numpy_helper.to_array(tensor)
            model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
            model.graph.initializer.remove(tensor)
    assert_matches(model, feeds, backend, tolerance=2e-6)


def test_sums_that_do_not_fit_are_refused() -> None:
    layer = Layer("LSTM", time=1, batch=1, inner=33_001, hidden=1)
    with pytest.raises(UnsupportedError, match=r"sums of 33001 products do not fit 32 bits; up to 33000 would work"):
        compile_model(quantised(layer), layer.feeds())


def test_it_is_not_cut_into_steps() -> None:
    """A range over several steps of the stream is not known at the first of them."""
    layer = Layer("LSTM", initial=False)
    model = quantised(layer)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "T"
    network = load_network(model.SerializeToString())
    axis = StreamingAxis("T", {"x": 0})
    with pytest.raises(UnsupportedError, match=r"com\.microsoft\.DynamicQuantizeLSTM.*can not stream"):
        StreamPlan(find_axes(lambda shapes: specialise(network, shapes), {"x": (1, 3, 4)}, [axis]))


def test_written_back() -> None:
    layer = LAYERS["LSTM_peepholes"]
    model, feeds = quantised(layer), layer.feeds()
    again = to_model(fuse(specialise(load_network(model.SerializeToString()))))
    for ours, theirs in zip(run_onnxruntime(again, feeds), run_onnxruntime(model, feeds), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({11: None}, "without its input R_zero_point"),
        ({12: "b"}, "13 inputs and 3 outputs; there are 12 and 3"),
        ({0: "b"}, r"its input X has shape \[1, 48\]; it has 3 axes"),
        ({8: "b"}, r"its input W_scale has shape \[1, 48\], not \[1\] or \[1, 24\]"),
        ({9: "w_scale"}, "W_zero_point typestr"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: dict[int, str | None], words: str) -> None:
    layer = LAYERS["LSTM_forward"]
    model = quantised(layer)
    names = model.graph.node[0].input
    for position, name in inputs.items():
        names[position : position + 1] = [name] if name else []
    with pytest.raises(ModelError, match=words):
        compile_model(model, layer.feeds())


def test_an_attribute_that_is_not_there_is_refused() -> None:
    layer = LAYERS["LSTM_forward"]
    model = quantised(layer)
    model.graph.node[0].attribute.append(helper.make_attribute("layout", 1))
    with pytest.raises(UnsupportedError, match="with the attribute 'layout'; activation_alpha, "):
        compile_model(model, layer.feeds())
