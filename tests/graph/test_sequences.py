"""Sequences of known length are taken apart into tensors."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto
from onnx.helper import make_node

from tests.graph.networks import assert_same_numbers, bound_graph, network_proto
from wavetile.engine.errors import LimitError, ModelError, UnsupportedError
from wavetile.engine.graph import Graph, Limits, load_network, specialise


def check(nodes: list[NodeProto], constants: dict[str, np.ndarray]) -> Graph:
    model = network_proto(nodes, {"x": [2, 5, 3]}, ["y"], constants)
    graph = bound_graph(model)
    assert_same_numbers(model, graph)
    return graph


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("position", [0, 4, -1])
def test_one_of_equal_pieces(keepdims: int, position: int) -> None:
    nodes = [
        make_node("SplitToSequence", ["x"], ["s"], axis=1, keepdims=keepdims),
        make_node("SequenceAt", ["s", "p"], ["y"]),
    ]
    graph = check(nodes, {"p": np.array(position)})
    assert graph.histogram() == {"Slice" if keepdims else "Gather": 1}


@pytest.mark.parametrize("split", [np.array(2), np.array([1, 4]), np.array([0, 3, 2])])
def test_pieces_put_together_again(split: np.ndarray) -> None:
    nodes = [
        make_node("SplitToSequence", ["x", "split"], ["s"], axis=-2),
        make_node("Identity", ["s"], ["t"]),
        make_node("ConcatFromSequence", ["t"], ["y"], axis=1),
    ]
    check(nodes, {"split": split})


def test_a_sequence_of_given_tensors() -> None:
    nodes = [
        make_node("Neg", ["x"], ["n"]),
        make_node("SequenceConstruct", ["x", "n", "x"], ["s"]),
        make_node("SequenceLength", ["s"], ["length"]),
        make_node("Cast", ["length"], ["f"], to=1),
        make_node("SequenceAt", ["s", "one"], ["picked"]),
        make_node("Mul", ["picked", "f"], ["y"]),
    ]
    assert check(nodes, {"one": np.array(1)}).histogram() == {"Mul": 1, "Neg": 1}


@pytest.mark.parametrize(
    ("split", "position", "error", "message"),
    [
        (np.array([1, 3]), 0, ModelError, r"SplitToSequence 'cut': lengths \[1, 3\] do not add up to 5"),
        (np.array(0), 0, ModelError, "pieces of 0"),
        (np.array(5), 1, ModelError, "SequenceAt 'pick': position 1 in a sequence of 1"),
        (np.array(2), None, UnsupportedError, "SequenceAt 'pick': its position depends on the data"),
    ],
)
def test_refusals(split: np.ndarray, position: int | None, error: type[Exception], message: str) -> None:
    nodes = [
        make_node("SplitToSequence", ["x", "split"], ["s"], name="cut", axis=1),
        make_node("SequenceAt", ["s", "p"], ["y"], name="pick"),
    ]
    inputs = {"x": [2, 5, 3]} | ({"p": []} if position is None else {})
    constants = {"split": split} | ({} if position is None else {"p": np.array(position)})
    model = network_proto(nodes, inputs, ["y"], constants, dtypes={"p": np.int64})
    with pytest.raises(error, match=message):
        bound_graph(model)


def test_long_sequences_have_the_node_limit() -> None:
    nodes = [
        make_node("SplitToSequence", ["x"], ["s"], name="cut", axis=0),
        make_node("SequenceAt", ["s", "p"], ["y"], name="pick"),
    ]
    data = network_proto(nodes, {"x": ["n"]}, ["y"], {"p": np.array(0)}).SerializeToString()
    with pytest.raises(LimitError, match="SplitToSequence 'cut' makes 100000000 tensors"):
        specialise(load_network(data), {"x": (10**8,)})
    with pytest.raises(LimitError, match="more than 100 nodes"):
        specialise(load_network(data, limits=Limits(nodes=100)), {"x": (60,)})


@pytest.mark.parametrize("position", [0, 1, -1, None])
def test_insert_and_erase(position: int | None) -> None:
    place = [] if position is None else ["p"]
    nodes = [
        make_node("Neg", ["x"], ["n"]),
        make_node("Abs", ["x"], ["a"]),
        make_node("SequenceEmpty", [], ["empty"]),
        make_node("SequenceInsert", ["empty", "x"], ["one"]),
        make_node("SequenceInsert", ["one", "n", *place[:0]], ["two"]),
        make_node("SequenceInsert", ["two", "a", *place], ["three"]),
        make_node("SequenceErase", ["three", "first"], ["left"]),
        make_node("ConcatFromSequence", ["left"], ["y"], axis=1, new_axis=1),
    ]
    constants = {"first": np.array(0)} | ({} if position is None else {"p": np.array(position)})
    check(nodes, constants)
