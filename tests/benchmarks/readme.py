"""Writes the README's performance section from the committed results: `make bench-readme`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).with_name("results.json")
BEGIN = "<!-- Generated from tests/benchmarks/results.json by `make bench-readme`; not for editing. -->"
END = "<!-- End of what is generated. -->"


def section(results: Path = RESULTS) -> str:
    """The section between the markers, from results in JSON."""
    from tests.benchmarks.rows import Report

    return Report.from_json(json.loads(results.read_text("utf-8"))).markdown()


def with_section(readme: str, text: str, markers: tuple[str, str] = (BEGIN, END)) -> str:
    """A README whose section between the markers is `text`. Raises ValueError if it does not have them."""
    before, begin, rest = readme.partition(markers[0])
    _, end, after = rest.partition(markers[1])
    if not begin or not end:
        raise ValueError(f"README.md has no section between {markers[0]!r} and {markers[1]!r}")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def main() -> int:
    """Rewrite README.md."""
    sys.path.append(str(REPOSITORY))
    readme = REPOSITORY / "README.md"
    readme.write_text(with_section(readme.read_text("utf-8"), section()), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
