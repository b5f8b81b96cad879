"""Every rule against onnxruntime, on both back ends: one small network a case."""

from __future__ import annotations

import numpy as np
import pytest

from tests.plan.networks import assert_matches, compile_model, parse, signal
from wavetile.engine.errors import UnsupportedError

CASES: dict[str, tuple[str, dict[str, tuple[int, ...]], dict[str, np.ndarray], int]] = {}


def case(name: str, body: str, inputs: dict[str, tuple[int, ...]], opset: int = 17, **constants: np.ndarray) -> None:
    CASES[name] = (body, inputs, constants, opset)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


X = {"x": (2, 3, 5)}
case("transpose", "(float[2,3,5] x) => (float[5,2,3] y) { y = Transpose<perm=[2,0,1]>(x) }", X)
case("transpose_default", "(float[2,3,5] x) => (float[5,3,2] y) { y = Transpose(x) }", X)
case(
    "reshape_of_transpose",
    "(float[2,3,5] x) => (float[15,2] y) { t = Transpose<perm=[1,2,0]>(x) y = Reshape(t, s) }",
    X,
    s=ints(15, 2),
)
case(
    "slice_negative_step",
    "(float[2,3,5] x) => (float[2,3,3] y) { y = Slice(x, b, e, a, s) }",
    X,
    b=ints(-1),
    e=ints(-100),
    a=ints(2),
    s=ints(-2),
)
case(
    "slice_opset9", "(float[2,3,5] x) => (float[2,2,3] y) { y = Slice<starts=[1,1], ends=[3,4], axes=[1,2]>(x) }", X, 9
)
case("split", "(float[2,3,5] x) => (float[2,3,2] a, float[2,3,3] b) { a, b = Split<axis=2>(x, s) }", X, s=ints(2, 3))
case(
    "squeeze_unsqueeze",
    "(float[2,1,5] x) => (float[2,5,1] y) { t = Squeeze(x, a) y = Unsqueeze(t, b) }",
    {"x": (2, 1, 5)},
    a=ints(1),
    b=ints(2),
)
case(
    "expand_add",
    "(float[2,1,5] x) => (float[2,3,5] y) { t = Expand(x, s) y = Add(t, t) }",
    {"x": (2, 1, 5)},
    s=ints(2, 3, 5),
)
case("gather_scalar", "(float[2,3,5] x) => (float[2,5] y) { y = Gather<axis=1>(x, i) }", X, i=np.array(-1, np.int64))
case("gather_sequence", "(float[2,3,5] x) => (float[2,3,2] y) { y = Gather<axis=2>(x, i) }", X, i=ints(4, 2))
case(
    "gather_unfolding",
    "(float[2,3,5] x) => (float[2,3,3,3] y) { y = Gather<axis=2>(x, i) }",
    X,
    i=np.add.outer(np.arange(3), np.arange(3)),
)
case(
    "gather_irregular",
    "(float[2,3,5] x) => (float[2,3,2,2] y) { y = Gather<axis=2>(x, i) }",
    X,
    i=np.array([[4, 0], [1, 1]], np.int64),
)
case("concat", "(float[2,3,5] x) => (float[2,6,5] y) { r = Relu(x) n = Neg(x) y = Concat<axis=1>(r, n) }", X)
case(
    "concat_twice_read",
    "(float[2,3,5] x) => (float[2,6,5] y, float[2,3,5] z) "
    "{ r = Relu(x) n = Neg(x) y = Concat<axis=1>(r, n) z = Mul(r, n) }",
    X,
)
case("concat_of_same", "(float[2,3,5] x) => (float[2,6,5] y) { r = Relu(x) y = Concat<axis=1>(r, r) }", X)
case("tile", "(float[2,3,5] x) => (float[2,6,15] y) { y = Tile(x, r) }", X, r=ints(1, 2, 3))
case(
    "pad_constant",
    "(float[2,3,5] x) => (float[3,3,8] y) { y = Pad(x, p, v) }",
    X,
    p=ints(1, 0, 2, 0, 0, 1),
    v=np.array(1.5, np.float32),
)
case("pad_crop", "(float[2,3,5] x) => (float[2,3,4] y) { y = Pad(x, p) }", X, p=ints(0, 0, -2, 0, 0, 1))
for mode in ("reflect", "edge", "wrap"):
    case(
        f"pad_{mode}",
        f'(float[2,3,5] x) => (float[2,5,9] y) {{ y = Pad<mode="{mode}">(x, p) }}',
        X,
        19 if mode == "wrap" else 17,
        p=ints(0, 1, 2, 0, 1, 2),
    )
case(
    "scatter_slice",
    "(float[2,3,5] x, float[2,1,5] u) => (float[2,3,5] y) { y = ScatterND(x, i, u) }",
    X | {"u": (2, 1, 5)},
    i=np.array([[[0, 1]], [[1, 1]]], np.int64),
)
case(
    "scatter_chain",
    "(float[4,5] x, float[1,5] u, float[1,5] v) => (float[4,5] z) { y = ScatterND(x, i, u) z = ScatterND(y, j, v) }",
    {"x": (4, 5), "u": (1, 5), "v": (1, 5)},
    i=np.array([[1]], np.int64),
    j=np.array([[3]], np.int64),
)
case(
    "scatter_then_read",
    "(float[4,5] x, float[1,5] u, float[1,5] v) => (float[4,5] z, float[4,5] w) "
    "{ y = ScatterND(x, i, u) z = ScatterND(y, j, v) w = Neg(y) }",
    {"x": (4, 5), "u": (1, 5), "v": (1, 5)},
    i=np.array([[1]], np.int64),
    j=np.array([[3]], np.int64),
)
for op in (
    "Relu",
    "Sigmoid",
    "Tanh",
    "Neg",
    "Abs",
    "Exp",
    "Floor",
    "Ceil",
    "Round",
    "Erf",
    "Softplus",
    "Sign",
    "Sin",
    "Cos",
    "Softsign",
    "Reciprocal",
):
    case(op, f"(float[2,3,5] x) => (float[2,3,5] y) {{ y = {op}(x) }}", X)
for op in ("LeakyRelu<alpha=0.2>", "Elu<alpha=1.5>", "Selu", "HardSigmoid<alpha=0.3,beta=0.4>", "HardSwish"):
    case(op.split("<")[0], f"(float[2,3,5] x) => (float[2,3,5] y) {{ y = {op}(x) }}", X)
case("sqrt_log", "(float[2,3,5] x) => (float[2,3,5] y) { a = Mul(x, x) b = Sqrt(a) y = Log(b) }", X)
case(
    "clip",
    "(float[2,3,5] x) => (float[2,3,5] y) { y = Clip(x, l, h) }",
    X,
    l=np.array(-0.5, np.float32),
    h=np.array(0.7, np.float32),
)
case("clip_opset9", "(float[2,3,5] x) => (float[2,3,5] y) { y = Clip<min=-0.5, max=0.7>(x) }", X, 9)
for op in ("Add", "Sub", "Mul", "Div", "Max", "Min"):
    case(
        f"{op}_broadcast", f"(float[2,3,5] x, float[3,1] b) => (float[2,3,5] y) {{ y = {op}(x, b) }}", X | {"b": (3, 1)}
    )
for exponent in (2.0, 0.5, 3.0, -1.5):
    case(
        f"pow_{exponent}",
        "(float[2,3,5] x) => (float[2,3,5] y) { a = Abs(x) y = Pow(a, e) }",
        X,
        e=np.array(exponent, np.float32),
    )
case("prelu", "(float[2,3,5] x) => (float[2,3,5] y) { y = PRelu(x, s) }", X, s=signal((3, 1), 3))
case(
    "where",
    "(float[2,3,5] x, float[2,3,5] b) => (float[2,3,5] y) { c = Greater(x, b) y = Where(c, x, z) }",
    X | {"b": (2, 3, 5)},
    z=np.array(0.25, np.float32),
)
case(
    "batch_norm",
    "(float[2,3,5] x) => (float[2,3,5] y) { y = BatchNormalization(x, s, b, m, v) }",
    X,
    s=signal((3,), 1),
    b=signal((3,), 2),
    m=signal((3,), 3),
    v=np.abs(signal((3,), 4)) + 0.1,
)
case("ReduceSum", "(float[2,3,5] x) => (float[2,1,5] y) { y = ReduceSum(x, a) }", X, a=ints(1))
for op in (
    "ReduceMean",
    "ReduceMax",
    "ReduceMin",
    "ReduceProd",
    "ReduceSumSquare",
    "ReduceL1",
    "ReduceL2",
):
    case(op, f"(float[2,3,5] x) => (float[2,5] y) {{ y = {op}<axes=[1], keepdims=0>(x) }}", X)
case("reduce_all", "(float[2,3,5] x) => (float[1,1,1] y) { y = ReduceMean(x) }", X)
case(
    "reduce_outer_of_transpose",
    "(float[2,3,5] x) => (float[3] y) { t = Transpose<perm=[2,1,0]>(x) y = ReduceMean<axes=[0,2], keepdims=0>(t) }",
    X,
)
case("softmax_last", "(float[2,3,5] x) => (float[2,3,5] y) { y = Softmax(x) }", X)
case("softmax_middle", "(float[2,3,5] x) => (float[2,3,5] y) { y = LogSoftmax<axis=1>(x) }", X)
case("softmax_opset11", "(float[2,3,5] x) => (float[2,3,5] y) { y = Softmax<axis=1>(x) }", X, 11)
case("global_average", "(float[1,3,4,5] x) => (float[1,3,1,1] y) { y = GlobalAveragePool(x) }", {"x": (1, 3, 4, 5)})
case("matmul_constant", "(float[2,3,5] x) => (float[2,3,7] y) { y = MatMul(x, w) }", X, w=signal((5, 7), 1))
case(
    "matmul_bias_relu",
    "(float[2,3,5] x) => (float[2,3,7] y) { t = MatMul(x, w) u = Add(t, b) y = Relu(u) }",
    X,
    w=signal((5, 7), 1),
    b=signal((7,), 2),
)
case(
    "matmul_left_constant", "(float[5,3] x) => (float[7,3] y) { y = MatMul(w, x) }", {"x": (5, 3)}, w=signal((7, 5), 1)
)
case(
    "matmul_runtime", "(float[2,3,5] x, float[2,5,4] z) => (float[2,3,4] y) { y = MatMul(x, z) }", X | {"z": (2, 5, 4)}
)
case(
    "matmul_transposed",
    "(float[2,3,5] x, float[2,4,5] z) => (float[2,3,4] y) { t = Transpose<perm=[0,2,1]>(z) y = MatMul(x, t) }",
    X | {"z": (2, 4, 5)},
)
case("matmul_batched_constant", "(float[2,3,5] x) => (float[2,3,4] y) { y = MatMul(x, w) }", X, w=signal((2, 5, 4), 1))
case(
    "gemm",
    "(float[3,5] x) => (float[3,7] y) { y = Gemm<alpha=0.5, beta=2.0, transB=1>(x, w, b) }",
    {"x": (3, 5)},
    w=signal((7, 5), 1),
    b=signal((7,), 2),
)
case(
    "gemm_full_bias",
    "(float[3,5] x) => (float[3,7] y) { y = Gemm(x, w, b) }",
    {"x": (3, 5)},
    w=signal((5, 7), 1),
    b=signal((3, 7), 2),
)
IMAGE = {"x": (1, 4, 9, 11)}
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


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("name", list(CASES))
def test_rule_matches_onnxruntime(name: str, backend: str) -> None:
    body, inputs, constants, opset = CASES[name]
    feeds = {key: signal(shape, seed) for seed, (key, shape) in enumerate(inputs.items())}
    assert_matches(parse(body, opset=opset, constants=constants), feeds, backend)


REFUSED = {
    "scatter_irregular": (
        "(float[6,5] x, float[3,5] u) => (float[6,5] y) { y = ScatterND(x, i, u) }",
        {"x": (6, 5), "u": (3, 5)},
        {"i": np.array([[0], [1], [5]], np.int64)},
        "regular box",
    ),
    "gru_activation": (
        '(float[6,2,5] x) => (float[6,1,2,4] y) { y = GRU<hidden_size=4, activations=["Relu", "Tanh"]>(x, w, r) }',
        {"x": (6, 2, 5)},
        {"w": signal((1, 12, 5)), "r": signal((1, 12, 4))},
        "activations",
    ),
    "max_pool_indices": (
        (
            "(float[1,1,4,4] x) => (float[1,1,2,2] y, int64[1,1,2,2] i) "
            "{ y, i = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x) }"
        ),
        {"x": (1, 1, 4, 4)},
        {},
        "int64",
    ),
    "no_rule": ("(float[2,3] x) => (float[2,3] y) { y = Hardmax(x) }", {"x": (2, 3)}, {}, "no rule"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_is_not_there_is_refused_by_name(name: str) -> None:
    body, inputs, constants, words = REFUSED[name]
    with pytest.raises(UnsupportedError, match=words):
        compile_model(parse(body, constants=constants), {key: signal(shape) for key, shape in inputs.items()})
