"""What `wavetile.load` refuses before any signal is there, and what it must leave to `run`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import wavetile
from tests.models.networks import onnx_outputs, write_card
from wavetile.engine.errors import CardError, LimitError, UnsupportedError

ROWS = "float[rows, 3]"


def network(path: Path, text: str, opset: int = 17) -> Path:
    """Write a network given in ONNX's text form, without its header."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> {text}')
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"n{index}"
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


REFUSED = {
    "free axes": f"g ({ROWS} x) => ({ROWS} y) {{ z = Relu(x) y = RandomUniformLike(z) }}",
    "bound axes": "g (float[2, 3] x) => (float[2, 3] y) { y = RandomUniformLike(x) }",
    "behind a sequence": f"""g ({ROWS} x) => ({ROWS} y) {{
        s = SplitToSequence(x) i = Constant<value = int64 {{0}}>() z = SequenceAt(s, i) y = RandomUniformLike(z) }}""",
    "in both branches": f"""g ({ROWS} x, bool flag) => ({ROWS} y) {{
        y = If (flag) <then_branch = a () => ({ROWS} t) {{ t = RandomUniformLike(x) }},
                       else_branch = b () => ({ROWS} e) {{ z = Neg(x) e = RandomUniformLike(z) }}> }}""",
    "needed by both branches": f"""g ({ROWS} x, bool flag) => ({ROWS} y) {{ h = RandomUniformLike(x)
        y = If (flag) <then_branch = a () => ({ROWS} t) {{ t = Relu(h) }},
                       else_branch = b () => ({ROWS} e) {{ e = Neg(h) }}> }}""",
    "a condition": f"""g ({ROWS} x) => ({ROWS} y) {{ s = ReduceSum<keepdims = 0>(x) c = Cast<to = 9>(s)
        y = If (c) <then_branch = a () => ({ROWS} t) {{ t = Relu(x) }},
                    else_branch = b () => ({ROWS} e) {{ e = Neg(x) }}> }}""",
}


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("free axes", r"RandomUniformLike 'n1'.*rules for.*Conv"),
        ("bound axes", r"RandomUniformLike 'n0'.*rules for.*Conv"),
        ("behind a sequence", r"RandomUniformLike 'n3'"),
        ("in both branches", r"RandomUniformLike 't'"),
        ("needed by both branches", r"RandomUniformLike 'n0'"),
        ("a condition", r"If 'n2'.*condition 'c'"),
    ],
)
def test_operators_without_rule_are_refused_at_load(tmp_path: Path, case: str, message: str) -> None:
    path = network(tmp_path / "net.onnx", REFUSED[case])
    with pytest.raises(UnsupportedError, match=message):
        wavetile.load(path, backend="reference")


HARDMAX_OF_SHAPE = "s = Shape(x) f = Cast<to = 1>(s) h = Hardmax<axis = 0>(f)"
LOADED = {
    "on a shape": f"g ({ROWS} x) => ({ROWS} y) {{ {HARDMAX_OF_SHAPE} m = ReduceMax<keepdims = 0>(h) y = Add(x, m) }}",
    "dead": f"g ({ROWS} x) => ({ROWS} y) {{ h = RandomUniformLike(x) y = Relu(x) }}",
    "in the branch not taken": (
        f"g ({ROWS} x) => ({ROWS} y) {{ s = Size(x) z = Constant<value = int64 {{0}}>() c = Greater(s, z) "
        f"h = RandomUniformLike(x) y = If (c) <then_branch = a () => ({ROWS} t) {{ t = Relu(x) }},"
        f" else_branch = b () => ({ROWS} e) {{ n = Neg(h) e = RandomUniformLike(n) }}> }}"
    ),
    "on a branch's constant": (
        f"g ({ROWS} x) => ({ROWS} y) {{ s = Size(x) z = Constant<value = int64 {{0}}>() c = Less(s, z) "
        f"k = If (c) <then_branch = a () => ({ROWS} v) {{ v = Relu(x) }},"
        " else_branch = b () => (float[1, 3] v) { v = Constant<value = float[1, 3] {1.0, 3.0, 2.0}>() }> "
        "h = Hardmax(k) y = Add(x, h) }"
    ),
}


@pytest.mark.parametrize("case", LOADED)
def test_operators_that_the_signal_never_reaches_are_no_obstacle(tmp_path: Path, case: str) -> None:
    path = network(tmp_path / "net.onnx", LOADED[case])
    inputs = {"x": np.array([[1, -2, 3], [-4, 5, 6]], np.float32)}
    outputs = wavetile.load(path, backend="reference").run(inputs)
    np.testing.assert_array_equal(outputs["y"], onnx_outputs(path, ["y"], inputs)[0])


@pytest.mark.parametrize(
    ("signal", "stream"),
    [
        (
            'kind = "features"\nfeature_count = 3',
            'steps = [{ network = "net", inputs = { x = "features" }, outputs = { y = "y" } }]\nvalues = ["y"]',
        ),
        ('kind = "image"', ""),
    ],
)
def test_card_models_are_refused_at_load(tmp_path: Path, signal: str, stream: str) -> None:
    path = network(tmp_path / "net.onnx", f"g ({ROWS} x) => ({ROWS} y) {{ y = RandomUniformLike(x) }}")
    entries = "shapes = { x = [1, 3] }" if stream else ""
    card = write_card(tmp_path / "net.toml", path, entries, signal=signal, stream=stream)
    with pytest.raises(UnsupportedError, match=r"RandomUniformLike.*rules for"):
        wavetile.load(card, backend="reference")


def test_streams_of_no_fixed_size_are_refused_at_load(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", f"g ({ROWS} x) => (int64[2, found] y) {{ y = NonZero(x) }}")
    signal = 'kind = "features"\nfeature_count = 3'
    stream = 'steps = [{ network = "net", inputs = { x = "features" }, outputs = { y = "y" } }]\nvalues = ["y"]'
    card = write_card(tmp_path / "net.toml", path, "shapes = { x = [1, 3] }", signal=signal, stream=stream)
    with pytest.raises(CardError, match="size of its output 'y' depends on the data"):
        wavetile.load(card, backend="reference")


def test_input_over_the_limit_is_refused_without_being_allocated(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", "g (float[1099511627776, 1048576] x) => (float[1] y) { y = Relu(x) }")
    with pytest.raises(LimitError, match="input 'x'"):
        wavetile.load(path, backend="reference")


def test_network_that_is_bound_is_compiled_once(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", "g (float[2, 3] x) => (float[2, 3] y) { y = Relu(x) }")
    model = wavetile.load(path, backend="reference")
    evaluator = model._evaluators["net"]
    program = evaluator.program({"x": (2, 3)})
    model.run({"x": np.zeros((2, 3), np.float32)})
    assert len(evaluator._programs) == 1
    assert model.describe().instruction_count == (program.instruction_count if program else -1)
