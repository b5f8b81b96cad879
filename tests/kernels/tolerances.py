"""How far a kernel may be from its independent reference: keyword arguments of `numpy.testing.assert_allclose`."""

from __future__ import annotations

import math
from typing import Any

TOLERANCES: dict[str, dict[str, Any]] = {
    # Sums of up to 256 products in another order, then activations of a few ulp, fed back over the steps.
    "lstm": {"rtol": 2e-5, "atol": 2e-6},
    "gru": {"rtol": 2e-5, "atol": 2e-6},
    "recurrent_general": {"rtol": 2e-5, "atol": 2e-6},
    # Data only moves.
    "copy": {"rtol": 0, "atol": 0},
    "fill": {"rtol": 0, "atol": 0},
    "gather": {"rtol": 0, "atol": 0},
    "where": {"rtol": 0, "atol": 0},
    # One correctly rounded operation, or two; polynomials of a few ulp; powers of half an ulp.
    "unary": {"rtol": 1e-6, "atol": 1e-7},
    "binary": {"rtol": 2.5e-7, "atol": 0},
    # Float32 sums of at most 1024 elements in vector lanes, then float64; sums of mixed sign lose to cancellation.
    "reduce": {"rtol": 2e-6, "atol": 2e-5},
    # Exponentials of 1 ulp, their sum, one product; the logarithm loses absolutely, not relatively, near 0.
    "softmax": {"rtol": 3e-6, "atol": 1e-7},
    "log_softmax": {"rtol": 1e-6, "atol": 2e-6},
    # The kernels are within 0.4e-6 of the definition; ONNX Runtime's own erf and tanh are as far on the other side.
    "gelu": {"rtol": 1e-6, "atol": 2e-6},
    "mish": {"rtol": 2e-6, "atol": 2e-6},
    "erf": {"rtol": 0, "atol": 6e-7},
    "tanh": {"rtol": 0, "atol": 6e-7},
    # Sums of up to some hundred products, of order one together, one after the other; activations of a few ulp.
    "dense": {"rtol": 1e-5, "atol": 6e-6},
    "conv_wide": {"rtol": 1e-5, "atol": 6e-6},
    "conv_short": {"rtol": 1e-5, "atol": 6e-6},
    "conv_narrow": {"rtol": 1e-5, "atol": 6e-6},
    # Winograd's F(4x4, 3x3) adds numbers up to 20 times the result and takes differences: five times the rounding.
    "conv_winograd": {"rtol": 1e-5, "atol": 2e-5},
    "conv_depthwise": {"rtol": 1e-5, "atol": 6e-6},
    "conv_volume": {"rtol": 1e-5, "atol": 6e-6},
    # As above; the numbers are not scaled down, sums of 40 products reach 20.
    "matmul": {"rtol": 1e-5, "atol": 1e-5},
    # One of the inputs as it is; a sum of at most 16 and one division.
    "max_pool": {"rtol": 0, "atol": 0},
    "average_pool": {"rtol": 1e-6, "atol": 1e-6},
    # Coordinates are float32 on both sides, a few ulp apart, where neighbours differ by up to 4; 64 products.
    "sample": {"rtol": 1e-5, "atol": 2e-5},
    "roi_align": {"rtol": 1e-5, "atol": 1e-5},
    # ONNX Runtime's coordinates are float32 (4e-6 off at column 33), the test's are not; neighbours differ by up to 4.
    "resize_linear": {"rtol": 1e-5, "atol": 2e-5},
}


def fft_tolerance(n: int) -> float:
    """Greatest error of a transform of length n, relative to the root mean square of the result.

    Each stage rounds once more, so that errors grow with log2 n.
    """
    return 4e-7 * max(1.0, math.log2(n))
