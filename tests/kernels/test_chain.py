"""Chains: the same bits as their steps one by one, and the values that NumPy gives for the formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wavetile.kernels.contract import Space
from wavetile.kernels.cpu.chain import BLOCK
from wavetile.kernels.opcodes import Binary, Unary
from wavetile.kernels.schemas.chain import CHAIN_INPUTS, CHAIN_TEMPORARIES, CHAIN_WORDS

from .harness import Constant, Lanes, Out, run_kernel
from .layouts import ALL_BACKENDS, LANES, ones_before, random_input, random_output

T0, T1 = CHAIN_INPUTS, CHAIN_INPUTS + 1
Y0, Y1 = CHAIN_INPUTS + CHAIN_TEMPORARIES, CHAIN_INPUTS + CHAIN_TEMPORARIES + 1
SHAPES = ((1,), (33,), (16, 33), (BLOCK + 5,), (3, 2 * BLOCK + 1), (2, 3, 2, 4, 5, 19), (700, 2))
LAYOUTS = ("dense", "shuffled", "broadcast")


def step(family: int, operator: int, target: int, a: int, b: int = 0, c: int = 0, alpha: float = 0) -> list[int]:
    return [family, operator, target, a, b, c, *np.array([alpha, 0], np.float32).view(np.int32).tolist()]


# y0 = sigmoid(x0 x1 + x2); y1 = x1 where x0 < x2, else leaky(x0)
PROGRAM = [
    step(1, Binary.MUL, T0, 0, 1),
    step(1, Binary.ADD, T0, T0, 2),
    step(0, Unary.SIGMOID, Y0, T0),
    step(1, Binary.LESS, T0, 0, 2),
    step(0, Unary.LEAKY_RELU, T1, 0, alpha=0.3),
    step(2, 0, Y1, T0, 1, T1),
]


def by_steps(x0: np.ndarray, x1: np.ndarray, x2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The program with the unary, binary and where kernels, one call a step."""

    def call(kernel: str, **operands: Any) -> np.ndarray:
        arrays = {key: Lanes(value) for key, value in operands.items() if isinstance(value, np.ndarray)}
        return run_kernel(kernel, "cpu", lanes=len(x0), y=Out(x0.shape[1:]), **{**operands, **arrays})["y"]

    total = call("binary", operator=Binary.ADD, a=call("binary", operator=Binary.MUL, a=x0, b=x1), b=x2)
    below = call("binary", operator=Binary.LESS, a=x0, b=x2)
    leaky = call("unary", operator=Unary.LEAKY_RELU, alpha=0.3, beta=0.0, x=x0)
    y0 = call("unary", operator=Unary.SIGMOID, alpha=0.0, beta=0.0, x=total)
    return y0, call("where", condition=below, a=x1, b=leaky)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("lanes", LANES)
def test_values_and_bits(lanes: int, shape: tuple[int, ...], layout: str, backend: str) -> None:
    rng = np.random.default_rng(7)
    shape = ones_before(shape)
    inputs = [random_input(shape, lanes, rng, layout) for _ in range(3)]
    outputs = [random_output(shape, rng, "dense" if layout == "broadcast" else layout) for _ in range(2)]
    made = run_kernel(
        "chain",
        backend,
        lanes=lanes,
        program=Constant(np.array(PROGRAM, np.int32)),
        **{f"x{index}": value for index, value in enumerate(inputs)},
        y0=outputs[0],
        y1=outputs[1],
    )
    x0, x1, x2 = (np.broadcast_to(value.array, (lanes, *shape)).astype(np.float64) for value in inputs)
    np.testing.assert_allclose(made["y0"], 1 / (1 + np.exp(-(x0 * x1 + x2))), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(made["y1"], np.where(x0 < x2, x1, np.where(x0 < 0, np.float32(0.3) * x0, x0)), rtol=1e-6)
    if backend == "cpu":
        stepwise = by_steps(*(np.ascontiguousarray(x, np.float32) for x in (x0, x1, x2)))
        for name, bits in zip(("y0", "y1"), stepwise, strict=True):
            assert made[name].tobytes() == bits.tobytes()


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("exponent", [2.0, 0.5, -0.5, 3.0, 2.7])
def test_scalars(exponent: float, backend: str) -> None:
    """A number for all elements takes the path that the binary kernel has for it: powers differ in the last bit."""
    shape = ones_before((5, 130))
    x = np.abs(random_input(shape, 1, np.random.default_rng(3), "dense").array) + np.float32(0.1)
    program = [step(1, Binary.POW, T0, 0, 1), step(1, Binary.SUB, Y0, 2, T0)]
    spread = {
        "x1": Lanes(np.full((1, *shape), exponent, np.float32), strides=(0,) * 6),
        "x2": Lanes(np.ones((1, *shape), np.float32), Space.STATE, strides=(0,) * 6),
    }
    made = run_kernel(
        "chain", backend, lanes=1, program=Constant(np.array(program, np.int32)), x0=Lanes(x), y0=Out(shape), **spread
    )["y0"]
    np.testing.assert_allclose(made, 1 - x.astype(np.float64) ** np.float32(exponent), rtol=1e-5, atol=1e-6)
    if backend == "cpu":
        power = run_kernel("binary", "cpu", operator=Binary.POW, a=Lanes(x), b=spread["x1"], y=Out(shape))["y"]
        assert made.tobytes() == (np.float32(1) - power).tobytes()


def test_lanes_do_not_change_bits() -> None:
    rng = np.random.default_rng(11)
    shape = ones_before((7, 40))
    inputs = [random_input(shape, 3, rng, "shuffled") for _ in range(3)]
    program = Constant(np.array(PROGRAM, np.int32))
    together = run_kernel(
        "chain",
        "cpu",
        lanes=3,
        program=program,
        y0=Out(shape),
        y1=Out(shape),
        **{f"x{i}": value for i, value in enumerate(inputs)},
    )
    for lane in range(3):
        alone = {f"x{i}": Lanes(value.array[lane : lane + 1], strides=value.strides) for i, value in enumerate(inputs)}
        made = run_kernel("chain", "cpu", lanes=1, program=program, y0=Out(shape), y1=Out(shape), **alone)
        for name in ("y0", "y1"):
            assert made[name][0].tobytes() == together[name][lane].tobytes()


def test_words_of_a_step() -> None:
    assert {len(words) for words in PROGRAM} == {CHAIN_WORDS}
