"""`conv_rounded`: as near the exact convolution as its operands are, and as near its definition as float32 sums are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wavetile.kernels import packing, packing_rounded
from wavetile.kernels.opcodes import Activation
from wavetile.kernels.rounding import Products, rounded
from wavetile.kernels.schemas.window import window_operands

from .convolution_problems import ConvProblem, onnx_node, random_problem
from .harness import Constant, run_kernel
from .layouts import ALL_BACKENDS, random_input, random_output

BACKENDS = (ALL_BACKENDS[0], ALL_BACKENDS[-1])
"""The CPU back end computes float32 instead."""

SUMS = {"rtol": 1e-5, "atol": 6e-6}
"""Of float32 sums of the same products in another order, as of the other convolutions."""


def _check(problem: ConvProblem, products: Products, backend: str, lanes: int, layout: str) -> None:
    rng = np.random.default_rng(problem.seed)
    shape = (problem.outputs, problem.inputs // problem.groups, *problem.kernel)
    w = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
    b = rng.standard_normal(problem.outputs).astype(np.float32)
    x = random_input((problem.batch, problem.inputs, *problem.size), lanes, rng, layout)
    got = run_kernel(
        "conv_rounded",
        backend,
        lanes=lanes,
        x=x,
        weights=Constant(packing_rounded.conv_rounded(w, problem.groups, products)),
        bias=Constant(packing.bias(b)),
        y=random_output((problem.batch, problem.outputs, *problem.output_size), rng, layout),
        groups=problem.groups,
        products=products,
        **window_operands(problem.kernel, problem.stride, problem.dilation, problem.pads[:3]),
        activation=Activation.RELU,
        alpha=0.0,
        beta=0.0,
        slope=None,
    )["y"]
    images = np.ascontiguousarray(x.array.reshape(-1, *x.array.shape[2:]))
    how = {"group": problem.groups, "strides": problem.stride, "dilations": problem.dilation, "pads": problem.pads}
    expected = onnx_node("Conv", [rounded(images, products), rounded(w, products), b], **how)
    np.testing.assert_allclose(got, np.maximum(expected, 0).reshape(got.shape), **SUMS, err_msg=str(problem))
    # Each operand is off by at most 2^-digits of itself.
    exact = onnx_node("Conv", [images, w, b], **how)
    sizes = onnx_node("Conv", [np.abs(images), np.abs(w)], **how)
    limit = 2.01 * 2.0**-products.digits * sizes + 1e-5
    assert (np.abs(got.reshape(exact.shape) - np.maximum(exact, 0)) <= limit).all()


def _as_volume(problem: ConvProblem) -> ConvProblem:
    top, left, bottom, right = problem.pads
    return replace(
        problem,
        size=(1, *problem.size),
        kernel=(1, *problem.kernel),
        stride=(1, *problem.stride),
        dilation=(1, *problem.dilation),
        pads=(0, top, left, 0, bottom, right),
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("products", Products)
@pytest.mark.parametrize("seed", range(4))
def test_random_images(seed: int, products: Products, backend: str) -> None:
    rng = np.random.default_rng(seed)
    for layout in ("dense", "shuffled"):
        _check(_as_volume(random_problem(rng, largest_width=40)), products, backend, int(rng.choice([1, 2])), layout)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("products", Products)
@pytest.mark.parametrize("outputs", [5, 30, 70])
def test_volumes_of_several_tiles(outputs: int, products: Products, backend: str) -> None:
    problem = ConvProblem(
        batch=2,
        inputs=6,
        outputs=2 * outputs,
        groups=2,
        size=(3, 9, 11),
        kernel=(2, 3, 3),
        stride=(1, 1, 1),
        dilation=(1, 2, 1),
        pads=(1, 2, 1, 0, 2, 1),
    )
    _check(problem, products, backend, 1, "dense")


@pytest.mark.parametrize("products", Products)
def test_packing_rounds_once(products: Products) -> None:
    w = np.random.default_rng(0).standard_normal((21 * 2, 5, 1, 2, 3)).astype(np.float32)
    packed = packing_rounded.conv_rounded(w, 2, products)
    kept = packing_rounded.unpack_conv_rounded(packed, w.shape, 2, products)
    np.testing.assert_array_equal(kept, rounded(w, products))


@pytest.mark.parametrize("products", Products)
def test_rounding_is_to_the_nearest_with_halves_to_even(products: Products) -> None:
    step = np.float32(2.0 ** (1 - products.digits))
    x = np.float32(1) + step * np.array([0.5, 1.5, 0.25, 0.75, 1.0], np.float32)
    np.testing.assert_array_equal(rounded(x, products), np.float32(1) + step * np.array([0, 2, 0, 1, 1], np.float32))
    special = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0], np.float32)
    np.testing.assert_array_equal(rounded(special, products), special)
    numbers = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    assert (np.abs(rounded(numbers, products) - numbers) <= 2.0**-products.digits * np.abs(numbers)).all()


def test_what_is_beyond_float16_is_infinite() -> None:
    assert rounded(np.array([65519.0, 65520.0, -1e6], np.float32), Products.FLOAT16).tolist() == [
        65504.0,
        np.inf,
        -np.inf,
    ]
