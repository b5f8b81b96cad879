"""The tables of work on a card: floors that are committed, and times where a card has been at hand.

`python -m tests.gpu.page` writes both tables; with `--floors` it counts the floors anew before (which needs the trained
networks), with `--results FILE` it keeps that file of `make gpu` as the times.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.readme import with_section
from tests.benchmarks.rows import OURS, Report, Row

from .floors import H100, Floor
from .works import Work, works

FOLDER = Path(__file__).parent
REPOSITORY = FOLDER.parents[1]
FLOORS = FOLDER / "floors.json"
RESULTS = FOLDER / "results.json"
"""There once a card has been at hand."""
PAGE = REPOSITORY / "docs" / "gpu.md"
NOT_MEASURED = "not measured"
MARKERS = (
    "<!-- Generated from tests/gpu/floors.json and results.json by `python -m tests.gpu.page`; not for editing. -->",
    "<!-- End of the table of work on a GPU. -->",
)


def read_floors(path: Path = FLOORS) -> list[Work]:
    """The rows with their floors, as they are committed."""
    return [Work(**{**row, "floor": Floor(**row["floor"])}) for row in json.loads(path.read_text("utf-8"))]


def read_results(path: Path = RESULTS) -> Report | None:
    """The times; None where no card has been at hand."""
    return Report.from_json(json.loads(path.read_text("utf-8"))) if path.exists() else None


def section(rows: Sequence[Work], results: Report | None) -> str:
    """What the README says: where the times are from, and the table."""
    if results is None:
        said = f"{NOT_MEASURED.capitalize()}: no device has run the CUDA kernels yet."
    else:
        said = "; ".join(f"{key}: {value}" for key, value in results.machine.items()) + "."
    return "\n".join(
        [
            f"**On a GPU.** {said}",
            f"The floor is what an {H100.name} needs at its peak rates for a row's arithmetic, its bytes or the bus,",
            "whichever is most; launches come on top. It is counted, not measured. Median (p99) in microseconds.",
            "",
            *table(rows, results),
        ]
    )


def table(rows: Iterable[Work], results: Report | None) -> list[str]:
    """A line for each row of work, below the headings."""
    timed = {row.name: row for row in results.rows} if results else {}
    lines = [
        "| | multiply-adds | bytes moved | floor | wavetile | peers | target |",
        "| --- | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for work in rows:
        ours, peers = _times(timed.get(work.name))
        counted = f"{_amount(work.floor.multiply_adds)} | {_amount(work.floor.moved_bytes)}"
        floor = f"{_number(work.floor.us)}, {work.floor.bound}"
        lines.append(f"| {work.name} | {counted} | {floor} | {ours} | {peers} | {work.target} |")
    return lines


def _times(row: Row | None) -> tuple[str, str]:
    if row is None:
        return NOT_MEASURED, ""
    if row.refusal:
        return row.refusal, ""
    sides = {name: f"{_number(one.median_us)} ({_number(one.p99_us)})" for name, one in row.sides.items()}
    peers = [f"{name} {text}, {row.ratio(name):.2g}x" for name, text in sides.items() if name != OURS]
    return f"{sides[OURS]} {row.note}".rstrip(), "; ".join(peers)


def _number(microseconds: float) -> str:
    return f"{microseconds:.2f}" if microseconds < 10 else f"{microseconds:.0f}"


def _amount(count: int) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)


def page(rows: Sequence[Work], results: Report | None) -> str:
    """The page of all rows."""
    return f"# Work on a GPU\n\n{MARKERS[0]}\n\n{section(rows, results)}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write docs/gpu.md and the README's section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--floors", action="store_true", help="count the floors anew")
    parser.add_argument("--results", type=Path, help="keep this file of `make gpu`")
    given = parser.parse_args(arguments)
    if given.floors:
        FLOORS.write_text(json.dumps([asdict(work) for work in works()], indent=1) + "\n", "utf-8")
    if given.results:
        shutil.copyfile(given.results, RESULTS)
    rows, results = read_floors(), read_results()
    PAGE.write_text(page(rows, results), "utf-8")
    readme = REPOSITORY / "README.md"
    headlines = section([row for row in rows if row.headline], results)
    readme.write_text(with_section(readme.read_text("utf-8"), headlines, MARKERS), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
