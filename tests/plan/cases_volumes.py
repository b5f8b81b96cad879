"""One-line networks: windows in three dimensions, and windows of one and two whose padding is left to the operator."""

from __future__ import annotations

from tests.plan.cases import case
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
