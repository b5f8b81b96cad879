"""One-line networks whose weights arrive with the signal."""

from __future__ import annotations

from tests.plan.cases import case

case(
    "arriving_conv",
    "(float[1,4,9,11] x, float[6,4,3,3] w, float[6] b) => (float[1,6,9,11] y) "
    "{ t = Conv<pads=[1,1,1,1]>(x, w, b) y = Relu(t) }",
    {"x": (1, 4, 9, 11), "w": (6, 4, 3, 3), "b": (6,)},
)
case(
    "arriving_conv_narrow",
    "(float[1,40,5] x, float[34,20,3] w) => (float[1,34,3] y) { y = Conv<group=2>(x, w) }",
    {"x": (1, 40, 5), "w": (34, 20, 3)},
)
case(
    "arriving_conv_depthwise",
    "(float[1,4,9,11] x, float[4,1,3,3] w, float[4] b) => (float[1,4,7,9] y) { y = Conv<group=4>(x, w, b) }",
    {"x": (1, 4, 9, 11), "w": (4, 1, 3, 3), "b": (4,)},
)
case(
    "arriving_conv_transpose",
    "(float[1,4,5,6] x, float[4,3,3,3] w, float[6] b) => (float[1,6,H,W] y) "
    "{ y = ConvTranspose<group=2, strides=[2,3], pads=[1,0,1,2], dilations=[2,1]>(x, w, b) }",
    {"x": (1, 4, 5, 6), "w": (4, 3, 3, 3), "b": (6,)},
)
for transposed in (0, 1):
    case(
        f"arriving_gemm_{transposed}",
        f"(float[4,5] x, float[{'7,5' if transposed else '5,7'}] w, float[1,7] c) => (float[4,7] y) "
        f"{{ y = Gemm<alpha=0.5, beta=2.0, transB={transposed}>(x, w, c) }}",
        {"x": (4, 5), "w": (7, 5) if transposed else (5, 7), "c": (1, 7)},
    )
for op, gates in (("LSTM", 4), ("GRU", 3)):
    case(
        f"arriving_{op}",
        f"(float[6,2,5] x, float[2,{gates * 4},5] w, float[2,{gates * 4},4] r, float[2,{gates * 8}] b) "
        f'=> (float[6,2,2,4] y) {{ y = {op}<hidden_size=4, direction="bidirectional">(x, w, r, b) }}',
        {"x": (6, 2, 5), "w": (2, gates * 4, 5), "r": (2, gates * 4, 4), "b": (2, gates * 8)},
    )
