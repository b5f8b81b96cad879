"""The tables of work on a GPU: in step with the committed files, and without a time where nothing was measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.benchmarks.readme import with_section
from tests.benchmarks.rows import Report, Row
from wavetile.engine.commands.measure import Timing

from . import page
from .floors import H100, Counts, Floor, graph_floor, resident_floor
from .works import Work, layer_works

WORK = Work("step", "LSTM 8, batch 1", "2x cuDNN", Floor(1.0, 2.5, 0.5, 640, 1_200_000))
STEP = Counts(
    multiply_adds=1_000_000, weight_bytes=4_000_000, activation_bytes=1000, state_bytes=335, input_bytes=64,
    output_bytes=640,
)  # fmt: skip


MEASURED = Row(
    "step", WORK.name, "", sides={"wavetile": Timing(10, 5.0, 6.0, 5.0), "cuDNN": Timing(10, 12.0, 30.0, 12.0)}
)


def report(row: Row) -> Report:
    return Report({"device": "a card"}, [row])


def test_a_row_without_a_time_says_so() -> None:
    assert page.table([WORK], None)[-1] == (
        "| LSTM 8, batch 1 | 640 | 1.2 M | 2.50, memory | not measured |  | 2x cuDNN |"
    )
    assert "Not measured: no device" in page.section([WORK], None)


def test_a_row_has_its_times_beside_its_peers() -> None:
    assert page.table([WORK], report(MEASURED))[-1] == (
        "| LSTM 8, batch 1 | 640 | 1.2 M | 2.50, memory | 5.00 (6.00) | cuDNN 12 (30), 2.4x | 2x cuDNN |"
    )
    assert "a card" in page.section([WORK], report(MEASURED))


def test_a_row_says_how_it_was_run() -> None:
    assert (
        "| 5.00 (6.00) resident interpreter |"
        in page.table([WORK], report(replace(MEASURED, note="resident interpreter")))[-1]
    )


def test_a_row_that_failed_says_why() -> None:
    assert (
        "| differs by 1e-1 |  |"
        in page.table([WORK], report(replace(MEASURED, refusal="differs by 1e-1", sides={})))[-1]
    )


def test_the_pages_are_in_step_with_floors_and_results() -> None:
    rows, results = page.read_floors(), page.read_results()
    assert page.PAGE.read_text("utf-8") == page.page(rows, results), "run `python -m tests.gpu.page`"
    readme = (page.REPOSITORY / "README.md").read_text("utf-8")
    headlines = page.section([row for row in rows if row.headline], results)
    assert with_section(readme, headlines, page.MARKERS) == readme, "run `python -m tests.gpu.page`"


def test_every_row_of_random_networks_has_a_committed_floor() -> None:
    committed = {row.name: row for row in page.read_floors()}
    for work in layer_works():
        assert committed[work.name].target == work.target
        assert committed[work.name].floor.multiply_adds == work.floor.multiply_adds


def test_a_stream_has_one_multiprocessor_and_many_share_the_cache() -> None:
    one, many = resident_floor(STEP, 1), resident_floor(STEP, 1320)
    assert one.arithmetic_us == pytest.approx(1e12 * 132 / H100.float32)
    assert one.memory_us == pytest.approx(4e12 / H100.load)
    assert many.arithmetic_us == pytest.approx(10 * one.arithmetic_us)
    assert many.memory_us == pytest.approx(1320 * 4e12 / H100.cache)
    assert many.bus_us == pytest.approx(1320 * 640e6 / H100.bus)
    assert many.bound == "memory"


def test_halves_move_half_the_bytes_and_multiply_faster() -> None:
    whole, half = graph_floor(STEP, unit="tf32"), graph_floor(STEP, unit="float16", host=False)
    assert half.moved_bytes * 2 == whole.moved_bytes == 4_001_000
    assert half.arithmetic_us == pytest.approx(whole.arithmetic_us / 2, rel=1e-3)
    assert half.bus_us == 0
