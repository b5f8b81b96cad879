"""Unary, binary and where against ONNX Runtime, and against written-out values where numbers are not ordinary."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from wavetile.kernels.opcodes import Binary, Unary

from .harness import Lanes, Out, Same, run_kernel
from .layouts import ALL_BACKENDS, LANES, ones_before, random_input, random_output
from .tolerances import TOLERANCES

LAYOUTS = ("dense", "shuffled", "broadcast")
SHAPES = ((1,), (16,), (528,), (3, 5), (257, 2), (2, 3, 1, 65), (2, 1, 3, 2, 4, 19))

# Operator -> ONNX name, attributes, alpha, beta.
UNARY = {
    Unary.RELU: ("Relu", {}, 0, 0),
    Unary.LEAKY_RELU: ("LeakyRelu", {"alpha": 0.2}, 0.2, 0),
    Unary.SIGMOID: ("Sigmoid", {}, 0, 0),
    Unary.TANH: ("Tanh", {}, 0, 0),
    Unary.ELU: ("Elu", {"alpha": 1.5}, 1.5, 0),
    Unary.HARD_SIGMOID: ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, 0.3, 0.4),
    Unary.HARD_SWISH: ("HardSwish", {}, 0, 0),
    Unary.NEG: ("Neg", {}, 0, 0),
    Unary.ABS: ("Abs", {}, 0, 0),
    Unary.SQRT: ("Sqrt", {}, 0, 0),
    Unary.RECIPROCAL: ("Reciprocal", {}, 0, 0),
    Unary.EXP: ("Exp", {}, 0, 0),
    Unary.LOG: ("Log", {}, 0, 0),
    Unary.SIN: ("Sin", {}, 0, 0),
    Unary.COS: ("Cos", {}, 0, 0),
    Unary.FLOOR: ("Floor", {}, 0, 0),
    Unary.CEIL: ("Ceil", {}, 0, 0),
    Unary.ROUND: ("Round", {}, 0, 0),
    Unary.ERF: ("Erf", {}, 0, 0),
    Unary.SOFTPLUS: ("Softplus", {}, 0, 0),
    Unary.SOFTSIGN: ("Softsign", {}, 0, 0),
    Unary.SIGN: ("Sign", {}, 0, 0),
    Unary.SELU: ("Selu", {"alpha": 1.6, "gamma": 1.05}, 1.6, 1.05),
    Unary.MISH: ("Mish", {}, 0, 0),
}
BINARY = {
    Binary.ADD: "Add",
    Binary.SUB: "Sub",
    Binary.MUL: "Mul",
    Binary.DIV: "Div",
    Binary.MAX: "Max",
    Binary.MIN: "Min",
    Binary.POW: "Pow",
    Binary.PRELU: "PRelu",
    Binary.GREATER: "Greater",
    Binary.GREATER_OR_EQUAL: "GreaterOrEqual",
    Binary.LESS: "Less",
    Binary.LESS_OR_EQUAL: "LessOrEqual",
    Binary.EQUAL: "Equal",
    Binary.AND: "And",
    Binary.OR: "Or",
    Binary.XOR: "Xor",
}
_BOOLEAN_RESULT = {Binary.GREATER, Binary.GREATER_OR_EQUAL, Binary.LESS, Binary.LESS_OR_EQUAL, Binary.EQUAL}
_LOGIC = {Binary.AND, Binary.OR, Binary.XOR}


def onnx_run(operator: str, inputs: list[np.ndarray], output: int = TensorProto.FLOAT, **attributes: Any) -> np.ndarray:
    """One ONNX node in ONNX Runtime."""
    names = [f"x{index}" for index in range(len(inputs))]
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in zip(names, inputs, strict=True)
    ]
    node = helper.make_node(operator, names, ["y"], **attributes)
    graph = helper.make_graph([node], "one", values, [helper.make_tensor_value_info("y", output, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, dict(zip(names, inputs, strict=True)))[0])


def tolerance(operator: Unary) -> dict[str, Any]:
    return TOLERANCES.get(operator.name.lower(), TOLERANCES["unary"])


def unary_values(operator: Unary, shape: tuple[int, ...], lanes: int, rng: np.random.Generator) -> np.ndarray:
    values = (4 * rng.standard_normal((lanes, *shape))).astype(np.float32)
    return np.abs(values) if operator in (Unary.SQRT, Unary.LOG) else values


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("operator", UNARY, ids=lambda operator: operator.name)
def test_unary(backend: str, operator: Unary) -> None:
    name, attributes, alpha, beta = UNARY[operator]
    rng = np.random.default_rng(operator)
    for shape in SHAPES:
        for layout in LAYOUTS:
            for lanes in LANES:
                full = ones_before(shape)
                x = random_input(full, lanes, rng, layout, unary_values(operator, full, lanes, rng))
                y = random_output(full, rng, layout)
                got = run_kernel("unary", backend, lanes=lanes, operator=operator, alpha=alpha, beta=beta, x=x, y=y)
                expected = onnx_run(name, [x.array.reshape(lanes, -1)], **attributes).reshape(x.array.shape)
                np.testing.assert_allclose(got["y"], expected, **tolerance(operator))


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_clip_square_gelu(backend: str) -> None:
    rng = np.random.default_rng(0)
    x = random_input(ones_before((5, 70)), 2, rng, "dense")

    def run(operator: Unary, alpha: float = 0, beta: float = 0) -> np.ndarray:
        return run_kernel("unary", backend, lanes=2, operator=operator, alpha=alpha, beta=beta, x=x, y=Out(shape))["y"]

    shape = x.array.shape[1:]
    low, high = np.float32(-0.5), np.float32(0.75)
    np.testing.assert_array_equal(
        run(Unary.CLIP, float(low), float(high)), onnx_run("Clip", [x.array, np.array(low), np.array(high)])
    )
    np.testing.assert_array_equal(run(Unary.CLIP, float(high), float(low)), np.full_like(x.array, low))
    np.testing.assert_array_equal(run(Unary.SQUARE), x.array * x.array)
    for alpha, approximate in ((0, "none"), (1, "tanh")):
        expected = onnx_run("Gelu", [x.array], approximate=approximate)
        np.testing.assert_allclose(run(Unary.GELU, alpha), expected, **TOLERANCES["gelu"])


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("alpha", [1.0, 1.702, -0.5])
def test_swish(backend: str, alpha: float) -> None:
    x = random_input(ones_before((5, 70)), 2, np.random.default_rng(0), "dense")
    y = Out(x.array.shape[1:])
    got = run_kernel("unary", backend, lanes=2, operator=Unary.SWISH, alpha=alpha, beta=0, x=x, y=y)["y"]
    expected = x.array / (1 + np.exp(-alpha * x.array.astype(np.float64)))
    np.testing.assert_allclose(got, expected, **TOLERANCES["unary"])


NAN, INF = np.nan, np.inf
SPECIAL = {
    Unary.RELU: ([NAN, -INF, INF, -1], [NAN, 0, INF, 0]),
    Unary.CLIP: ([NAN, -INF, INF, 0.25], [NAN, -1, 1, 0.25]),
    Unary.LEAKY_RELU: ([NAN, -INF, INF], [NAN, INF, INF]),  # alpha is -1
    Unary.SIGMOID: ([NAN, -INF, INF, -200, 200], [NAN, 0, 1, 0, 1]),
    Unary.TANH: ([NAN, -INF, INF], [NAN, -1, 1]),
    Unary.EXP: ([NAN, -INF, INF, 90, -200], [NAN, 0, INF, INF, 0]),
    Unary.LOG: ([NAN, 0, -1, INF], [NAN, -INF, NAN, INF]),
    Unary.SQRT: ([NAN, -1, INF, 0], [NAN, NAN, INF, 0]),
    Unary.RECIPROCAL: ([NAN, 0, INF, -INF], [NAN, INF, 0, 0]),
    Unary.ROUND: ([0.5, 1.5, 2.5, -0.5, -1.5, NAN, INF, 1e20], [0, 2, 2, 0, -2, NAN, INF, 1e20]),
    Unary.SIGN: ([NAN, 0, -0.0, 3, -3, INF], [NAN, 0, 0, 1, -1, 1]),
    Unary.SOFTPLUS: ([NAN, -INF, INF, 200, -200], [NAN, 0, INF, 200, 0]),
    Unary.SWISH: ([NAN, 0, -INF, 200, -200], [NAN, 0, -INF, 0, -200]),  # alpha is -1
    Unary.MISH: ([NAN, INF, 100, -200], [NAN, INF, 100, 0]),
    Unary.ELU: ([NAN, INF, -INF], [NAN, INF, 1]),  # alpha is -1
    Unary.HARD_SIGMOID: ([NAN, INF, -INF], [NAN, 0, 1]),  # alpha is -1
    Unary.ERF: ([NAN, INF, -INF, 9], [NAN, 1, -1, 1]),
}


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("repeat", [1, 30], ids=["short", "long"])
@pytest.mark.parametrize("operator", SPECIAL, ids=lambda operator: operator.name)
def test_unary_of_special_values(backend: str, repeat: int, operator: Unary) -> None:
    x, expected = (
        np.array(values * repeat, np.float32).reshape(1, *ones_before((-1,))) for values in SPECIAL[operator]
    )
    got = run_kernel("unary", backend, operator=operator, alpha=-1, beta=1, x=Lanes(x), y=Out(x.shape[1:]))
    np.testing.assert_array_equal(got["y"], expected)


def binary_expected(operator: Binary, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if operator is Binary.PRELU:  # ONNX broadcasts the slope alone
        return onnx_run("PRelu", [a, np.broadcast_to(b, a.shape)])
    inputs = [a != 0, b != 0] if operator in _LOGIC else [a, b]
    boolean = operator in _LOGIC | _BOOLEAN_RESULT
    return onnx_run(BINARY[operator], inputs, TensorProto.BOOL if boolean else TensorProto.FLOAT).astype(np.float32)


def binary_values(operator: Binary, shape: tuple[int, ...], lanes: int, rng: np.random.Generator) -> np.ndarray:
    values = rng.standard_normal((lanes, *shape)).astype(np.float32)
    if operator is Binary.POW:
        return np.abs(values) + np.float32(0.1)
    return np.round(values) if operator in _LOGIC | _BOOLEAN_RESULT else values


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("operator", BINARY, ids=lambda operator: operator.name)
def test_binary(backend: str, operator: Binary) -> None:
    rng = np.random.default_rng(operator)
    for shape in SHAPES:
        for layouts in (("dense", "dense"), ("shuffled", "dense"), ("broadcast", "broadcast"), ("dense", "broadcast")):
            for lanes in LANES:
                full = ones_before(shape)
                a, b = (
                    random_input(full, lanes, rng, layout, binary_values(operator, full, lanes, rng))
                    for layout in layouts
                )
                y = random_output(full, rng, layouts[0])
                got = run_kernel("binary", backend, lanes=lanes, operator=operator, a=a, b=b, y=y)
                flat = binary_expected(operator, a.array.reshape(lanes, -1), b.array.reshape(lanes, -1))
                np.testing.assert_allclose(got["y"], flat.reshape(a.array.shape), **TOLERANCES["binary"])


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("operator", BINARY, ids=lambda operator: operator.name)
@pytest.mark.parametrize("scalar", ["left", "right"])
@pytest.mark.parametrize("y_strides", [None, (0, 0, 0, 0, 140, 2)], ids=["dense", "strided"])
def test_binary_with_a_scalar(backend: str, operator: Binary, scalar: str, y_strides: tuple[int, ...] | None) -> None:
    rng = np.random.default_rng(operator)
    shape = ones_before((3, 70))
    values = binary_values(operator, shape, 2, rng)
    one = binary_values(operator, ones_before((1,)), 2, rng)
    repeated = Lanes(np.ascontiguousarray(np.broadcast_to(one, values.shape)), strides=(0,) * 6)
    a, b = (repeated, Lanes(values)) if scalar == "left" else (Lanes(values), repeated)
    got = run_kernel("binary", backend, lanes=2, operator=operator, a=a, b=b, y=Out(shape, strides=y_strides))
    expected = binary_expected(operator, a.array.reshape(2, -1), b.array.reshape(2, -1)).reshape(values.shape)
    np.testing.assert_allclose(got["y"], expected, **TOLERANCES["binary"])


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("exponent", [2.0, 0.5, -0.5, 1.0, -1.0, 3.0, 0.0, 0.3, -2.0])
def test_constant_powers(backend: str, exponent: float) -> None:
    special = np.array([0, -0.0, INF, -INF, NAN, -2, 1], np.float32)
    a = np.concatenate([special, np.random.default_rng(0).standard_normal(60).astype(np.float32) ** 2])
    x = a.reshape(1, *ones_before((-1,)))
    b = Lanes(np.full_like(x, exponent), strides=(0,) * 6)
    got = run_kernel("binary", backend, operator=Binary.POW, a=Lanes(x), b=b, y=Out(x.shape[1:]))["y"].reshape(-1)
    with np.errstate(all="ignore"):
        # An array of exponents: NumPy takes shortcuts for scalar ones, which miss -inf ** 0.5.
        expected = np.power(a.astype(np.float64), np.full(len(a), np.float32(exponent), np.float64)).astype(np.float32)
    np.testing.assert_allclose(np.abs(got), np.abs(expected), **TOLERANCES["binary"])
    nonzero = ~np.isnan(expected) & (a != 0)  # the signs of zeros are free
    np.testing.assert_array_equal(np.signbit(got[nonzero]), np.signbit(expected[nonzero]))


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        (Binary.MAX, [NAN, NAN, INF, 2]),
        (Binary.MIN, [NAN, NAN, 1, -INF]),
        (Binary.GREATER, [0, 0, 1, 0]),
        (Binary.LESS_OR_EQUAL, [0, 0, 0, 1]),
        (Binary.EQUAL, [0, 0, 0, 0]),
        (Binary.AND, [1, 1, 1, 1]),
        (Binary.XOR, [0, 0, 0, 0]),
    ],
)
@pytest.mark.parametrize("repeat", [1, 20], ids=["short", "long"])
def test_binary_of_special_values(backend: str, operator: Binary, expected: list[float], repeat: int) -> None:
    a = np.array([NAN, 1, INF, -INF] * repeat, np.float32).reshape(1, *ones_before((-1,)))
    b = np.array([1, NAN, 1, 2] * repeat, np.float32).reshape(a.shape)
    got = run_kernel("binary", backend, operator=operator, a=Lanes(a), b=Lanes(b), y=Out(a.shape[1:]))
    np.testing.assert_array_equal(got["y"].reshape(-1), np.array(expected * repeat, np.float32))


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("repeat", [1, 40], ids=["short", "long"])
def test_division_by_zero_and_infinity(backend: str, repeat: int) -> None:
    a = np.array([1, -1, 0, 1, INF] * repeat, np.float32).reshape(1, *ones_before((-1,)))
    b = np.array([0, 0, 0, INF, INF] * repeat, np.float32).reshape(a.shape)
    got = run_kernel("binary", backend, operator=Binary.DIV, a=Lanes(a), b=Lanes(b), y=Out(a.shape[1:]))
    np.testing.assert_array_equal(got["y"].reshape(-1), np.array([INF, -INF, NAN, 0, NAN] * repeat, np.float32))


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("layouts", [("dense",) * 3, ("shuffled", "dense", "broadcast"), ("broadcast",) * 3])
def test_where(backend: str, layouts: tuple[str, str, str]) -> None:
    rng = np.random.default_rng(7)
    for shape in SHAPES:
        full = ones_before(shape)
        condition = random_input(full, 2, rng, layouts[0], np.round(rng.standard_normal((2, *full))).astype(np.float32))
        a, b = (random_input(full, 2, rng, layout) for layout in layouts[1:])
        y = random_output(full, rng, layouts[0])
        got = run_kernel("where", backend, lanes=2, condition=condition, a=a, b=b, y=y)
        expected = onnx_run("Where", [condition.array != 0, a.array, b.array])
        np.testing.assert_array_equal(got["y"], expected)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("strides", [None, (0, 0, 0, 0, 300, 2)], ids=["dense", "strided"])
def test_in_place(backend: str, strides: tuple[int, ...] | None) -> None:
    rng = np.random.default_rng(3)
    shape = ones_before((3, 150))
    x, other = (Lanes(random_input(shape, 2, rng, "dense").array, strides=strides) for _ in range(2))
    got = run_kernel("unary", backend, lanes=2, operator=Unary.NEG, alpha=0, beta=0, x=x, y=Same("x"))
    np.testing.assert_array_equal(got["y"], -x.array)
    for operand in ("a", "b"):
        got = run_kernel("binary", backend, lanes=2, operator=Binary.SUB, a=x, b=other, y=Same(operand))
        np.testing.assert_array_equal(got["y"], x.array - other.array)
        got = run_kernel("where", backend, lanes=2, condition=x, a=x, b=other, y=Same(operand))
        np.testing.assert_array_equal(got["y"], x.array)


@pytest.mark.parametrize("operator", [Unary.SIGMOID, Unary.GELU, Unary.SOFTPLUS], ids=lambda operator: operator.name)
def test_bits_do_not_depend_on_company(operator: Unary) -> None:
    x = random_input(ones_before((7, 33)), 5, np.random.default_rng(0), "dense")
    y = Out(x.array.shape[1:])
    together = run_kernel("unary", "cpu", lanes=5, operator=operator, alpha=0, beta=0, x=x, y=y)["y"]
    for lane in range(5):
        alone = run_kernel("unary", "cpu", operator=operator, alpha=0, beta=0, x=Lanes(x.array[[lane]]), y=y)["y"]
        assert alone.tobytes() == together[lane].tobytes()
