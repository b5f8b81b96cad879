"""What `describe --axis` says: a stream's certificate and its facts node by node; of windows, what they share."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..models.model import Model
    from ..plan.streaming import Certificate, StreamPlan
    from ..plan.streaming.outline import NodeFact


@dataclass(frozen=True, slots=True)
class Proved:
    """A stream that is described."""

    plan: StreamPlan
    certificate: Certificate
    rate_hz: float | None
    """Elements a second along the innermost axis, where it is time."""

    def delays_ms(self) -> dict[str, float]:
        """Output -> how long it lags the input; empty where nobody said how long an element takes."""
        delays = self.certificate.axes[-1].delay
        return {name: 1000 * delay / self.rate_hz for name, delay in delays.items()} if self.rate_hz else {}


def planned(model: Model, axes: Sequence[str], step: int | None, sizes: Sequence[str], rate_hz: float | None) -> Proved:
    """Plan a network's stream as the command line says."""
    return Proved(*model.streams.plan(list(map(_read_axis, axes)), [step] * len(axes), _read_sizes(sizes)), rate_hz)


def say_windows(
    model: Model, axes: Sequence[str], window: int | None, hop: int | None, sizes: Sequence[str], *, as_json: bool
) -> None:
    """Say what windows of a signal have in common."""
    import json
    import sys
    from dataclasses import asdict

    from rich.table import Table

    from ..errors import SignalError
    from .console import in_count, output

    if len(axes) != 1:
        raise SignalError(f"windows lie along one axis, and --axis was given {len(axes)} times; once would work")
    stream = model.windows(axis=_read_axis(axes[0]), window=window, hop=hop, sizes=_read_sizes(sizes))
    sharing = stream.sharing
    if as_json:
        json.dump({"window": stream.window, "hop": stream.hop, **asdict(sharing)}, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("windows", f"of {stream.window} along {axes[0]}, every {stream.hop}")
    table.add_row(
        "shared", f"up to {', '.join(sharing.values)}" if sharing.values else "nothing: each is computed whole"
    )
    if sharing.multiply_adds is not None and sharing.multiply_adds_whole is not None:
        counts = (
            f"{in_count(sharing.multiply_adds)} a window; {in_count(sharing.multiply_adds_whole)} if nothing is shared"
        )
        table.add_row("multiply-adds", counts)
        table.add_row("proof", f"both ways: largest difference {sharing.max_difference:.2g}")
    if sharing.limit:
        table.add_row("no more, for", sharing.limit)
    output().print(table)


def stream_facts(proved: Proved) -> dict:
    """Everything that is said about a stream, for JSON."""
    from dataclasses import asdict

    from ..plan.streaming.outline import outline

    nodes = [
        {
            "operator": fact.operator,
            "node": fact.node,
            "value": fact.value,
            "reads": list(fact.reads),
            "axes": [{"rate": float(axis.rate), "delay": float(axis.delay), "kept": axis.kept} for axis in fact.axes],
            "kept_bytes": fact.kept_bytes,
        }
        for fact in outline(proved.plan)
    ]
    steps = [
        {"axis": axis.timeline.name, "step": axis.step, "first": axis.first, "grain": axis.timeline.grain}
        for axis in proved.plan.axes
    ]
    certificate = asdict(proved.certificate)
    return {"steps": steps, "certificate": certificate, "delay_ms": proved.delays_ms(), "nodes": nodes}


def proof_rows(proved: Proved, nodes: Sequence[NodeFact]) -> list[tuple[str, str]]:
    """What is known of the whole stream, a label and a text a row."""
    from .console import in_bytes

    certificate = proved.certificate
    rows = []
    for axis, fact in zip(proved.plan.axes, certificate.axes, strict=True):
        delays = ", ".join(f"{name} {delay:g}" for name, delay in fact.delay.items())
        rows.append((f"along {fact.name}", f"steps of {axis.step}, the first of {axis.first}; delay: {delays}"))
    if delays_ms := proved.delays_ms():
        rows.append(("in time", ", ".join(f"{name} {delay:.4g} ms" for name, delay in delays_ms.items())))
    lengths = " x ".join(str(length) for length in certificate.lengths)
    rows.append(("proof", f"in steps and at once, {lengths}: largest difference {certificate.max_difference:.2g}"))
    rows.append(("shown by", f"outputs that vary by {certificate.variation:.2g} of their scale at least"))
    ours, whole = certificate.multiply_adds
    rows.append(("multiply-adds", f"{ours / whole:.3f} of those at once" if whole else "none"))
    kept = in_bytes(sum(node.kept_bytes for node in nodes))
    rows.append(("kept", f"{kept} of values, recurrent states beside them"))
    return rows


def print_stream(proved: Proved) -> None:
    """A table of the axes and the proof, then one of the nodes."""
    from rich.table import Table

    from ..plan.streaming.outline import outline
    from .console import output

    facts = outline(proved.plan)
    proof = Table(box=None, show_header=False, pad_edge=False)
    proof.add_column(style="bold", no_wrap=True)
    proof.add_column(overflow="fold")
    for row in proof_rows(proved, facts):
        proof.add_row(*row)
    output().print(proof)
    table = Table(box=None, pad_edge=False)
    for name in (
        "operator",
        "value",
        *(f"{what} {axis.timeline.name}" for axis in proved.plan.axes for what in ("a step along", "delay", "kept")),
    ):
        table.add_column(name, overflow="fold", justify="left" if name in ("operator", "value") else "right")
    for fact in facts:
        table.add_row(fact.operator, fact.value, *_columns(fact))
    output().print(table)


def _columns(fact: NodeFact) -> list[str]:
    columns = []
    for axis in fact.axes:
        columns += [_number(axis.rate), _number(axis.delay), str(axis.kept) if axis.kept else ""]
    return columns


def _number(value: Fraction) -> str:
    return str(value) if value.denominator <= 99 else f"{float(value):.4g}"


def _read_axis(text: str) -> str | dict[str, int]:
    """NAME or INPUT=DIMENSION."""
    name, equals, dimension = text.rpartition("=")
    return {name: int(dimension)} if equals and dimension.isdecimal() else text


def _read_sizes(texts: Sequence[str]) -> dict[str, int]:
    from ..errors import SignalError

    sizes = {}
    for text in texts:
        name, equals, size = text.rpartition("=")
        if not equals or not size.isdecimal():
            raise SignalError(f"--size {text}: NAME=64 would work")
        sizes[name] = int(size)
    return sizes
