"""What windows that overlap have in common is computed once; each is still what it would be alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
import pytest

from tests.plan.networks import parse, run_onnxruntime, signal
from wavetile.engine.errors import ModelError, UnsupportedError
from wavetile.engine.graph import load_network, specialise
from wavetile.engine.plan.streaming import (
    Overlap,
    SharedWindows,
    Steps,
    StreamingAxis,
    certify_windows,
    overlap,
    prepared,
    span,
)
from wavetile.engine.plan.streaming.registry import rule_of

BACKENDS = ("cpu", "reference")


@dataclass(frozen=True)
class Case:
    """A network x -> y, its windows, and what they share."""

    body: str
    window: int
    hop: int
    inside: Mapping[str, tuple[int, int]]
    """Value at which sharing ends -> its elements that neither end of a window has a part in."""
    multiply_adds: int
    """Of a window after the first ones."""
    whole: int
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    channels: int = 2

    @property
    def model(self) -> onnx.ModelProto:
        return parse(
            f"(float[1,{self.channels},{self.window}] x) => (float[A,B,C] y) {{ {self.body} }}",
            constants=self.constants,
        )

    def overlap(self) -> Overlap:
        return overlap_of(self.model, self.hop)


def overlap_of(model: onnx.ModelProto, hop: int, dim: int = 2) -> Overlap:
    graph = prepared(specialise(load_network(model.SerializeToString())))
    return Overlap(graph, StreamingAxis("T", {"x": dim}), hop)


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


K3 = {"k": signal((2, 2, 3), 1), "l": signal((2, 2, 3), 2)}
TABLE = np.arange(0, 16, 2)[:, None] + np.arange(4)
CASES = {
    # 12 multiply-adds an element of each layer, of which a window has 18 and 16; per hop 4 new ones of each.
    "without padding": Case(
        "a = Conv(x, k) b = Relu(a) c = Conv(b, l) y = GlobalMaxPool(c)",
        window=20,
        hop=4,
        inside={"c": (0, 16)},
        multiply_adds=12 * (4 + 4),
        whole=12 * (18 + 16),
        constants=K3,
    ),
    # Per hop 6 new elements; at the end 1 of the first layer and 2 of the second; at the beginning 3 and 2.
    "with padding": Case(
        "a = Conv<pads=[1,1]>(x, k) b = Conv<pads=[1,1]>(a, l) y = GlobalAveragePool(b)",
        window=40,
        hop=6,
        inside={"b": (2, 38)},
        multiply_adds=12 * (6 + 6 + 1 + 2 + 3 + 2),
        whole=12 * 80,
        constants=K3,
    ),
    # The dense layer takes the whole window; its 2 * 10 * 3 multiply-adds stay.
    "up to a dense layer": Case(
        "a = Conv<strides=[2]>(x, k) b = Reshape(a, s) y = Gemm(b, w)",
        window=21,
        hop=2,
        inside={"a": (0, 10)},
        multiply_adds=12 + 60,
        whole=12 * 10 + 60,
        constants={"k": K3["k"], "s": integers(1, 20), "w": signal((20, 3), 3)},
    ),
    "a reshape and a table of frames": Case(
        "t = Transpose<perm=[2,0,1]>(x) g = Reshape(t, s) f = Gather<axis=0>(g, table) r = Reshape(f, u) "
        "a = MatMul(r, w) b = Relu(a) n = ReduceMean<axes=[0], keepdims=1>(b) d = Unsqueeze(n, zero) y = Mul(d, d)",
        window=54,
        hop=6,
        inside={"b": (0, 8)},
        multiply_adds=24 * 5,
        whole=8 * 24 * 5,
        constants={
            "s": integers(18, 6),
            "table": TABLE,
            "u": integers(8, 24),
            "w": signal((24, 5), 4),
            "zero": integers(0),
        },
    ),
    "recurrent from the beginning of each window": Case(
        "a = Conv(x, k) t = Transpose<perm=[2,0,1]>(a) s = GRU<hidden_size=4>(t, w, r) q = Squeeze(s, one) y = Relu(q)",
        window=14,
        hop=3,
        inside={"t": (0, 12)},
        multiply_adds=12 * 3 + 12 * (12 * 2 + 12 * 4),
        whole=12 * 12 + 12 * (12 * 2 + 12 * 4),
        constants={"k": K3["k"], "w": signal((1, 12, 2), 5), "r": signal((1, 12, 4), 6), "one": integers(1)},
    ),
    # Their sum could be shared too, but its beginning takes two elements more of the second branch.
    "two branches": Case(
        "a = Conv<pads=[2,0]>(x, k) b = Conv<pads=[0,4], dilations=[2]>(x, l) c = Add(a, b) y = Tanh(c)",
        window=30,
        hop=5,
        inside={"a": (2, 30), "b": (0, 26)},
        multiply_adds=12 * (5 + 2 + 5 + 4),
        whole=12 * 60,
        constants=K3,
    ),
    # Two elements of the first layer for each of the input's.
    "layers that grow, and an output in the front": Case(
        'a = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">(x, , s) '
        "y = Conv(a, k)",
        window=24,
        hop=4,
        inside={"y": (0, 46)},
        multiply_adds=12 * 8,
        whole=12 * 46,
        constants={"k": K3["k"], "s": np.array([1, 1, 2], np.float32)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_windows_share_and_what_that_saves(name: str) -> None:
    case = CASES[name]
    found = case.overlap()
    assert found.inside == case.inside
    assert (found.multiply_adds, found.whole.multiply_adds) == (case.multiply_adds, case.whole)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_every_window_is_what_it_would_be_alone(name: str, backend: str) -> None:
    case = CASES[name]
    windows = SharedWindows(case.overlap(), backend, poisoned=True)
    x = signal((1, case.channels, case.window + 7 * case.hop), 7)
    for start in range(0, 7 * case.hop + 1, case.hop):
        part = np.ascontiguousarray(x[..., start : start + case.window])
        (expected,) = run_onnxruntime(case.model, {"x": part})
        np.testing.assert_allclose(windows.run({"x": part})["y"], expected, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_proof_compares_windows_with_and_without_sharing(backend: str) -> None:
    for case in CASES.values():
        assert certify_windows(case.overlap(), backend=backend) < 1e-5


def overlooked_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    def reads(flow: span.Window, made: span.Span, total: int | None) -> span.Span:
        return span.Span(made.start * flow.stride, (made.stop - 1) * flow.stride + flow.reach)

    monkeypatch.setattr(span.Window, "reads", reads)


def begun_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    followed = overlap._followed

    def one_less(*given: Any) -> overlap.Steady:
        steady = followed(*given)
        return replace(steady, start=max(0, steady.start - 1))

    monkeypatch.setattr(overlap, "_followed", one_less)


def ended_as_the_first_window(monkeypatch: pytest.MonkeyPatch) -> None:
    first: dict[int, dict[str, np.ndarray]] = {}
    end = Steps.end

    def once(steps: Steps, kinds: Any) -> dict[str, np.ndarray]:
        if id(steps) not in first:
            first[id(steps)] = {name: array.copy() for name, array in end(steps, kinds).items()}
        return first[id(steps)]

    monkeypatch.setattr(Steps, "end", once)


def kept_without_moving(monkeypatch: pytest.MonkeyPatch) -> None:
    keep = SharedWindows._keep

    def once(windows: SharedWindows, made: Mapping[str, np.ndarray]) -> None:
        if not windows._kept:
            keep(windows, made)

    monkeypatch.setattr(SharedWindows, "_keep", once)


def states_that_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "rule_of", lambda site: replace(rule_of(site), carries=False))


@pytest.mark.parametrize(
    ("mistake", "name"),
    [
        (overlooked_padding, "with padding"),
        (begun_too_early, "with padding"),
        (begun_too_early, "two branches"),
        (ended_as_the_first_window, "with padding"),
        (kept_without_moving, "without padding"),
        (kept_without_moving, "a reshape and a table of frames"),
        (states_that_go_on, "recurrent from the beginning of each window"),
    ],
)
def test_what_is_broken_on_purpose_is_found_out(
    mistake: Callable[[pytest.MonkeyPatch], None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake(monkeypatch)
    with pytest.raises(ModelError):
        certify_windows(CASES[name].overlap())


@pytest.mark.parametrize(
    ("body", "hop", "words"),
    [
        ("y = Conv(x, k)", 20, "windows of 20 do not overlap with a hop of 20"),
        ("a = ReduceMax<axes=[2], keepdims=1>(x) y = Mul(a, x)", 4, "no node's values go on.*ReduceMax .* of twice"),
        ("y = Conv<strides=[3]>(x, k)", 4, "Conv .*: with a hop of 4 .* no whole number .*; multiples of 3 would work"),
        ("a = Relu(x) b = Transpose<perm=[0,2,1]>(a) y = MatMul(b, a)", 4, "costs as much to put together as it saves"),
    ],
)
def test_where_nothing_can_be_shared_the_reason_is_said(body: str, hop: int, words: str) -> None:
    model = parse(f"(float[1,2,20] x) => (float[A,B,C] y) {{ {body} }}", constants={"k": K3["k"]})
    with pytest.raises(UnsupportedError, match=words):
        overlap_of(model, hop)


def test_a_hop_that_a_late_stride_does_not_divide_shares_what_is_before_it() -> None:
    model = parse(
        "(float[1,2,33] x) => (float[A,B,C] y) { a = Conv(x, k) b = Conv<strides=[2]>(a, l) "
        "c = Conv<strides=[2]>(b, k) y = GlobalMaxPool(c) }",
        constants=K3,
    )
    shared = {hop: overlap_of(model, hop) for hop in (1, 2, 4)}
    assert {hop: tuple(one.inside) for hop, one in shared.items()} == {1: ("a",), 2: ("b",), 4: ("c",)}
    assert "multiples of 4 would work" in shared[2].limit
    assert "GlobalMaxPool" in shared[4].limit
