"""One-line networks: views, movement, element-wise operators, reductions and products."""

from __future__ import annotations

import numpy as np

from tests.plan.cases import X, case, ints
from tests.plan.networks import signal

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
for after in ("Relu(t)", "Clip(t, l, h)", "PRelu(t, s)", "Elu<alpha=0.5>(t)"):
    case(
        f"matmul_left_constant_{after.split('(')[0].split('<')[0]}",
        f"(float[5,3] x) => (float[7,3] y) {{ t = MatMul(w, x) y = {after} }}",
        {"x": (5, 3)},
        w=signal((7, 5), 1),
        l=np.array(-0.5, np.float32),
        h=np.array(0.7, np.float32),
        s=signal((3,), 3),
    )
case(
    "matmul_runtime_prelu",
    "(float[2,3,5] x, float[2,5,4] z) => (float[2,3,4] y) { t = MatMul(x, z) y = PRelu(t, s) }",
    X | {"z": (2, 5, 4)},
    s=signal((4,), 3),
)
case(
    "gemm_full_bias_relu",
    "(float[3,5] x) => (float[3,7] y) { t = Gemm(x, w, b) y = Relu(t) }",
    {"x": (3, 5)},
    w=signal((5, 7), 1),
    b=signal((3, 7), 2),
)
VECTOR = {"x": (5,)}
case("matmul_vectors", "(float[5] x, float[5] z) => (float y) { y = MatMul(x, z) }", VECTOR | {"z": (5,)})
case("matmul_vector_constant", "(float[5] x) => (float y) { y = MatMul(x, w) }", VECTOR, w=signal((5,), 1))
case("matmul_constant_vector", "(float[5] x) => (float[7] y) { y = MatMul(w, x) }", VECTOR, w=signal((7, 5), 1))
case("matmul_vector_matrix", "(float[5] x) => (float[7] y) { y = MatMul(x, w) }", VECTOR, w=signal((5, 7), 1))
case(
    "matmul_vector_batch",
    "(float[5] x, float[2,5,4] z) => (float[2,4] y) { y = MatMul(x, z) }",
    VECTOR | {"z": (2, 5, 4)},
)
case(
    "matmul_batch_vector",
    "(float[2,3,5] x, float[5] z) => (float[2,3] y) { y = MatMul(x, z) }",
    X | {"z": (5,)},
)
for first, last, step, count in ((-100, -100, -1, 1), (100, -100, -1, 5), (-5, -100, -2, 1), (100, 0, -3, 2)):
    case(
        f"slice_{first}_{last}_{step}",
        f"(float[2,3,5] x) => (float[2,3,{count}] y) {{ y = Slice(x, b, e, a, s) }}",
        X,
        b=ints(first),
        e=ints(last),
        a=ints(-1),
        s=ints(step),
    )
for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceL1", "ReduceL2", "ReduceSumSquare"):
    case(
        f"{op}_of_nothing",
        f"(float[2,3,5] x) => (float[2,3,5] y) {{ y = {op}<noop_with_empty_axes=1>(x) }}",
        X,
        18,
    )
for name, axes in (("absent", ""), ("empty", ", e")):
    case(
        f"log_sum_of_nothing_{name}",
        f"(float[2,3,5] x) => (float[2,3,5] y) {{ p = Exp(x) y = ReduceLogSum<noop_with_empty_axes=1>(p{axes}) }}",
        X,
        18,
        **({"e": ints()} if axes else {}),
    )
case("log_sum", "(float[2,3,5] x) => (float[2,5] y) { p = Exp(x) y = ReduceLogSum<axes=[1], keepdims=0>(p) }", X)
for op in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare", "ReduceL1", "ReduceL2"):
    case(f"{op}_of_pairs", f"(float[3,9,2] x) => (float[3,9,1] y) {{ y = {op}<axes=[-1]>(x) }}", {"x": (3, 9, 2)})
    case(
        f"{op}_of_rows", f"(float[3,2,9] x) => (float[3,9] y) {{ y = {op}<axes=[1], keepdims=0>(x) }}", {"x": (3, 2, 9)}
    )
