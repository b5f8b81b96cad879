"""Small recurrent layers that do not wait for each other become one instruction, and give ONNX Runtime's numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.plan.networks import assert_matches, compile_model, parse, signal

SIZES = {f"w{i}": (2, 12, 5) for i in range(3)} | {f"r{i}": (2, 12, 4) for i in range(3)}
WEIGHTS = {name: signal(shape, seed) for seed, (name, shape) in enumerate(SIZES.items())}
WHOLE = {"axis": np.array([1], np.int64), "shape": np.array([7, 1, 8], np.int64)}


def _grouped(parts: str, rest: str) -> str:
    return (
        f"(float[7,1,10] x) => (float[7,1,16] y) {{ a, b = Split<axis=2, num_outputs=2>(x) {parts} "
        "t1 = Transpose<perm=[0,2,1,3]>(y1) s1 = Reshape(t1, shape) "
        f"t2 = Transpose<perm=[0,2,1,3]>(y2) s2 = Reshape(t2, shape) {rest} }}"
    )


GRU = 'GRU<hidden_size=4, direction="bidirectional", linear_before_reset=1>'
CASES = {
    # Both halves of the input at once.
    "grouped": (_grouped(f"y1 = {GRU}(a, w0, r0) y2 = {GRU}(b, w1, r1)", "y = Concat<axis=2>(s1, s2)"), 1),
    # The same input twice.
    "shared": (_grouped(f"y1 = {GRU}(a, w0, r0) y2 = {GRU}(a, w1, r1)", "y = Concat<axis=2>(s1, s2)"), 1),
    # Another kind of GRU.
    "unlike": (
        _grouped(
            f'y1 = {GRU}(a, w0, r0) y2 = GRU<hidden_size=4, direction="bidirectional">(b, w1, r1)',
            "y = Concat<axis=2>(s1, s2)",
        ),
        2,
    ),
    # Their results go to memories that no stride joins.
    "apart": (_grouped(f"y1 = {GRU}(a, w0, r0) y2 = {GRU}(b, w1, r1)", "m = Exp(s2) y = Concat<axis=2>(s1, m)"), None),
}


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("name", CASES)
def test_matches_onnxruntime(name: str, backend: str) -> None:
    body, expected = CASES[name]
    model = parse(body, opset=18, constants=WEIGHTS | WHOLE)
    feeds = {"x": signal((7, 1, 10), 9)}
    assert_matches(model, feeds, backend)
    if expected is not None:
        assert compile_model(model, feeds).kernel_counts()["gru_small"] == expected


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_a_layer_that_reads_the_other_waits_for_it(backend: str) -> None:
    body = (
        "(float[7,1,5] x) => (float[7,1,8] y) { a = GRU<hidden_size=5>(x, wa, ra) s = Squeeze(a, axis) "
        "b = GRU<hidden_size=8>(s, wb, rb) y = Squeeze(b, axis) }"
    )
    constants = {"wa": signal((1, 15, 5)), "ra": signal((1, 15, 5), 1), "wb": signal((1, 24, 5), 2)}
    model = parse(body, constants=constants | {"rb": signal((1, 24, 8), 3), "axis": np.array([1], np.int64)})
    feeds = {"x": signal((7, 1, 5), 9)}
    assert_matches(model, feeds, backend)
    assert compile_model(model, feeds).kernel_counts()["gru_small"] == 2
