"""One-line networks: windows in three dimensions, and windows of one and two whose padding is left to the operator."""

from __future__ import annotations

from tests.plan.cases import case, ints
from tests.plan.networks import signal

VOLUME = {"x": (1, 4, 5, 7, 9)}

case(
    "conv_3d",
    "(float[1,4,5,7,9] x) => (float[1,6,5,7,9] y) { t = Conv<pads=[1,1,1,1,1,1]>(x, w, b) y = Relu(t) }",
    VOLUME,
    w=signal((6, 4, 3, 3, 3), 1),
    b=signal((6,), 2),
)
case(
    "conv_3d_asymmetric_grouped",
    "(float[1,4,5,7,9] x) => (float[1,6,3,4,5] y) "
    "{ y = Conv<group=2, pads=[0,1,2,2,0,1], strides=[2,2,2], dilations=[1,1,1]>(x, w) }",
    VOLUME,
    w=signal((6, 2, 3, 2, 4), 1),
)
case(
    "conv_3d_point",
    "(float[1,4,5,7,9] x) => (float[1,6,5,7,9] y) { y = Conv(x, w, b) }",
    VOLUME,
    w=signal((6, 4, 1, 1, 1), 1),
    b=signal((6,), 2),
)
case(
    "conv_3d_point_strided",
    "(float[2,4,5,7,9] x) => (float[2,6,3,4,3] y) { y = Conv<strides=[2,2,3]>(x, w) }",
    {"x": (2, 4, 5, 7, 9)},
    w=signal((6, 4, 1, 1, 1), 1),
)
for auto_pad in ("SAME_UPPER", "SAME_LOWER", "VALID"):
    case(
        f"conv_3d_{auto_pad}",
        f'(float[1,4,5,7,9] x) => (float[1,6,D,H,W] y) {{ y = Conv<auto_pad="{auto_pad}", strides=[2,1,2]>(x, w) }}',
        VOLUME,
        w=signal((6, 4, 2, 4, 3), 1),
    )
for stride, dilation, pads, extra in (
    ("[1,1,1]", "[1,1,1]", "[1,1,1,1,1,1]", "[0,0,0]"),
    ("[2,2,2]", "[1,1,1]", "[1,1,1,1,1,1]", "[1,1,1]"),
    ("[2,1,3]", "[1,2,2]", "[0,1,0,2,0,1]", "[1,0,2]"),
):
    case(
        f"conv_transpose_3d_{stride}",
        f"(float[1,4,3,4,5] x) => (float[1,6,D,H,W] y) {{ y = ConvTranspose<group=2, strides={stride}, "
        f"dilations={dilation}, pads={pads}, output_padding={extra}>(x, w, b) }}",
        {"x": (1, 4, 3, 4, 5)},
        w=signal((4, 3, 3, 3, 3), 1),
        b=signal((6,), 2),
    )
case(
    "conv_transpose_3d_output_shape",
    "(float[1,4,3,4,5] x) => (float[1,3,6,8,10] y) "
    '{ y = ConvTranspose<strides=[2,2,2], auto_pad="SAME_UPPER", output_shape=[6,8,10]>(x, w) }',
    {"x": (1, 4, 3, 4, 5)},
    w=signal((4, 3, 3, 3, 3), 1),
)
case(
    "conv_transpose_beyond_all_windows",
    "(float[1,1,3,3] x) => (float[1,2,10,8] y) { y = ConvTranspose<strides=[3,2], output_shape=[10,8]>(x, w, b) }",
    {"x": (1, 1, 3, 3)},
    w=signal((1, 2, 3, 3), 1),
    b=signal((2,), 2),
)
case(
    "arriving_conv_3d",
    "(float[1,4,5,7,9] x, float[6,2,3,3,3] w, float[6] b) => (float[1,6,5,7,9] y) "
    "{ y = Conv<group=2, pads=[1,1,1,1,1,1]>(x, w, b) }",
    {"x": (1, 4, 5, 7, 9), "w": (6, 2, 3, 3, 3), "b": (6,)},
)
case(
    "arriving_conv_transpose_3d",
    "(float[1,4,3,4,5] x, float[4,3,3,3,3] w, float[3] b) => (float[1,3,D,H,W] y) "
    "{ y = ConvTranspose<strides=[2,1,2], output_padding=[1,0,1]>(x, w, b) }",
    {"x": (1, 4, 3, 4, 5), "w": (4, 3, 3, 3, 3), "b": (3,)},
)
for op in ("MaxPool", "AveragePool", "LpPool"):
    for name, shape, window in (
        ("1d", (2, 3, 20), "kernel_shape=[3], strides=[2], pads=[1,1], dilations=[2]"),
        ("2d", (1, 4, 9, 11), "kernel_shape=[2,3], strides=[2,1], pads=[0,1,1,2], dilations=[2,1]"),
        ("3d", (1, 4, 5, 7, 9), "kernel_shape=[3,3,3], strides=[2,2,2], pads=[1,1,1,1,1,1]"),
        ("3d_dilated", (2, 3, 6, 7, 9), "kernel_shape=[2,1,3], strides=[1,2,2], pads=[0,0,1,1,0,2], dilations=[2,1,2]"),
        ("3d_ceil", (1, 4, 5, 7, 9), "kernel_shape=[2,2,2], strides=[2,2,2], ceil_mode=1"),
        ("3d_upper", (1, 4, 5, 7, 9), 'kernel_shape=[2,3,4], strides=[2,2,2], auto_pad="SAME_UPPER"'),
        ("3d_lower", (1, 4, 5, 7, 9), 'kernel_shape=[2,3,4], strides=[1,2,3], auto_pad="SAME_LOWER"'),
        ("3d_valid", (1, 4, 5, 7, 9), 'kernel_shape=[2,3,4], strides=[1,2,3], auto_pad="VALID"'),
    ):
        axes = ",".join("NCDHW"[: len(shape)])
        case(
            f"{op}_{name}",
            f"(float[{','.join(map(str, shape))}] x) => (float[{axes}] y) {{ y = {op}<{window}>(x) }}",
            {"x": shape},
            22,
        )
case(
    "AveragePool_3d_count_pad",
    "(float[1,4,5,7,9] x) => (float[N,C,D,H,W] y) { y = AveragePool<kernel_shape=[3,3,3], strides=[2,2,2], "
    "pads=[1,1,1,1,1,1], count_include_pad=1, ceil_mode=1>(x) }",
    VOLUME,
)
for p in (1, 3):
    case(
        f"LpPool_{p}",
        f"(float[1,4,9,11] x) => (float[N,C,H,W] y) {{ y = LpPool<kernel_shape=[3,2], p={p}, strides=[2,2]>(x) }}",
        {"x": (1, 4, 9, 11)},
    )
for p in (1, 2, 3):
    case(
        f"GlobalLpPool_{p}",
        f"(float[1,4,9,11] x) => (float[N,C,H,W] y) {{ y = GlobalLpPool<p={p}>(x) }}",
        VOLUME | {"x": (1, 4, 9, 11)},
    )
for order in (0, 1):
    for name, shape, window in (
        ("1d", (2, 3, 20), "kernel_shape=[3], strides=[2], pads=[1,1]"),
        ("2d", (2, 4, 9, 11), "kernel_shape=[2,3], strides=[2,1], pads=[0,1,1,2], dilations=[2,1]"),
        ("3d", (2, 4, 5, 7, 9), "kernel_shape=[2,3,3], strides=[2,2,2], pads=[1,1,1,1,1,1], ceil_mode=1"),
    ):
        axes = ",".join("NCDHW"[: len(shape)])
        case(
            f"max_pool_indices_{name}_{order}",
            f"(float[{','.join(map(str, shape))}] x) => (float[{axes}] y, int64[{axes}] i) "
            f"{{ y, i = MaxPool<{window}, storage_order={order}>(x) }}",
            {"x": shape},
        )
case(
    "max_unpool",
    "(float[2,3,8,9] x) => (float[2,3,8,9] z) { y, i = MaxPool<kernel_shape=[2,3], strides=[2,3]>(x) "
    "z = MaxUnpool<kernel_shape=[2,3], strides=[2,3]>(y, i) }",
    {"x": (2, 3, 8, 9)},
)
case(
    "max_unpool_volume",
    "(float[1,2,4,4,6] x) => (float[1,2,4,4,6] z) { y, i = MaxPool<kernel_shape=[2,2,2], strides=[2,2,2]>(x) "
    "z = MaxUnpool<kernel_shape=[2,2,2], strides=[2,2,2]>(y, i, s) }",
    {"x": (1, 2, 4, 4, 6)},
    s=ints(1, 2, 4, 4, 6),
)
for name, attributes, blocks in (
    ("plain", "strides=[1,1]", 5 * 4),
    ("strided_padded", "strides=[2,1], pads=[1,0,1,2], dilations=[1,2]", 4 * 4),
):
    case(
        f"col2im_{name}",
        f"(float[2,12,{blocks}] x) => (float[2,2,6,6] y) {{ y = Col2Im<{attributes}>(x, s, b) }}",
        {"x": (2, 12, blocks)},
        18,
        s=ints(6, 6),
        b=ints(2, 3),
    )
for mode in ("DCR", "CRD"):
    case(
        f"depth_to_space_{mode}",
        f'(float[2,12,3,5] x) => (float[2,3,6,10] y) {{ y = DepthToSpace<blocksize=2, mode="{mode}">(x) }}',
        {"x": (2, 12, 3, 5)},
    )
case(
    "space_to_depth",
    "(float[2,3,6,10] x) => (float[2,12,3,5] y) { y = SpaceToDepth<blocksize=2>(x) }",
    {"x": (2, 3, 6, 10)},
)
