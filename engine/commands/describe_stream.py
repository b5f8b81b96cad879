"""What `describe --axis` says: the certificate of a network's stream, and its facts node by node."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..models.model import Model
    from ..plan.streaming import Certificate, StreamPlan
    from ..plan.streaming.outline import NodeFact


def planned(
    model: Model, axes: Sequence[str], step: int | None, sizes: Sequence[str]
) -> tuple[StreamPlan, Certificate]:
    """Plan a network's stream as the command line says."""
    return model.streams.plan(list(axes), [step] * len(axes), _read_sizes(sizes))


def stream_facts(plan: StreamPlan, certificate: Certificate) -> dict:
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
        for fact in outline(plan)
    ]
    steps = [
        {"axis": axis.timeline.name, "step": axis.step, "first": axis.first, "grain": axis.timeline.grain}
        for axis in plan.axes
    ]
    return {"steps": steps, "certificate": asdict(certificate), "nodes": nodes}


def proof_rows(plan: StreamPlan, certificate: Certificate, nodes: Sequence[NodeFact]) -> list[tuple[str, str]]:
    """What is known of the whole stream, a label and a text a row."""
    from .console import in_bytes

    rows = []
    for axis, fact in zip(plan.axes, certificate.axes, strict=True):
        delays = ", ".join(f"{name} {delay:g}" for name, delay in fact.delay.items())
        rows.append((f"along {fact.name}", f"steps of {axis.step}, the first of {axis.first}; delay: {delays}"))
    lengths = " x ".join(str(length) for length in certificate.lengths)
    rows.append(("proof", f"in steps and at once, {lengths}: largest difference {certificate.max_difference:.2g}"))
    ours, whole = certificate.multiply_adds
    rows.append(("multiply-adds", f"{ours / whole:.3f} of those at once" if whole else "none"))
    kept = in_bytes(sum(node.kept_bytes for node in nodes))
    rows.append(("kept", f"{kept} of values, recurrent states beside them"))
    return rows


def print_stream(plan: StreamPlan, certificate: Certificate) -> None:
    """A table of the axes and the proof, then one of the nodes."""
    from rich.table import Table

    from ..plan.streaming.outline import outline
    from .console import output

    facts = outline(plan)
    proof = Table(box=None, show_header=False, pad_edge=False)
    proof.add_column(style="bold", no_wrap=True)
    proof.add_column(overflow="fold")
    for row in proof_rows(plan, certificate, facts):
        proof.add_row(*row)
    output().print(proof)
    table = Table(box=None, pad_edge=False)
    for name in (
        "operator",
        "value",
        *(f"{what} {axis.timeline.name}" for axis in plan.axes for what in ("a step along", "delay", "kept")),
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


def _read_sizes(texts: Sequence[str]) -> dict[str, int]:
    from ..errors import SignalError

    sizes = {}
    for text in texts:
        name, equals, size = text.rpartition("=")
        if not equals or not size.isdecimal():
            raise SignalError(f"--size {text}: NAME=64 would work")
        sizes[name] = int(size)
    return sizes
