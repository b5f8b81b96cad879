"""Unsigned integers of 64 bits, half of them above 2^63: every operator that takes them is right, or refuses them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnx.defs
import pytest
from onnx import parser
from onnx.helper import make_tensor_value_info, np_dtype_to_tensor_dtype
from onnx.reference import ReferenceEvaluator

from wavetile.engine.errors import UnsupportedError
from wavetile.engine.onnx_backend import CpuBackend, ReferenceBackend
from wavetile.engine.plan import OPERATORS

HIGH = 1 << 63
X = np.array([[3, HIGH + 5, 0, (1 << 64) - 1], [HIGH, 7, HIGH - 1, HIGH + 5], [1, 2, HIGH + 4096, 9]], np.uint64)
Y = np.array([[2, HIGH + 5, 1, HIGH], [7, HIGH + 9, 3, 5], [HIGH + 1, (1 << 64) - 1, 10, 9]], np.uint64)
SMALL = np.array([[3, 1, 0, 63], [1, 7, 64, 2], [1, 2, 62, 9]], np.uint64)
IMAGE = X[None, :, :, None].repeat(2, 1).reshape(1, 2, 3, 4)
MEAN = np.array([[HIGH, 2, 0, 4], [HIGH, 2, 1, 4], [HIGH + 6, 3, 1, 4]], np.uint64)


class Case(NamedTuple):
    nodes: str
    inputs: tuple[np.ndarray, ...] = (X,)
    outputs: int = 1
    expected: Callable[..., np.ndarray] | None = None
    """Where ONNX's own evaluator computes in float64 or int64: what NumPy says."""
    opset: int = 18


def i64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def put(a: np.ndarray, at: np.ndarray, updates: np.ndarray) -> np.ndarray:
    result = a.copy()
    np.put_along_axis(result, at, updates, 1)
    return result


def twice(a: np.ndarray, _: np.ndarray) -> np.ndarray:
    return a.repeat(2, 2).repeat(2, 3)


AT = i64(3, 1, 0).reshape(3, 1)
TWO = np.array([1, 1, 2, 2], np.float32)
PLACES = i64(0, 1, 2, 2).reshape(2, 2)


def root_of_squares(a: np.ndarray, axes: np.ndarray) -> np.ndarray:
    return np.sqrt((a * a).sum(*axes)).astype(np.uint64)


CASES = {
    "Abs": Case("y = Abs(a)"),
    "Add": Case("y = Add(a, b)", (X, Y)),
    "ArgMax": Case("y = ArgMax<axis=1>(a)"),
    "ArgMin": Case("y = ArgMin<axis=0>(a)"),
    "BitCast": Case("y = BitCast<to=7>(a)", expected=lambda a: a.view(np.int64), opset=26),
    "BitShift": Case('y = BitShift<direction="RIGHT">(a, b)', (X, SMALL), expected=np.right_shift),
    "BitwiseAnd": Case("y = BitwiseAnd(a, b)", (X, Y)),
    "BitwiseNot": Case("y = BitwiseNot(a)"),
    "BitwiseOr": Case("y = BitwiseOr(a, b)", (X, Y)),
    "BitwiseXor": Case("y = BitwiseXor(a, b)", (X, Y)),
    "Cast": Case("y = Cast<to=1>(a)"),
    "Cast to double": Case("y = Cast<to=11>(a)"),
    "Cast to half": Case("y = Cast<to=10>(a)"),
    "Cast to int8": Case("y = Cast<to=3>(a)"),
    "Cast to bool": Case("y = Cast<to=9>(a)"),
    "Cast from float": Case("y = Cast<to=13>(a)", (np.array([0.5, 2.9, 2.0**63, 1.8e19], np.float32),)),
    "Cast from double": Case("y = Cast<to=13>(a)", (np.array([0.5, 2.0**53, 2.0**63 + 2048, 2.0**64 - 2048]),)),
    "Cast from int64": Case("y = Cast<to=13>(a)", (i64(3, -1, 1 << 62),)),
    "CastLike": Case("y = CastLike(a, b)", (np.array([0.5, 2.0**63], np.float32), Y)),
    "Clip": Case("y = Clip(a, b, c)", (X, np.array(4, np.uint64), np.array(HIGH + 5, np.uint64))),
    "Col2Im": Case("y = Col2Im(a, b, c)", (X[None, :, :2].copy().reshape(1, 6, 1)[:, :4], i64(2, 2), i64(2, 2))),
    "Compress": Case("y = Compress<axis=1>(a, b)", (X, np.array([False, True, False, True]))),
    "Concat": Case("y = Concat<axis=1>(a, b)", (X, Y)),
    "CumProd": Case("y = CumProd(a, b)", (X, i64(1)[0]), opset=26),
    "CumSum": Case("y = CumSum(a, b)", (X, i64(1)[0])),
    "DepthToSpace": Case("y = DepthToSpace<blocksize=2>(a)", (np.tile(X, 2).reshape(1, 4, 2, 3),)),
    "Div": Case("y = Div(a, b)", (X, Y), expected=lambda a, b: a // b),
    "Einsum": Case('y = Einsum<equation="ij,kj->ik">(a, b)', (X, Y)),
    "Equal": Case("y = Equal(a, b)", (X, Y)),
    "Expand": Case("y = Expand(a, b)", (X, i64(2, 3, 4))),
    "EyeLike": Case("y = EyeLike(a)"),
    "Flatten": Case("y = Flatten(a)"),
    "Gather": Case("y = Gather<axis=1>(a, b)", (X, i64(3, 1))),
    "GatherElements": Case("y = GatherElements<axis=1>(a, b)", (X, AT)),
    "GatherND": Case("y = GatherND(a, b)", (X, PLACES)),
    "Gemm": Case("y = Gemm<transB=1>(a, b)", (X, Y), expected=lambda a, b: a @ b.T),
    "Greater": Case("y = Greater(a, b)", (X, Y)),
    "GreaterOrEqual": Case("y = GreaterOrEqual(a, b)", (X, Y)),
    "GridSample": Case('y = GridSample<mode="nearest">(a, b)', (IMAGE, np.zeros((1, 1, 1, 2), np.float32)), opset=16),
    "Identity": Case("y = Identity(a)"),
    "Less": Case("y = Less(a, b)", (X, Y)),
    "LessOrEqual": Case("y = LessOrEqual(a, b)", (X, Y)),
    "MatMul": Case("y = MatMul(a, b)", (X, Y.T.copy())),
    "Max": Case("y = Max(a, b)", (X, Y)),
    "Min": Case("y = Min(a, b)", (X, Y)),
    "Mod": Case("y = Mod(a, b)", (X, Y)),
    "Mul": Case("y = Mul(a, b)", (X, Y)),
    "NonZero": Case("y = NonZero(a)"),
    "OneHot": Case("y = OneHot(a, b, c)", (SMALL[0], i64(4)[0], X[0, :2])),
    "OneHot of high indices": Case("y = OneHot(a, b, c)", (X[0], i64(4)[0], X[0, :2])),
    "PRelu": Case("y = PRelu(a, b)", (X, Y), expected=lambda a, b: a),
    "Pad": Case("y = Pad(a, b, c)", (X, i64(0, 1, 0, 1), np.array(HIGH + 3, np.uint64))),
    "Pow": Case("y = Pow(a, b)", (np.array([1.0, 0.5, 3.0, 1.0], np.float32), X[0])),
    "Pow of integers": Case(
        "y = Pow(a, b)", (i64(1, -1, 3, 2), SMALL[0]), expected=lambda a, b: a ** b.astype(np.int64)
    ),
    "ReduceL1": Case("y = ReduceL1<keepdims=0>(a, b)", (X, i64(1)), expected=lambda a, _: a.sum(1)),
    "ReduceL2": Case(
        "y = ReduceL2<keepdims=0>(a, b)",
        (SMALL, i64(1)),
        expected=lambda a, _: np.sqrt((a * a).sum(1)).astype(np.uint64),
    ),
    "ReduceMax": Case("y = ReduceMax<keepdims=0>(a, b)", (X, i64(1))),
    "ReduceMean": Case("y = ReduceMean<keepdims=0>(a, b)", (MEAN, i64(1)), expected=lambda a, _: a.sum(1) // 4),
    "ReduceMin": Case("y = ReduceMin<keepdims=0>(a, b)", (X, i64(0))),
    "ReduceProd": Case("y = ReduceProd<keepdims=0>(a, b)", (X, i64(1))),
    "ReduceSum": Case("y = ReduceSum<keepdims=0>(a, b)", (X, i64(1))),
    "ReduceSumSquare": Case("y = ReduceSumSquare<keepdims=0>(a, b)", (X, i64(1))),
    "Reshape": Case("y = Reshape(a, b)", (X, i64(2, 6))),
    "Resize": Case('y = Resize<mode="nearest">(a, , , b)', (IMAGE, i64(1, 2, 6, 8)), expected=twice),
    "ReverseSequence": Case("y = ReverseSequence<batch_axis=0, time_axis=1>(a, b)", (X, i64(1, 2, 3))),
    "Scatter": Case("y = Scatter<axis=1>(a, b, c)", (X, AT, Y[:, :1].copy()), opset=9, expected=put),
    "ScatterElements": Case('y = ScatterElements<axis=1, reduction="max">(a, b, c)', (X, AT, Y[:, 1:2].copy())),
    "ScatterND": Case('y = ScatterND<reduction="min">(a, b, c)', (X, PLACES, Y[0, :2])),
    "ScatterND that adds": Case('y = ScatterND<reduction="add">(a, b, c)', (X, PLACES, Y[0, :2])),
    "Shrink": Case("y = Shrink<bias=2.0, lambd=4.0>(a)", (SMALL,), expected=lambda a: np.where(a > 4, a - 2, 0)),
    "Sign": Case("y = Sign(a)"),
    "Slice": Case("y = Slice(a, b, c)", (X, i64(1), i64(3))),
    "SpaceToDepth": Case("y = SpaceToDepth<blocksize=2>(a)", (np.tile(X, 2).reshape(1, 2, 2, 6),)),
    "Split": Case("y, z = Split<axis=1, num_outputs=2>(a)", outputs=2),
    "Squeeze": Case("y = Squeeze(a, b)", (X[:, None], i64(1))),
    "Sub": Case("y = Sub(a, b)", (X, Y)),
    "TensorScatter": Case("y = TensorScatter<axis=1>(a, b, c)", (X, Y[:, :2].copy(), i64(0, 1, 2)), opset=24),
    "Tile": Case("y = Tile(a, b)", (X, i64(2, 1))),
    "TopK": Case("y, z = TopK<axis=1>(a, b)", (X, i64(3)), outputs=2),
    "Transpose": Case("y = Transpose(a)"),
    "Trilu": Case("y = Trilu(a)"),
    "Unique": Case("y, z = Unique(a)", (X[:2],), outputs=2),
    "Unsqueeze": Case("y = Unsqueeze(a, b)", (X, i64(1))),
    "Upsample": Case(
        'y = Upsample<mode="nearest">(a, b)', (IMAGE, np.array([1, 1, 2, 2], np.float32)), opset=9, expected=twice
    ),
    "Where": Case("y = Where(c, a, b)", (X, Y, X > Y)),
}

REFUSED = {
    "GridSample": ("sample", "uint64"),
    "Pow of integers": ("power of uint64",),
}
"""Case -> words of the refusal."""


def network(case: Case, outputs: Sequence[np.ndarray] = ()) -> onnx.ModelProto:
    """The case as a network; without outputs, whose types are theirs, one that is good for ONNX's evaluator alone."""
    inputs = [value(*pair) for pair in zip("abc", case.inputs, strict=False)]
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["": {case.opset}]> g () => () {{ {case.nodes} }}')
    model.graph.input.extend(inputs)
    model.graph.output.extend(value(*pair) for pair in zip("yz", outputs, strict=False))
    if not outputs:
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in "yz"[: case.outputs])
    return model


def value(name: str, array: np.ndarray) -> onnx.ValueInfoProto:
    return make_tensor_value_info(name, np_dtype_to_tensor_dtype(array.dtype), array.shape)


def expected_of(case: Case) -> list[np.ndarray]:
    if case.expected is not None:
        return [np.asarray(case.expected(*case.inputs))]
    with np.errstate(all="ignore"):
        outputs: Any = ReferenceEvaluator(network(case)).run(None, dict(zip("abc", case.inputs, strict=False)))
        return outputs


@pytest.mark.parametrize("backend", [CpuBackend, ReferenceBackend], ids=["cpu", "reference"])
@pytest.mark.parametrize("name", CASES)
def test_unsigned_words_stay_unsigned(name: str, backend: type[CpuBackend]) -> None:
    case = CASES[name]
    expected = expected_of(case)
    model = network(case, expected)
    if name in REFUSED:
        with pytest.raises(UnsupportedError) as refusal:
            backend.run_model(model, list(case.inputs))
        assert all(word in str(refusal.value) for word in (*REFUSED[name], name.split(maxsplit=1)[0]))
        return
    found = backend.run_model(model, list(case.inputs))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("operator", sorted(filter(onnx.defs.has, OPERATORS)))
def test_no_operator_of_unsigned_words_is_forgotten(operator: str) -> None:
    schema = onnx.defs.get_schema(operator)
    allowed = {one.type_param_str: one.allowed_type_strs for one in schema.type_constraints}
    formals = (*schema.inputs, *schema.outputs)
    assert operator in CASES or not any("tensor(uint64)" in allowed.get(one.type_str, ()) for one in formals)


def test_the_largest_of_no_narrow_integers() -> None:
    case = Case("y = ReduceMax<keepdims=0>(a, b)", (np.zeros((2, 0), np.int8), i64(1)))
    model = network(case, [np.zeros(2, np.int8)])
    np.testing.assert_array_equal(CpuBackend.run_model(model, list(case.inputs))[0], [-128, -128])
