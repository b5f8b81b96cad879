"""Positions that arrive: each lane has its own, those outside an axis touch nothing, and data is written in place."""

from __future__ import annotations

import numpy as np
import pytest

from tests.plan.networks import compile_model, parse, run_program, signal
from wavetile.engine.errors import UnsupportedError
from wavetile.engine.plan import Workspace

BACKENDS = ["reference", "cpu"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("op", "data", "positions", "updates"),
    [
        ("Gather(x, i)", (4, 3), (5,), None),
        ("GatherElements(x, i)", (4, 3), (5, 3), None),
        ("GatherND(x, i)", (4, 3), (5, 1), None),
        ("ScatterElements(x, i, u)", (4, 3), (2, 3), (2, 3)),
        ("ScatterND(x, i, u)", (4, 3), (2, 1), (2, 3)),
    ],
)
def test_positions_outside_read_zero_and_write_nothing(
    backend: str, op: str, data: tuple[int, ...], positions: tuple[int, ...], updates: tuple[int, ...] | None
) -> None:
    text = "float[4,3] x, int64[" + ",".join(map(str, positions)) + "] i"
    text += "" if updates is None else ", float[" + ",".join(map(str, updates)) + "] u"
    wild = np.resize(np.array([4, -5, 1 << 40, -(1 << 63), (1 << 63) - 1]), positions)
    feeds = {"x": signal(data), "i": wild} | ({} if updates is None else {"u": signal(updates, 1)})
    y = run_program(compile_model(parse(f"({text}) => (float[A,B] y) {{ y = {op} }}"), feeds), feeds, backend)["y"]
    np.testing.assert_array_equal(y, feeds["x"] if updates is not None else np.zeros_like(y))


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_lane_has_positions_of_its_own(backend: str) -> None:
    model = parse(
        "(float[4,3] x, int64[2] i, int64[2,3] j, float[2,3] u) => (float[2,3] y, float[4,3] z) "
        '{ y = Gather(x, i) z = ScatterElements<reduction="add">(x, j, u) }',
        opset=18,
    )
    rng = np.random.default_rng(0)
    feeds = {
        "x": rng.standard_normal((3, 4, 3)).astype(np.float32),
        "i": rng.integers(-4, 4, (3, 2)),
        "j": rng.integers(-4, 4, (3, 2, 3)),
        "u": rng.standard_normal((3, 2, 3)).astype(np.float32),
    }
    program = compile_model(model, {name: value[0] for name, value in feeds.items()})
    workspace = Workspace(program, backend, 3)
    for name, value in feeds.items():
        workspace.input(name)[...] = value
    workspace.run(3)
    for lane in range(3):
        np.testing.assert_array_equal(workspace.output("y")[lane], feeds["x"][lane][feeds["i"][lane]])
        expected = feeds["x"][lane].copy()
        for (row, column), position in np.ndenumerate(feeds["j"][lane]):
            expected[position, column] += feeds["u"][lane, row, column]
        np.testing.assert_array_equal(workspace.output("z")[lane], expected)


def test_data_that_nobody_else_reads_is_written_in_place() -> None:
    text = "{ a = Mul(x, x) b = ScatterND(a, i, u) c = ScatterND(b, i, u) y = Relu(c) }"
    model = parse(f"(float[6,5] x, int64[2,1] i, float[2,5] u) => (float[6,5] y) {text}")
    feeds = {"x": signal((6, 5)), "i": np.array([[5], [2]]), "u": signal((2, 5))}
    counts = compile_model(model, feeds).kernel_counts()
    assert counts["scatter_at"] == 2
    assert not counts["copy"]


def test_bits_of_narrow_floats_are_refused_by_name() -> None:
    model = parse("(float16[6] x) => (int16[6] y) { y = BitCast<to=5>(x) }", opset=26)
    with pytest.raises(UnsupportedError, match="from float16"):
        compile_model(model, {"x": np.zeros(6, np.float16)})
