"""Numbers that columns of a product are multiplied by become part of its matrix."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto
from onnx.helper import make_node

from tests.graph.networks import assert_fusion_keeps_numbers, network_proto

HEADS, STEPS, SIZE = 2, 5, 3
CONSTANTS = {
    "w": np.random.default_rng(0).standard_normal((4, HEADS * 3 * SIZE)).astype(np.float32),
    "bias": np.random.default_rng(1).standard_normal(HEADS * 3 * SIZE).astype(np.float32),
    "apart": np.array([1, STEPS, HEADS, 3 * SIZE]),
    "axis": np.array([3]),
    "scale": np.array(0.4, np.float32),
    **{f"at{part}": np.array([part * SIZE]) for part in range(4)},
}
QUERIES, KEYS = ("t", "at0", "at1", "axis"), ("t", "at1", "at2", "axis")
PRODUCT = [make_node("MatMul", ["x", "w"], ["p"]), make_node("Add", ["p", "bias"], ["b"])]
HEAD = [
    *PRODUCT,
    make_node("Reshape", ["b", "apart"], ["r"]),
    make_node("Transpose", ["r"], ["t"], perm=[0, 2, 1, 3]),
]


def fused_operators(*nodes: NodeProto, outputs: tuple[str, ...] = ("y",)) -> dict[str, int]:
    used = {name for node in nodes for name in node.input}
    constants = {name: value for name, value in CONSTANTS.items() if name in used}
    return assert_fusion_keeps_numbers(network_proto(nodes, {"x": [1, STEPS, 4]}, outputs, constants)).histogram()


@pytest.mark.parametrize("scaling", ["Mul", "Div"])
def test_queries_and_keys_of_attention(scaling: str) -> None:
    attention = [
        make_node("Slice", QUERIES, ["q"]),
        make_node("Slice", KEYS, ["k"]),
        make_node("Slice", ["t", "at2", "at3", "axis"], ["v"]),
        make_node("Transpose", ["k"], ["turned"], perm=[0, 1, 3, 2]),
        make_node(scaling, ["q", "scale"], ["scaled_q"]),
        make_node(scaling, ["turned", "scale"], ["scaled_k"]),
        make_node("MatMul", ["scaled_q", "scaled_k"], ["scores"]),
        make_node("MatMul", ["scores", "v"], ["y"]),
    ]
    left = fused_operators(*HEAD, *attention)
    assert left == {"MatMul": 3, "Reshape": 1, "Slice": 3, "Transpose": 2}


def test_all_columns() -> None:
    nodes = [make_node("Mul", ["scale", "b"], ["z"]), make_node("Relu", ["z"], ["y"])]
    assert fused_operators(*PRODUCT, *nodes) == {"MatMul": 1}


@pytest.mark.parametrize("other", [KEYS, QUERIES], ids=["other columns", "the same columns"])
def test_what_others_read(other: tuple[str, ...]) -> None:
    nodes = [make_node("Slice", QUERIES, ["q"]), make_node("Slice", other, ["k"])]
    nodes += [make_node("Mul", ["q", "scale"], ["z"]), make_node("Neg", ["z"], ["y"]), make_node("Neg", ["k"], ["u"])]
    left = fused_operators(*HEAD, *nodes, outputs=("y", "u"))
    assert left.get("Mul", 0) == (1 if other is QUERIES else 0)


def test_an_output_stays() -> None:
    nodes = [make_node("Mul", ["b", "scale"], ["z"]), make_node("Neg", ["z"], ["y"])]
    assert fused_operators(*PRODUCT, *nodes, outputs=("y", "z")) == {"MatMul": 1, "Mul": 1, "Neg": 1}
    assert fused_operators(*PRODUCT, *nodes, outputs=("y", "b")) == {"MatMul": 1, "Mul": 1, "Neg": 1}


def test_numbers_of_another_kind_stay() -> None:
    squared = [make_node("Mul", ["b", "b"], ["z"]), make_node("Neg", ["z"], ["y"])]
    assert fused_operators(*PRODUCT, *squared) == {"MatMul": 1, "Mul": 1, "Neg": 1}
    inverse = [make_node("Div", ["scale", "b"], ["z"]), make_node("Neg", ["z"], ["y"])]
    assert fused_operators(*PRODUCT, *inverse) == {"MatMul": 1, "Div": 1, "Neg": 1}
