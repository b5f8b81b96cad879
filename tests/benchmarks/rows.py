"""A benchmark's rows, as they are measured, kept as JSON and shown as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from wavetile.engine.commands.measure import Timing

GROUPS = {
    "networks": "Networks, through `Model.run`",
    "recurrent": "One step of a recurrent layer, through `Model.run`",
    "streams": "Cards, through `Stream.process`: framing and transforms too; onnxruntime runs the networks alone",
    "half": "Networks and cards with their weights kept as float16",
    "threads": "Threads",
}
OURS = "wavetile"
PEER = "onnxruntime"
LONGEST_REFUSAL = 90


@dataclass(frozen=True)
class Row:
    """One network, model or layer beside its peers."""

    group: str
    name: str
    call: str
    """What one call computes."""
    difference: float = 0.0
    """Largest |difference| to the peer, relative to the largest |number| of the output; looked at before any time."""
    sides: Mapping[str, Timing] = field(default_factory=dict)
    """Times of OURS, of PEER, and of other peers."""
    targets: Mapping[str, float] = field(default_factory=dict)
    """Peer -> how many times faster than it wavetile is to be at least."""
    floor_us: float = 0.0
    """What this machine's arithmetic and memory allow at best; 0 if nobody asked."""
    bound: str = ""
    instructions: int = 0
    note: str = ""
    refusal: str = ""
    """Why there are no numbers."""

    def ratio(self, peer: str = PEER) -> float:
        """How many times faster than a peer."""
        return self.sides[peer].median_us / self.sides[OURS].median_us


@dataclass
class Report:
    """All rows, and where and when they were measured."""

    machine: Mapping[str, str]
    rows: list[Row] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {"machine": dict(self.machine), "rows": [asdict(row) for row in self.rows]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Report:
        """The report that `as_json` made."""
        rows = []
        for row in content["rows"]:
            sides = {name: Timing(**timing) for name, timing in row["sides"].items()}
            rows.append(Row(**{**row, "sides": sides}))
        return cls(content["machine"], rows)

    def markdown(self) -> str:
        """The machine, what the columns mean, and a table for each group of rows."""
        machine = "; ".join(f"{key}: {value}" for key, value in self.machine.items())
        lines = [
            f"{machine}.",
            "",
            "One thread a side, in one process, results compared first; median (p99) in microseconds. The sides take",
            "turns of up to ten calls, so that each runs in caches of its own making; the first call after the other",
            "side's does not, and shows in the p99. The difference is the largest |difference| to onnxruntime at any",
            "of the sizes tried, relative to the output's largest |number|. The floor is what the multiply-adds and",
            "bytes of a program need on this machine if neither waits (`wavetile describe`); Winograd's algorithm,",
            "which saves multiplications, may go below it.",
        ]
        for group, title in GROUPS.items():
            rows = [row for row in self.rows if row.group == group]
            if rows:
                lines += ["", f"**{title}.**", "", *_table(rows)]
        return "\n".join(lines)


def select(names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The names that hold any of the wanted texts; all if none is wanted."""
    return [name for name in names if not wanted or any(text in name for text in wanted)]


def _table(rows: Sequence[Row]) -> list[str]:
    others = list(dict.fromkeys(peer for row in rows for peer in row.sides if peer not in (OURS, PEER)))
    headings = ["", "a call", "difference", OURS, PEER, "faster", "target"]
    headings += [*others, "instructions", "floor", "times the floor"]
    lines = [_line(headings), _line(["---", "---", *["---:"] * (len(headings) - 2)])]
    for row in rows:
        if row.refusal:
            cells = [row.name, row.call, _shortened(row.refusal), *[""] * (len(headings) - 3)]
        else:
            ours = row.sides[OURS]
            cells = [
                f"{row.name} ({row.note})" if row.note else row.name, row.call, f"{row.difference:.0e}",
                _time(ours), _time(row.sides[PEER]), f"{row.ratio():.2g}x", _targets(row),
            ]  # fmt: skip
            cells += [
                f"{_time(row.sides[peer])}, {row.ratio(peer):.2g}x" if peer in row.sides else "" for peer in others
            ]
            cells += [
                str(row.instructions or ""),
                _floor(row),
                f"{ours.median_us / row.floor_us:.1f}" if row.floor_us else "",
            ]
        lines.append(_line(cells))
    return lines


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _time(timing: Timing) -> str:
    return f"{_number(timing.median_us)} ({_number(timing.p99_us)})"


def _number(microseconds: float) -> str:
    return f"{microseconds:.1f}" if microseconds < 10 else f"{microseconds:.0f}"


def _targets(row: Row) -> str:
    words = []
    for peer, target in row.targets.items():
        if peer in row.sides:
            reached = "reached" if row.ratio(peer) >= target else "missed"
            words.append(f"{target:g}x {'' if peer == PEER else f'{peer} '}{reached}")
    return ", ".join(words)


def _floor(row: Row) -> str:
    return f"{_number(row.floor_us)}, {row.bound}" if row.floor_us else ""


def _shortened(text: str) -> str:
    line = " ".join(text.split()).replace("|", "/")
    return line if len(line) <= LONGEST_REFUSAL else f"{line[: LONGEST_REFUSAL - 4]} ..."
