"""One-line networks: convolutions, pools, resizing and recurrent layers."""

from __future__ import annotations

import numpy as np

from tests.plan.cases import IMAGE, case, ints
from tests.plan.networks import signal

case(
    "conv",
    "(float[1,4,9,11] x) => (float[1,6,9,11] y) { y = Conv<pads=[1,1,1,1]>(x, w, b) }",
    IMAGE,
    w=signal((6, 4, 3, 3), 1),
    b=signal((6,), 2),
)
case(
    "conv_asymmetric_strided",
    "(float[1,4,9,11] x) => (float[1,6,5,6] y) { y = Conv<pads=[0,1,2,2], strides=[2,2], dilations=[1,1]>(x, w) }",
    IMAGE,
    w=signal((6, 4, 3, 3), 1),
)
for pads, size in (([0, 0, 0, 0], "22,20"), ([2, 2, 2, 2], "24,22"), ([3, 1, 0, 4], "24,22"), ([5, 5, 5, 5], "27,25")):
    case(
        f"conv_of_stride_2_in_phases_{''.join(map(str, pads))}",
        f"(float[2,24,48,45] x) => (float[2,32,{size}] y) "
        f"{{ t = Conv<pads={pads}, strides=[2,2]>(x, w, b) y = Relu(t) }}",
        {"x": (2, 24, 48, 45)},
        w=signal((32, 24, 5, 6), 1),
        b=signal((32,), 2),
    )
case(
    "conv_of_short_rows_unfolded",
    "(float[2,3,13,7] x) => (float[2,64,7,3] y) { t = Conv<pads=[2,1,1,2], strides=[2,2], dilations=[1,2]>(x, w, b)"
    " y = PRelu(t, s) }",
    {"x": (2, 3, 13, 7)},
    w=signal((64, 3, 4, 3), 1),
    b=signal((64,), 2),
    s=signal((64, 1, 1), 3),
)
case(
    "conv_grouped_dilated",
    "(float[1,4,9,11] x) => (float[1,6,5,7] y) { y = Conv<group=2, dilations=[2,2]>(x, w) }",
    IMAGE,
    w=signal((6, 2, 3, 3), 1),
)
case(
    "conv_depthwise_prelu",
    "(float[1,4,9,11] x) => (float[1,4,9,11] y) { t = Conv<group=4, pads=[1,1,1,1]>(x, w, b) y = PRelu(t, s) }",
    IMAGE,
    w=signal((4, 1, 3, 3), 1),
    b=signal((4,), 2),
    s=signal((4, 1, 1), 3),
)
case(
    "conv_auto_pad",
    '(float[1,4,9,11] x) => (float[1,6,5,6] y) { y = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(x, w) }',
    IMAGE,
    w=signal((6, 4, 3, 3), 1),
)
case(
    "conv_and_pools_of_a_column",
    "(float[2,3,90,1] x) => (float[2,8,22,1] y) { t = Conv<pads=[2,0,1,0], strides=[2,1]>(x, w, b)"
    " u = MaxPool<kernel_shape=[3,1], strides=[1,1], pads=[1,0,1,0]>(t)"
    " y = AveragePool<kernel_shape=[2,1], strides=[2,1]>(u) }",
    {"x": (2, 3, 90, 1)},
    w=signal((8, 3, 4, 1), 1),
    b=signal((8,), 2),
)
case(
    "conv_1d_batch_norm",
    "(float[2,3,20] x) => (float[2,8,18] y) { t = Conv(x, w) u = BatchNormalization(t, s, b, m, v) y = Relu(u) }",
    {"x": (2, 3, 20)},
    w=signal((8, 3, 3), 1),
    s=signal((8,), 2),
    b=signal((8,), 3),
    m=signal((8,), 4),
    v=np.abs(signal((8,), 5)) + 0.1,
)
for stride, dilation, pads, extra in (
    (1, 1, "[1,1,1,1]", "[0,0]"),
    (2, 1, "[1,0,1,2]", "[1,1]"),
    (3, 1, "[0,0,0,0]", "[0,2]"),
    (2, 2, "[2,1,0,1]", "[0,0]"),
    (1, 2, "[0,3,1,0]", "[0,0]"),
    (4, 1, "[0,0,0,0]", "[0,0]"),
):
    case(
        f"conv_transpose_{stride}_{dilation}",
        "(float[1,4,5,6] x) => (float[1,6,H,W] y) { y = ConvTranspose"
        f"<group=2, strides=[{stride},{stride}], dilations=[{dilation},{dilation}], pads={pads}, "
        f"output_padding={extra}>(x, w, b) }}",
        {"x": (1, 4, 5, 6)},
        w=signal((4, 3, 3, 3), 1),
        b=signal((6,), 2),
    )
case(
    "conv_transpose_output_shape",
    "(float[1,4,5,6] x) => (float[1,3,10,12] y) { y = ConvTranspose<strides=[2,2], output_shape=[10,12]>(x, w) }",
    {"x": (1, 4, 5, 6)},
    w=signal((4, 3, 3, 3), 1),
)
case(
    "conv_transpose_1d",
    "(float[1,4,9] x) => (float[1,2,19] y) { y = ConvTranspose<strides=[2]>(x, w) }",
    {"x": (1, 4, 9)},
    w=signal((4, 2, 3), 1),
)
for op in ("MaxPool", "AveragePool"):
    case(
        f"{op}_padded",
        f"(float[1,4,9,11] x) => (float[1,4,5,6] y) "
        f"{{ y = {op}<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x) }}",
        IMAGE,
    )
    case(
        f"{op}_ceil",
        f"(float[1,4,9,11] x) => (float[1,4,5,6] y) {{ y = {op}<kernel_shape=[2,2], strides=[2,2], ceil_mode=1>(x) }}",
        IMAGE,
    )
case(
    "average_count_pad",
    "(float[1,4,9,11] x) => (float[1,4,5,6] y) "
    "{ y = AveragePool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], count_include_pad=1>(x) }",
    IMAGE,
)
for coordinates in ("asymmetric", "half_pixel", "align_corners"):
    for mode in ("nearest", "linear"):
        case(
            f"resize_{mode}_{coordinates}",
            "(float[1,4,9,11] x) => (float[1,4,18,16] y) { y = Resize"
            f'<mode="{mode}", coordinate_transformation_mode="{coordinates}", nearest_mode="floor">(x, , , s) }}',
            IMAGE,
            s=ints(1, 4, 18, 16),
        )
for op in ("MaxPool", "AveragePool"):
    # (size, kernel, stride, pad, output): in the first three the last window would start in the padding at the end.
    for size, kernel, stride, pad, output in ((11, 3, 3, 1, 4), (5, 2, 4, 1, 2), (12, 3, 5, 2, 3), (10, 3, 2, 1, 6)):
        case(
            f"{op}_ceil_{size}_{kernel}_{stride}",
            f"(float[2,4,{size}] x) => (float[2,4,{output}] z) {{ y = {op}<kernel_shape=[{kernel}], "
            f"strides=[{stride}], pads=[{pad},{pad}], ceil_mode=1>(x) z = Sigmoid(y) }}",
            {"x": (2, 4, size)},
        )
    case(
        f"{op}_ceil_2d",
        f"(float[1,4,9,11] x) => (float[1,4,4,4] y) "
        f"{{ y = {op}<kernel_shape=[2,3], strides=[3,3], pads=[1,1,1,1], ceil_mode=1>(x) }}",
        IMAGE,
    )
case(
    "average_ceil_count_pad",
    "(float[2,4,11] x) => (float[2,4,4] y) "
    "{ y = AveragePool<kernel_shape=[3], strides=[3], pads=[1,1], ceil_mode=1, count_include_pad=1>(x) }",
    {"x": (2, 4, 11)},
)
for auto_pad, kernel, output in (("VALID", 1, 3), ("SAME_UPPER", 3, 3), ("SAME_LOWER", 3, 3)):
    case(
        f"pool_ceil_{auto_pad}",
        f"(float[2,4,8] x) => (float[2,4,{output}] y) "
        f'{{ y = MaxPool<kernel_shape=[{kernel}], strides=[3], auto_pad="{auto_pad}", ceil_mode=1>(x) }}',
        {"x": (2, 4, 8)},
    )
for mode in ("nearest", "linear"):
    for scale, columns in ((0.6, 6), (0.37, 4), (1.3, 14), (1.7, 18)):
        case(
            f"resize_10_{mode}_{scale}",
            f'(float[1,4,9,11] x) => (float[1,4,9,{columns}] y) {{ y = Resize<mode="{mode}">(x, s) }}',
            IMAGE,
            10,
            s=np.array([1, 1, 1, scale], np.float32),
        )
# align_corners is in `cases_resize`: where scales leave a part of an element over, onnxruntime cuts it off first, and
# ONNX's conformance suite does not.
for coordinates in ("asymmetric", "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel"):
    for rounding in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"):
        for scale, columns in ((0.7, 7), (1.7, 18)):
            case(
                f"resize_{coordinates}_{rounding}_{scale}",
                f'(float[1,4,9,11] x) => (float[1,4,9,{columns}] y) {{ y = Resize<mode="nearest", '
                f'coordinate_transformation_mode="{coordinates}", nearest_mode="{rounding}">(x, , s) }}',
                IMAGE,
                19,
                s=np.array([1, 1, 1, scale], np.float32),
            )
for name, body, shape, sizes in (
    ("rank_2", "(float[3,5] x) => (float[6,8] y)", (3, 5), (6, 8)),
    ("rank_3_last", "(float[2,3,5] x) => (float[2,3,8] y)", (2, 3, 5), (2, 3, 8)),
    ("rank_3_both", "(float[2,3,5] x) => (float[2,6,8] y)", (2, 3, 5), (2, 6, 8)),
    ("rank_5", "(float[1,2,3,4,5] x) => (float[1,2,3,7,8] y)", (1, 2, 3, 4, 5), (1, 2, 3, 7, 8)),
):
    case(
        f"resize_linear_{name}",
        f'{body} {{ y = Resize<mode="linear">(x, , , s) }}',
        {"x": shape},
        s=ints(*sizes),
    )
case(
    "upsample_9",
    '(float[1,4,9,11] x) => (float[1,4,18,22] y) { y = Upsample<mode="nearest">(x, s) }',
    IMAGE,
    9,
    s=np.array([1, 1, 2, 2], np.float32),
)
for op, gates in (("LSTM", 4), ("GRU", 3)):
    for direction, count in (("forward", 1), ("reverse", 1), ("bidirectional", 2)):
        extra = ", linear_before_reset=1" if op == "GRU" and count == 2 else ""
        case(
            f"{op}_{direction}",
            f"(float[6,2,5] x, float[{count},2,4] h) => (float[6,{count},2,4] y, float[{count},2,4] n) "
            f'{{ y, n = {op}<hidden_size=4, direction="{direction}"{extra}>(x, w, r, b, , h) }}',
            {"x": (6, 2, 5), "h": (count, 2, 4)},
            w=signal((count, gates * 4, 5), 1),
            r=signal((count, gates * 4, 4), 2),
            b=signal((count, gates * 8), 3),
        )
