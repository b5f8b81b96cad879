"""One-line networks of quantised values; what is rounded to integers has to agree to the last one."""

from __future__ import annotations

import numpy as np

from tests.plan.cases import IMAGE, case

TENSOR = np.array(0.037, np.float32)
CHANNELS = np.array([0.05, 0.011, 0.2, 0.037], np.float32)


def whole(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    """Random integers over the whole range of a type."""
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)


for dtype in ("uint8", "int8", "uint16", "int16"):
    for axis, scale in ((1, CHANNELS), (0, TENSOR)):
        case(
            f"quantize_{dtype}_{'channels' if scale.size > 1 else 'tensor'}",
            "(float[1,4,9,11] x) => (float[1,4,9,11] q, float[1,4,9,11] y) "
            f"{{ i = QuantizeLinear<axis={axis}>(x, s, z) y = DequantizeLinear<axis={axis}>(i, s, z) "
            "q = Cast<to=1>(i) }",
            IMAGE,
            21,
            s=scale / (1 if dtype.endswith("8") else 100),
            z=whole(scale.shape, dtype, 1) // 4,
        )
    case(
        f"quantize_{dtype}_and_straight_back",
        "(float[1,4,9,11] x) => (float[1,4,9,11] y) "
        "{ r = Clip(x, l, h) i = QuantizeLinear<axis=1>(r, s, z) y = DequantizeLinear<axis=1>(i, s, z) }",
        IMAGE,
        21,
        l=np.array(0, np.float32),
        h=np.array(6, np.float32),
        s=CHANNELS,
        z=whole(CHANNELS.shape, dtype, 3) // 4,
    )
case(
    "quantize_blocks",
    "(float[3,10] x) => (float[3,10] y) { i = QuantizeLinear<axis=1, block_size=4>(x, s) "
    "y = DequantizeLinear<axis=1, block_size=4>(i, s) }",
    {"x": (3, 10)},
    21,
    s=np.linspace(0.01, 0.1, 9, dtype=np.float32).reshape(3, 3),
)
case(
    "quantize_last_axis",
    "(float[2,3,5] x) => (float[2,3,5] y) { i = QuantizeLinear<axis=-1>(x, s, z) y = Cast<to=1>(i) }",
    {"x": (2, 3, 5)},
    s=np.array([0.01, 0.02, 0.03, 0.04, 0.05], np.float32),
    z=np.array([1, 0, -3, 4, 5], np.int8),
)
case(
    "dequantize_bias",
    "(float[2,3] x) => (float[2,3] y) { b = DequantizeLinear(w, s) i = Relu(x) y = Add(i, b) }",
    {"x": (2, 3)},
    w=whole((3,), "int32", 2),
    s=np.array(1e-9, np.float32),
)
case(
    "dynamic_quantize",
    "(float[2,3,5] x) => (float[2,3,5] y, float s, float z) "
    "{ i, s, p = DynamicQuantizeLinear(x) y = Cast<to=1>(i) z = Cast<to=1>(p) }",
    {"x": (2, 3, 5)},
)
case(
    "matmul_integer",
    "(float[5,300] x) => (float[5,7] y) "
    "{ i = QuantizeLinear(x, s, z) p = MatMulInteger(i, w, z, v) y = Cast<to=1>(p) }",
    {"x": (5, 300)},
    s=TENSOR,
    z=np.array(120, np.uint8),
    w=whole((300, 7), "int8", 3),
    v=whole((7,), "int8", 4),
)
case(
    "qlinear_matmul",
    "(float[2,5,30] x) => (float[2,5,7] y) "
    "{ i = QuantizeLinear(x, s, z) p = QLinearMatMul(i, s, z, w, t, v, u, z) y = Cast<to=1>(p) }",
    {"x": (2, 5, 30)},
    s=TENSOR,
    z=np.array(120, np.uint8),
    w=whole((30, 7), "int8", 3),
    t=np.array(0.011, np.float32),
    v=np.array(-3, np.int8),
    u=np.array(0.9, np.float32),
)
for name, attributes, group in (
    ("plain", "", 1),
    ("strided", "pads=[1,0,2,1], strides=[2,1], dilations=[1,2]", 1),
    ("same", 'auto_pad="SAME_UPPER", strides=[2,2]', 1),
    ("grouped", "group=2, pads=[1,1,1,1]", 2),
    ("depthwise", "group=4", 4),
):
    opening = "(float[1,4,9,11] x) => (float[1,8,H,W] y) { i = QuantizeLinear(x, s, z) "
    brackets = f"<{attributes}>" if attributes else ""
    weights = whole((8, 4 // group, 3, 3), "int8", 5)
    case(
        f"conv_integer_{name}",
        f"{opening} p = ConvInteger{brackets}(i, w, z) y = Cast<to=1>(p) }}",
        IMAGE,
        s=TENSOR,
        z=np.array(120, np.uint8),
        w=weights.astype(np.uint8),
    )
    case(
        f"qlinear_conv_{name}",
        f"{opening} p = QLinearConv{brackets}(i, s, z, w, t, v, u, z, b) y = Cast<to=1>(p) }}",
        IMAGE,
        s=TENSOR,
        z=np.array(120, np.uint8),
        w=weights,
        t=np.linspace(0.001, 0.02, 8, dtype=np.float32),
        v=np.zeros(8, np.int8),
        u=np.array(0.5, np.float32),
        b=whole((8,), "int16", 6).astype(np.int32),
    )
