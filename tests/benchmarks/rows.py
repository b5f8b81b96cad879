"""A benchmark's rows, and the tables that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from wavetile.engine.commands.measure import Timing


@dataclass(frozen=True)
class Row:
    """One network or model against onnxruntime."""

    name: str
    unit: str
    """What one call computes."""
    difference: float
    """Largest |difference| of the results, compared before the times were taken."""
    peer: Timing
    run: Timing
    """Model.run: the bare networks."""
    stream: Timing | None = None
    """Stream.process of one hop: everything around the networks too."""
    note: str = ""


@dataclass(frozen=True)
class Missing:
    """A row that could not be measured."""

    name: str
    reason: str


@dataclass
class Report:
    """All rows and where they were measured."""

    machine: str
    rows: list[Row | Missing] = field(default_factory=list)

    def markdown(self) -> str:
        """A heading line and a table."""
        lines = [
            self.machine, "",
            "One thread a side, taking turns in one process; microseconds, median (p99). Ratios are medians'.", "",
            "| model | per | max abs difference | onnxruntime | `Model.run` | faster | `Stream.process` | faster |",
            "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]  # fmt: skip
        for row in self.rows:
            if isinstance(row, Missing):
                lines.append(f"| {row.name} | {row.reason} | | | | | | |")
                continue
            peer = row.peer.median_us
            name = f"{row.name} ({row.note})" if row.note else row.name
            cells = [name, row.unit, f"{row.difference:.1e}", _time(row.peer), _time(row.run), _ratio(peer, row.run)]
            cells += [_time(row.stream), _ratio(peer, row.stream)] if row.stream else ["", ""]
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {"machine": self.machine, "rows": [asdict(row) for row in self.rows]}


def select(names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The names that hold any of the wanted texts; all if none is wanted."""
    return [name for name in names if not wanted or any(text in name for text in wanted)]


def _time(timing: Timing) -> str:
    return f"{timing.median_us:.0f} ({timing.p99_us:.0f})"


def _ratio(peer_us: float, timing: Timing) -> str:
    return f"{peer_us / timing.median_us:.2f}x"
