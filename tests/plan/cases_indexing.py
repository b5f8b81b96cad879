"""One-line networks that read and write at positions, constant or arriving, and that order and accumulate."""

from __future__ import annotations

import numpy as np

from tests.plan.cases import X, case, ints

POSITIONS = "r = Mul(f, g) c = Clip(r, low, high) i = Cast<to=7>(c)"
"""Positions -2 to 1 from a signal f, cut off towards zero."""
LIMITS = {"g": np.array(2, np.float32), "low": np.array(-2, np.float32), "high": np.array(1, np.float32)}

for axis, shape in ((0, "4,2,3,5"), (1, "2,4,2,5"), (2, "2,3,4,2")):
    case(
        f"gather_arriving_{axis}",
        f"(float[2,3,5] x, float[4,2] f) => (float[{shape}] y) {{ {POSITIONS} y = Gather<axis={axis}>(x, i) }}",
        X | {"f": (4, 2)},
        **LIMITS,
    )
case(
    "gather_of_transposed",
    f"(float[2,3,5] x, float[4] f) => (float[5,4,2] y) "
    f"{{ {POSITIONS} t = Transpose<perm=[2,1,0]>(x) y = Gather<axis=1>(t, i) }}",
    X | {"f": (4,)},
    **LIMITS,
)
case(
    "gather_integers",
    f"(float[2,3,5] x, float[4] f) => (int64[2,4,5] y) {{ {POSITIONS} n = Cast<to=7>(x) y = Gather<axis=1>(n, i) }}",
    X | {"f": (4,)},
    **LIMITS,
)
case(
    "gather_doubles_irregular",
    "(float[2,3,5] x) => (double[2,4,5] y) { n = Cast<to=11>(x) y = Gather<axis=1>(n, i) }",
    X,
    i=ints(2, 0, 0, -2),
)
for axis in (0, 1, 2):
    shape = [2, 2, 4]
    shape[axis] = 7
    text = ",".join(map(str, shape))
    case(
        f"gather_elements_{axis}",
        f"(float[2,3,5] x, float[{text}] f) => (float[{text}] y) "
        f"{{ {POSITIONS} y = GatherElements<axis={axis}>(x, i) }}",
        X | {"f": tuple(shape)},
        **LIMITS,
    )
case(
    "gather_elements_constant",
    "(float[2,3,5] x) => (float[1,2,5] y) { y = GatherElements<axis=1>(x, i) }",
    X,
    i=np.array([[[0, -1, 2, 1, 0], [2, 2, -3, 1, 1]]]),
)
for batch, indices, shape in ((0, "6,2", "6,5"), (0, "6,3", "6"), (1, "2,6,1", "2,6,5"), (1, "2,6,2", "2,6")):
    case(
        f"gather_nd_{batch}_{shape.replace(',', '')}",
        f"(float[2,3,5] x, float[{indices}] f) => (float[{shape}] y) "
        f"{{ {POSITIONS} y = GatherND<batch_dims={batch}>(x, i) }}",
        X | {"f": tuple(map(int, indices.split(",")))},
        **LIMITS,
    )
for reduction in ("none", "add", "mul", "max", "min"):
    # Distinct positions for "none": which of several updates of one element stays is not defined.
    case(
        f"scatter_elements_{reduction}",
        f"(float[2,3,5] x, float[2,2,4] u) => (float[2,3,5] y) "
        f'{{ z = Neg(x) y = ScatterElements<axis=1, reduction="{reduction}">(z, i, u) }}',
        X | {"u": (2, 2, 4)},
        18,
        i=np.array([[[0, 1, 2, 0], [1, -1, 0, 2]], [[2, 2, 0, 1], [0, 0, -2, 0]]])
        if reduction == "none"
        else np.array([[[0, 1, 2, 0], [0, -1, 2, 2]], [[2, 2, 0, 1], [2, 2, -2, 1]]]),
    )
    case(
        f"scatter_nd_{reduction}",
        f"(float[6,5] x, float[4,5] u) => (float[6,5] y, float[6,5] w) "
        f'{{ z = Neg(x) y = ScatterND<reduction="{reduction}">(z, i, u) w = Neg(z) }}',
        {"x": (6, 5), "u": (4, 5)},
        18,
        i=np.array([[5], [0], [-2], [3]] if reduction == "none" else [[5], [0], [-1], [0]]),
    )
    case(
        f"scatter_arriving_{reduction}",
        f"(float[2,3,5] x, float[4,2] f, float[4,5] u) => (float[2,3,5] y) "
        f"{{ {POSITIONS} a = Abs(i) m = Mul(a, zero) p = Add(m, where) "
        f'y = ScatterND<reduction="{reduction}">(x, p, u) }}',
        X | {"f": (4, 2), "u": (4, 5)},
        18,
        zero=ints(0),
        where=np.array([[0, 2], [1, -3], [-1, 1], [0, 0]]),
        **LIMITS,
    )
case(
    "scatter_integers",
    "(float[4,3] x, float[2,3] u) => (int32[4,3] y) "
    '{ n = Cast<to=6>(x) v = Cast<to=6>(u) y = ScatterElements<reduction="add">(n, i, v) }',
    {"x": (4, 3), "u": (2, 3)},
    18,
    i=np.array([[0, 1, 2], [0, 3, 2]]),
)
for op in ("ArgMax", "ArgMin"):
    for axis, keep, last in ((0, 1, 0), (1, 0, 1), (-1, 1, 1)):
        kept = [2, 3, 5]
        kept[axis : axis + 1 or None] = [1] if keep else []
        shape = ",".join(map(str, kept))
        case(
            f"{op}_{axis}_{keep}_{last}",
            f"(float[2,3,5] x) => (int64[{shape}] y) {{ r = Round(x) "
            f"y = {op}<axis={axis}, keepdims={keep}, select_last_index={last}>(r) }}",
            X,
        )
for axis, largest in ((0, 1), (1, 0), (2, 1)):
    shape = [4, 6, 5]
    shape[axis] = 3
    text = ",".join(map(str, shape))
    case(
        f"top_k_{axis}_{largest}",
        f"(float[4,6,5] x) => (float[{text}] y, int64[{text}] i) "
        f"{{ r = Round(x) y, i = TopK<axis={axis}, largest={largest}>(r, k) }}",
        {"x": (4, 6, 5)},
        k=ints(3),
    )
case(
    "top_k_of_integers",
    "(float[4,6] x) => (int64[4,2] y, int64[4,2] i) { n = Cast<to=7>(x) y, i = TopK(n, k) }",
    {"x": (4, 6)},
    k=ints(2),
)
for exclusive in (0, 1):
    for reverse in (0, 1):
        case(
            f"cum_sum_{exclusive}_{reverse}",
            "(float[2,3,5] x) => (float[2,3,5] y, int64[2,3,5] n, double[2,3,5] d) "
            f"{{ y = CumSum<exclusive={exclusive}, reverse={reverse}>(x, a) i = Cast<to=7>(x) e = Cast<to=11>(x) "
            f"n = CumSum<exclusive={exclusive}, reverse={reverse}>(i, b) "
            f"d = CumSum<exclusive={exclusive}, reverse={reverse}>(e, c) }}",
            X,
            a=np.array(2),
            b=np.array(-2),
            c=np.array(0),
        )
for upper in (0, 1):
    case(
        f"trilu_{upper}",
        f"(float[2,3,5] x) => (float[2,3,5] y, int64[2,3,5] n) "
        f"{{ y = Trilu<upper={upper}>(x, k) i = Cast<to=7>(x) n = Trilu<upper={upper}>(i) }}",
        X,
        k=np.array(1),
    )
for axis, shape in ((0, "4,2,3"), (1, "2,4,3"), (-1, "2,3,4")):
    case(
        f"one_hot_{axis}",
        f"(float[2,3] f, float[2] v) => (float[{shape}] y) "
        f"{{ r = Mul(f, g) i = Cast<to=7>(r) y = OneHot<axis={axis}>(i, d, v) }}",
        {"f": (2, 3), "v": (2,)},
        g=np.array(3, np.float32),
        d=ints(4),
    )
case("eye_like", "(float[3,5] x) => (float[3,5] y) { e = EyeLike<k=1>(x) y = Add(e, x) }", {"x": (3, 5)})
for time, batch, shape in ((0, 1, "5,4,3"), (1, 0, "4,5,3")):
    case(
        f"reverse_sequence_{time}",
        f"(float[{shape}] x, float[4] f) => (float[{shape}] y) {{ a = Abs(f) b = Add(a, one) c = Min(b, five) "
        f"n = Cast<to=7>(c) y = ReverseSequence<time_axis={time}, batch_axis={batch}>(x, n) }}",
        {"x": tuple(map(int, shape.split(","))), "f": (4,)},
        one=np.array(1, np.float32),
        five=np.array(5, np.float32),
    )
for opset, axis in ((13, 1), (11, 1)):
    case(
        f"hardmax_{opset}",
        f"(float[2,3,5] x) => (float[2,3,5] y) {{ r = Round(x) y = Hardmax<axis={axis}>(r) }}",
        X,
        opset,
    )
for p in (1, 2):
    case(
        f"lp_normalization_{p}",
        f"(float[2,3,5] x) => (float[2,3,5] y) {{ y = LpNormalization<axis=1, p={p}>(x) }}",
        X,
    )
case("thresholded_relu", "(float[2,3,5] x) => (float[2,3,5] y) { y = ThresholdedRelu<alpha=0.4>(x) }", X)
case("shrink", "(float[2,3,5] x) => (float[2,3,5] y) { y = Shrink<bias=0.2, lambd=0.6>(x) }", X)
case(
    "pad_arriving_value",
    "(float[2,3,5] x, float v) => (float[3,3,8] y) { y = Pad(x, p, v) }",
    X | {"v": ()},
    p=ints(1, 0, 2, 0, 0, 1),
)
case(
    "pad_integers",
    "(float[2,3,5] x) => (int64[3,3,8] y) { n = Cast<to=7>(x) y = Pad(n, p, v) }",
    X,
    p=ints(1, 0, 2, 0, 0, 1),
    v=np.array((1 << 60) + 1),
)
