"""One-line networks: local response normalisation, determinants, log-sum-exp, batch norms whose parameters arrive."""

from __future__ import annotations

import numpy as np

from tests.plan.cases import IMAGE, X, case, ints

for size in (1, 3, 5, 13):
    case(
        f"lrn_{size}",
        f"(float[1,4,9,11] x) => (float[1,4,9,11] y) {{ y = LRN<size={size}, alpha=0.5, beta=0.6, bias=1.5>(x) }}",
        IMAGE,
    )
case("det", "(float[2,3,4,4] x) => (float[2,3] y) { y = Det(x) }", {"x": (2, 3, 4, 4)})
case("det_of_one", "(float[3,3] x) => (float[1] y) { d = Det(x) y = Reshape(d, s) }", {"x": (3, 3)}, s=ints(1))
for name, attributes, declared in (("axis", "axes=[1]", "2,1,5"), ("all", "keepdims=1", "1,1,1")):
    case(
        f"log_sum_exp_{name}",
        f"(float[2,3,5] x) => (float[{declared}] y) {{ h = Mul(x, s) y = ReduceLogSumExp<{attributes}>(h) }}",
        X,
        s=np.array(100, np.float32),
    )
case(
    "arriving_batch_norm",
    "(float[1,4,9,11] x, float[4] s, float[4] b, float[4] m, float[4] d) => (float[1,4,9,11] y) "
    "{ v = Mul(d, d) y = BatchNormalization<epsilon=0.1>(x, s, b, m, v) }",
    {"x": (1, 4, 9, 11), "s": (4,), "b": (4,), "m": (4,), "d": (4,)},
)
