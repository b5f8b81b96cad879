"""Damaged files: whatever the bytes, loading ends in a network or in the project's own error."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from onnx.helper import make_node

from tests.graph.networks import graph_proto, network_proto
from wavetile.engine.errors import ModelError
from wavetile.engine.graph import Limits, fuse, load_network, specialise


def network_bytes() -> bytes:
    """A little of everything: weights, a branch, shapes, pads, a recurrent layer, a sequence."""
    rng = np.random.default_rng(0)
    branch = graph_proto([make_node("Relu", ["n"], ["r"])], {}, ["r"])
    other = graph_proto([make_node("Mul", ["n", "two"], ["m"])], {}, ["m"], {"two": np.array(2, np.float32)})
    constants = {
        "w": rng.standard_normal((4, 2, 3)).astype(np.float32),
        "bn": np.ones(4, np.float32),
        "yes": np.array(True),
        "pads": np.array([0, 0, 2, 0, 0, 0]),
        "rw": rng.standard_normal((1, 6, 4)).astype(np.float32),
        "rr": rng.standard_normal((1, 6, 2)).astype(np.float32),
        "zero": np.array(0),
    }
    nodes = [
        make_node("Pad", ["x", "pads"], ["p"]),
        make_node("Conv", ["p", "w"], ["c"]),
        make_node("BatchNormalization", ["c", "bn", "bn", "bn", "bn"], ["n"]),
        make_node("If", ["yes"], ["a"], then_branch=branch, else_branch=other),
        make_node("Transpose", ["a"], ["t"], perm=[2, 0, 1]),
        make_node("GRU", ["t", "rw", "rr"], ["g"], hidden_size=2),
        make_node("SplitToSequence", ["g"], ["s"], axis=0, keepdims=0),
        make_node("SequenceAt", ["s", "zero"], ["y"]),
    ]
    return network_proto(nodes, {"x": [1, 2, "t"]}, ["y"], constants).SerializeToString()


def try_to_use(data: bytes) -> None:
    """Load, bind and fuse under small limits; only the project's own refusal may come out."""
    limits = Limits(tensor_bytes=1 << 20, initializer_bytes=1 << 20, nodes=100)
    with contextlib.suppress(ModelError):
        network = load_network(data, limits=limits)
        shapes = {
            name: tuple(dim if isinstance(dim, int) else 5 for dim in declared.dims or ())
            for name, declared in network.inputs.items()
        }
        fuse(specialise(network, shapes))


def test_the_whole_file_is_fine() -> None:
    network = load_network(network_bytes())
    assert fuse(specialise(network, {"x": (1, 2, 5)})).histogram() == {"Conv": 1, "GRU": 1, "Gather": 1, "Transpose": 1}


@pytest.mark.parametrize("seed", range(8))
def test_flipped_bytes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    original = np.frombuffer(network_bytes(), np.uint8)
    for _ in range(60):
        damaged = original.copy()
        places = rng.integers(0, len(damaged), rng.integers(1, 4))
        damaged[places] = rng.integers(0, 256, len(places))
        try_to_use(damaged.tobytes())


def test_every_length() -> None:
    data = network_bytes()
    for length in range(0, len(data), 7):
        try_to_use(data[:length])
