"""Networks of one normalisation."""

from __future__ import annotations

import numpy as np

from tests.plan.cases import IMAGE, X, case


def weights(*shape: int, seed: int = 0) -> np.ndarray:
    """Random float32."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


case("layer_norm", "(float[2,3,5] x) => (float[2,3,5] y) { y = LayerNormalization(x, s) }", X, s=weights(5))
case(
    "layer_norm_bias",
    "(float[2,3,5] x) => (float[2,3,5] y) { y = LayerNormalization<axis=1, epsilon=0.1>(x, s, b) }",
    X,
    s=weights(3, 5),
    b=weights(3, 5, seed=1),
)
case(
    "layer_norm_statistics",
    "(float[2,3,5] x) => (float[2,3,5] y, float[2,3,1] m, float[2,3,1] i) { y, m, i = LayerNormalization(x, s) }",
    X,
    s=weights(5),
)
case(
    "layer_norm_turned",
    "(float[2,3,5] x) => (float[2,5,3] y) { t = Transpose<perm=[0,2,1]>(x) y = LayerNormalization(t, s, b) }",
    X,
    s=weights(3),
    b=weights(3, seed=1),
)
case(
    "layer_norm_arriving_scale",
    "(float[2,3,5] x, float[5] s) => (float[2,3,5] y) { y = LayerNormalization(x, s) }",
    {**X, "s": (5,)},
)
case(
    "rms_norm",
    "(float[2,3,5] x) => (float[2,3,5] y) { y = RMSNormalization<axis=-2>(x, s) }",
    X,
    23,
    s=weights(3, 5),
)
case(
    "instance_norm",
    "(float[1,4,9,11] x) => (float[1,4,9,11] y) { y = InstanceNormalization<epsilon=0.01>(x, s, b) }",
    IMAGE,
    s=weights(4),
    b=weights(4, seed=1),
)
case(
    "group_norm",
    "(float[1,4,9,11] x) => (float[1,4,9,11] y) { y = GroupNormalization<num_groups=2>(x, s, b) }",
    IMAGE,
    21,
    s=weights(4),
    b=weights(4, seed=1),
)
