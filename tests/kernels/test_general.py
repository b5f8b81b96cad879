"""Kernels for every carrier against NumPy's own narrow types, libm and Python's integers."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

from tests.kernels.harness import Lanes, Out, run_kernel
from tests.kernels.layouts import ALL_BACKENDS, NATIVE_BACKENDS
from wavetile.kernels.contract import ElementType
from wavetile.kernels.opcodes import Reduce
from wavetile.kernels.opcodes_general import GeneralBinary, GeneralUnary, Overflow

SHAPE = (1, 1, 2, 3, 4, 5)
LANES = 2
CARRIERS = {"float32": ElementType.FLOAT32, "int64": ElementType.INT64, "float64": ElementType.FLOAT64}
AWKWARD = [0.0, -0.0, 0.5, 1.5, 2.5, -2.5, 1e-9, 3.1e-8, 6e-5, 448.0, 464.0, 465.0, 65504.0, 65519.0, 65520.0, 3e38]


def numbers(dtype: str, seed: int) -> np.ndarray:
    """[lanes, *SHAPE] random values with the awkward ones among them."""
    generator = np.random.default_rng(seed)
    if dtype == "int64":
        values = generator.integers(-(1 << 40), 1 << 40, (LANES, *SHAPE))
        values.reshape(-1)[:6] = [0, 1, -1, 127, 128, np.iinfo(np.int64).min]
        return values
    values = (generator.standard_normal((LANES, *SHAPE)) * 300).astype(dtype)
    values.reshape(-1)[: len(AWKWARD)] = AWKWARD
    return values


def only(result: dict[str, np.ndarray]) -> np.ndarray:
    return result["y"]


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("target", CARRIERS)
@pytest.mark.parametrize("source", CARRIERS)
def test_convert(backend: str, source: str, target: str) -> None:
    x = numbers(source, 1)
    if target == "int64" and source != "int64":
        x = np.where(np.abs(x) < 2.0**62, x, -7.9).astype(source)
    y = only(
        run_kernel("convert", backend, lanes=LANES, unsigned=0, x=Lanes(x), y=Out(SHAPE, element=CARRIERS[target]))
    )
    np.testing.assert_array_equal(y, x.astype(target))


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_an_integer_is_rounded_to_float32_once(backend: str) -> None:
    x = np.full((LANES, *SHAPE), (1 << 60) + (1 << 36) + 1)
    y = only(run_kernel("convert", backend, lanes=LANES, unsigned=0, x=Lanes(x), y=Out(SHAPE)))
    np.testing.assert_array_equal(y, x.astype(np.float32))


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"])
def test_narrow_integer_is_a_cast(backend: str, dtype: str) -> None:
    x = numbers("int64", 2)
    bits = np.iinfo(dtype).bits
    element = ElementType.INT64 if bits > 16 else ElementType.FLOAT32
    signed = int(dtype[0] == "i")
    y = only(
        run_kernel(
            "narrow_integer", backend, lanes=LANES, x=Lanes(x), y=Out(SHAPE, element=element), bits=bits, signed=signed
        )
    )
    np.testing.assert_array_equal(y.astype(np.int64), x.astype(dtype).astype(np.int64))


FLOATS = {
    "float16": (10, -14, 65504.0, Overflow.INFINITY),
    "bfloat16": (7, -126, float(ml_dtypes.finfo(ml_dtypes.bfloat16).max), Overflow.INFINITY),
    "float8_e4m3fn": (3, -6, 448.0, Overflow.NAN),
    "float8_e5m2": (2, -14, 57344.0, Overflow.INFINITY),
}


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("source", ["float32", "float64"])
@pytest.mark.parametrize("name", FLOATS)
def test_narrow_float_is_a_cast(backend: str, source: str, name: str) -> None:
    x = numbers(source, 3)
    fraction_bits, smallest_exponent, largest, overflow = FLOATS[name]
    y = only(
        run_kernel(
            "narrow_float",
            backend,
            lanes=LANES,
            x=Lanes(x),
            y=Out(SHAPE),
            fraction_bits=fraction_bits,
            smallest_exponent=smallest_exponent,
            largest=largest,
            overflow=overflow,
        )
    )
    with np.errstate(over="ignore"):
        expected = x.astype(getattr(ml_dtypes, name, None) or name).astype(np.float32)
    np.testing.assert_array_equal(y, expected)


UNARY = {
    GeneralUnary.TAN: math.tan,
    GeneralUnary.ATAN: math.atan,
    GeneralUnary.ASINH: math.asinh,
    GeneralUnary.TANH: math.tanh,
    GeneralUnary.ERF: math.erf,
    GeneralUnary.ROUND: lambda x: float(round(x)),
    GeneralUnary.SIGN: lambda x: float((x > 0) - (x < 0)),
    GeneralUnary.TRUNCATE: lambda x: float(math.trunc(x)),
}


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("operator", UNARY, ids=lambda operator: operator.name)
def test_unary(backend: str, dtype: str, operator: GeneralUnary) -> None:
    x = numbers(dtype, 4)
    y = only(
        run_kernel(
            "unary_general",
            backend,
            lanes=LANES,
            operator=operator,
            unsigned=0,
            alpha=0.0,
            beta=0.0,
            x=Lanes(x),
            y=Out(SHAPE, element=CARRIERS[dtype]),
        )
    )
    expected = np.vectorize(UNARY[operator], otypes=[np.float64])(x.astype(np.float64)).astype(dtype)
    np.testing.assert_allclose(y, expected, rtol=1e-6 if dtype == "float32" else 1e-13)


INTEGERS = {
    GeneralBinary.ADD: lambda a, b: a + b,
    GeneralBinary.MUL: lambda a, b: a * b,
    GeneralBinary.DIV: lambda a, b: int(math.copysign(1, a) * math.copysign(1, b)) * (abs(a) // abs(b)),
    GeneralBinary.MOD: lambda a, b: a % b,
    GeneralBinary.FMOD: lambda a, b: int(math.copysign(1, a)) * (abs(a) % abs(b)),
    GeneralBinary.MAX: max,
    GeneralBinary.BIT_XOR: lambda a, b: a ^ b,
    GeneralBinary.GREATER: lambda a, b: int(a > b),
    GeneralBinary.POW: lambda a, b: a ** (b & 7),
}


def wrap(value: int) -> int:
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("operator", INTEGERS, ids=lambda operator: operator.name)
def test_binary_of_integers(backend: str, operator: GeneralBinary) -> None:
    a, b = numbers("int64", 5), np.roll(numbers("int64", 6), 3)
    b = np.where(b == 0, 7, b)
    if operator is GeneralBinary.POW:
        b = b & 7
    y = only(
        run_kernel(
            "binary_general",
            backend,
            lanes=LANES,
            operator=operator,
            unsigned=0,
            a=Lanes(a),
            b=Lanes(b),
            y=Out(SHAPE, element=ElementType.INT64),
        )
    )
    expected = [wrap(INTEGERS[operator](m, n)) for m, n in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)]
    np.testing.assert_array_equal(y.ravel(), expected)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize(
    "operator", [GeneralBinary.DIV, GeneralBinary.MAX, GeneralBinary.SHIFT_RIGHT, GeneralBinary.LESS]
)
def test_binary_of_unsigned(backend: str, operator: GeneralBinary) -> None:
    a, b = numbers("int64", 7), np.abs(np.roll(numbers("int64", 8), 3)) % 60 + 1
    y = only(
        run_kernel(
            "binary_general",
            backend,
            lanes=LANES,
            operator=operator,
            unsigned=1,
            a=Lanes(a),
            b=Lanes(b),
            y=Out(SHAPE, element=ElementType.INT64),
        )
    )
    x, z = a.astype(np.uint64), b.astype(np.uint64)
    expected = {
        GeneralBinary.DIV: x // z,
        GeneralBinary.MAX: np.maximum(x, z),
        GeneralBinary.SHIFT_RIGHT: x >> z,
        GeneralBinary.LESS: (x < z).astype(np.uint64),
    }[operator]
    np.testing.assert_array_equal(y.view(np.uint64), expected)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("dtype", ["int64", "float64"])
@pytest.mark.parametrize("operator", list(Reduce))
def test_reduce(backend: str, dtype: str, operator: Reduce) -> None:
    x = (numbers("float64", 9)[:, 0] % 5).reshape(LANES, 1, 2, 3, 1, 4, 5).astype(dtype)
    element = CARRIERS[dtype]
    y = only(
        run_kernel(
            "reduce_general",
            backend,
            lanes=LANES,
            operator=operator,
            unsigned=0,
            x=Lanes(x),
            y=Out((1, 2, 3), element=element),
        )
    )
    flat = x.reshape(LANES, 1, 2, 3, 20)
    expected = {
        Reduce.SUM: flat.sum(-1),
        Reduce.MEAN: flat.mean(-1),
        Reduce.MAX: flat.max(-1),
        Reduce.MIN: flat.min(-1),
        Reduce.PROD: flat.prod(-1),
        Reduce.SUM_SQUARE: np.square(flat).sum(-1),
        Reduce.L1: np.abs(flat).sum(-1),
        Reduce.L2: np.sqrt(np.square(flat).sum(-1)),
    }[operator]
    np.testing.assert_allclose(y, expected.astype(dtype), rtol=1e-12)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("dtype", ["int64", "float64"])
def test_copy_and_where(backend: str, dtype: str) -> None:
    a, b = numbers(dtype, 10), numbers(dtype, 11)
    condition = (np.arange(a.size).reshape(a.shape) % 3 == 0).astype(np.float32)
    element = CARRIERS[dtype]
    strides = (120, 120, 1, 2, 6, 24)
    copied = run_kernel("copy_wide", backend, lanes=LANES, x=Lanes(a), y=Out(SHAPE, strides=strides, element=element))
    np.testing.assert_array_equal(only(copied), a)
    chosen = run_kernel(
        "where_wide",
        backend,
        lanes=LANES,
        condition=Lanes(condition),
        a=Lanes(a),
        b=Lanes(b),
        y=Out(SHAPE, element=element),
    )
    np.testing.assert_array_equal(only(chosen), np.where(condition != 0, a, b))


HIGH = np.array([0, 5, (1 << 63) - 1, 1 << 63, (1 << 63) + 4097, (1 << 64) - 1], np.uint64)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("target", ["float32", "float64"])
def test_unsigned_words_to_floats_and_back(backend: str, target: str) -> None:
    words = HIGH.reshape(1, 1, 1, 1, 1, 1, 6)
    out = Out(words.shape[1:], element=CARRIERS[target])
    y = only(run_kernel("convert", backend, lanes=1, unsigned=1, x=Lanes(words.view(np.int64)), y=out))
    np.testing.assert_array_equal(y, words.astype(target))
    below = np.nextafter(np.array(2.0**64, target), 0)
    floats = np.minimum(words.astype(target), below)
    out = Out(words.shape[1:], element=ElementType.INT64)
    back = only(run_kernel("convert", backend, lanes=1, unsigned=1, x=Lanes(floats), y=out))
    np.testing.assert_array_equal(back.view(np.uint64), floats.astype(np.uint64))


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("operator", [GeneralUnary.ABS, GeneralUnary.SIGN, GeneralUnary.BIT_NOT])
def test_unary_of_unsigned(backend: str, operator: GeneralUnary) -> None:
    words = HIGH.reshape(1, 1, 1, 1, 1, 1, 6)
    out = Out(words.shape[1:], element=ElementType.INT64)
    operands = {"operator": operator, "unsigned": 1, "alpha": 0.0, "beta": 0.0, "x": Lanes(words.view(np.int64))}
    y = only(run_kernel("unary_general", backend, lanes=1, y=out, **operands))
    expected = {GeneralUnary.ABS: words, GeneralUnary.SIGN: np.minimum(words, 1), GeneralUnary.BIT_NOT: ~words}
    np.testing.assert_array_equal(y.view(np.uint64), expected[operator])


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("operator", [Reduce.MAX, Reduce.MIN, Reduce.MEAN, Reduce.L1])
def test_reduce_of_unsigned(backend: str, operator: Reduce) -> None:
    x = HIGH.reshape(1, 1, 1, 1, 1, 2, 3).view(np.int64)
    out = Out((1, 1, 1), element=ElementType.INT64)
    y = only(run_kernel("reduce_general", backend, lanes=1, operator=operator, unsigned=1, x=Lanes(x), y=out))
    total = sum(map(int, HIGH)) % (1 << 64)
    expected = {Reduce.MAX: max(HIGH), Reduce.MIN: min(HIGH), Reduce.MEAN: total // 6, Reduce.L1: total}[operator]
    assert int(y.view(np.uint64).item()) == int(expected)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_a_mean_of_integers_is_exact(backend: str) -> None:
    x = np.array([[(1 << 61) + 1, (1 << 61) + 3, 5], [-(1 << 61) - 1, -(1 << 61) - 3, -4]]).reshape(1, 2, 1, 1, 1, 1, 3)
    out = Out((2, 1, 1), element=ElementType.INT64)
    y = only(run_kernel("reduce_general", backend, lanes=1, operator=Reduce.MEAN, unsigned=0, x=Lanes(x), y=out))
    sums = [sum(map(int, row)) for row in x.reshape(2, 3)]
    assert y.ravel().tolist() == [sums[0] // 3, -(-sums[1] // 3)]


FLOAT_UNARY = sorted(set(GeneralUnary) - {GeneralUnary.BIT_NOT})
INTEGER_UNARY = [GeneralUnary.NEG, GeneralUnary.ABS, GeneralUnary.SIGN, GeneralUnary.BIT_NOT]
FLOAT_BINARY = [operator for operator in GeneralBinary if operator < GeneralBinary.BIT_AND]
SPECIAL = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.5, 3.0, 7.25, np.inf, -np.inf, np.nan]
EXTREME = [0, 1, -1, 2, -2, 7, 63, 64, 65, -64, (1 << 63) - 1, -(1 << 63)]


def grid(values: list[float] | list[int], dtype: str, axis: int) -> np.ndarray:
    """[1, 1, 1, 1, 1, n, n]: the values along one of the last two axes."""
    line = np.array(values, dtype)
    pair = np.broadcast_to(line[:, None] if axis == 0 else line, (len(values), len(values)))
    return np.ascontiguousarray(pair).reshape(1, 1, 1, 1, 1, *pair.shape)


@pytest.mark.parametrize("backend", NATIVE_BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("unsigned", [0, 1])
def test_every_function_of_special_values(backend: str, dtype: str, unsigned: int) -> None:
    x = grid(EXTREME if dtype == "int64" else SPECIAL, dtype, 0)
    for operator in INTEGER_UNARY if dtype == "int64" else FLOAT_UNARY:
        operands = {"operator": operator, "unsigned": unsigned, "alpha": 1.0, "beta": 0.0, "x": Lanes(x)}
        got, expected = (
            only(run_kernel("unary_general", one, y=Out(x.shape[1:], element=CARRIERS[dtype]), **operands))
            for one in (backend, "reference")
        )
        rtol = {"float32": 1e-6, "float64": 1e-13, "int64": 0}[dtype]
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=0, err_msg=operator.name)


@pytest.mark.parametrize("backend", NATIVE_BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("unsigned", [0, 1])
def test_every_function_of_pairs_of_special_values(backend: str, dtype: str, unsigned: int) -> None:
    values = EXTREME if dtype == "int64" else SPECIAL
    a, b = (grid(values, dtype, axis) for axis in (0, 1))
    for operator in GeneralBinary if dtype == "int64" else FLOAT_BINARY:
        operands = {"operator": operator, "unsigned": unsigned, "a": Lanes(a), "b": Lanes(b)}
        with np.errstate(divide="ignore", invalid="ignore"):
            got, expected = (
                only(run_kernel("binary_general", one, y=Out(a.shape[1:], element=CARRIERS[dtype]), **operands))
                for one in (backend, "reference")
            )
        np.testing.assert_allclose(got, expected, rtol=1e-6 if dtype == "float32" else 1e-13, err_msg=operator.name)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_bits_of_floats_and_back(backend: str) -> None:
    x = numbers("float32", 12)
    words = only(run_kernel("bits", backend, lanes=LANES, x=Lanes(x), y=Out(SHAPE, element=ElementType.INT64)))
    np.testing.assert_array_equal(words, x.view(np.int32))
    high = words + (np.arange(words.size).reshape(words.shape) << 32)  # which do not count
    back = only(run_kernel("bits", backend, lanes=LANES, x=Lanes(high), y=Out(SHAPE)))
    assert back.tobytes() == x.tobytes()
