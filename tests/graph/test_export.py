"""Writing a graph back as ONNX: what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx.helper import make_node

from tests.graph.networks import bound_graph, network_proto
from wavetile.engine.errors import ModelError, UnsupportedError
from wavetile.engine.graph import Graph, Node, TensorType
from wavetile.engine.graph.export import to_model

VECTOR = TensorType((3,), np.dtype(np.float32))


def test_stream_operators_are_refused() -> None:
    keep = Node("Keep", "memory", ("x",), ("y",), {"axis": 0, "count": 2}, 1, "wavetile")
    graph = Graph("step", {"x": VECTOR}, ["y"], [keep], {}, {"x": VECTOR, "y": TensorType((5,), VECTOR.dtype)})
    with pytest.raises(UnsupportedError, match=r"wavetile\.Keep 'memory' is a stream operator"):
        to_model(graph)


def test_mixed_operator_sets_are_refused() -> None:
    nodes = [make_node("Relu", ["x"], ["r"]), make_node("Neg", ["r"], ["y"])]
    graph = bound_graph(network_proto(nodes, {"x": [3]}, ["y"]))
    graph.nodes[0] = replace(graph.nodes[0], opset=9)
    with pytest.raises(ModelError, match=r"mixes the operator sets \[9, 17\]"):
        to_model(graph)
