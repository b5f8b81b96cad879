"""Draws a network's stream: one HTML page with the proof and the graph, that needs nothing else.

Nodes stand in the order in which data meets them. A box's colour says how far its value lags the input, from light to
dark; the bar below it how much of it is kept, on a logarithmic scale.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..plan.streaming.outline import NodeFact
    from .describe_stream import Proved

BOX_WIDTH, BOX_HEIGHT = 168, 40
COLUMN, ROW = 196, 66
MARGIN = 16
BOW = 90
"""How far the edge that passes most rows swings out."""
BAR_HEIGHT = 4
MOST_BYTES = 1 << 24
"""A bar of full width."""
LABEL_CHARACTERS = 24
PALETTE = ("#f7f9fa", "#e8eff5", "#d8e5f0", "#c6daea", "#b2cee4", "#9cc0dc")

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$name as a stream</title>
<style>
  body { margin: 2.5rem auto; max-width: 76rem; padding: 0 1.25rem; color: #20242a; background: #fff;
         font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
  h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .4rem; }
  p { margin: .4rem 0 1.2rem; max-width: 52rem; }
  table { border-collapse: collapse; margin: 1.2rem 0; font-variant-numeric: tabular-nums; }
  th, td { padding: .3rem .9rem .3rem 0; text-align: left; border-bottom: 1px solid #e3e6ea; }
  th { font-weight: 600; color: #555b65; white-space: nowrap; }
  .wide { overflow-x: auto; }
  svg text { font: 12px system-ui, "Segoe UI", Roboto, sans-serif; fill: #20242a; }
  svg .small { font-size: 10.5px; fill: #555b65; }
</style>
</head>
<body>
<h1>$name as a stream</h1>
<p>Each box is a value: the operator that makes it, how many of its elements there are for each of the inputs', and by
how many of those it lags. The darker, the later. The bar says how much of it is kept from step to step.</p>
<div class="wide"><table>$facts</table></div>
<div class="wide">$graph</div>
</body>
</html>
""")


def write_page(path: Path, proved: Proved) -> None:
    """Write the page of a plan."""
    from ..plan.streaming.outline import outline
    from .describe_stream import proof_rows

    nodes = outline(proved.plan)
    rows = "".join(
        f"<tr><th>{html.escape(label)}</th><td>{html.escape(text)}</td></tr>"
        for label, text in proof_rows(proved, nodes)
    )
    path.write_text(
        PAGE.substitute(name=html.escape(proved.plan.name), facts=rows, graph=graph(nodes)), encoding="utf-8"
    )


def graph(nodes: Sequence[NodeFact]) -> str:
    """The graph as SVG: a row for each depth, values of one depth side by side."""
    places = _places(nodes)
    width = max(column for _, column in places.values()) * COLUMN + BOX_WIDTH + BOW + 2 * MARGIN
    height = max(row for row, _ in places.values()) * ROW + BOX_HEIGHT + 2 * MARGIN
    latest = max((max(axis.delay for axis in node.axes) for node in nodes), default=0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    ]
    parts += [_edge(places[read], places[node.value]) for node in nodes for read in node.reads]
    parts += [_box(node, places[node.value], float(latest)) for node in nodes]
    return "".join([*parts, "</svg>"])


def _places(nodes: Sequence[NodeFact]) -> dict[str, tuple[int, int]]:
    """Row and column of each value: below all that it is made of, beside what is as deep."""
    places: dict[str, tuple[int, int]] = {}
    filled: dict[int, int] = {}
    for node in nodes:
        row = max((places[read][0] + 1 for read in node.reads), default=0)
        # Long edges, such as skip connections, get a column of their own beside the boxes that they pass.
        column = filled.get(row, 0)
        filled[row] = column + 1
        places[node.value] = row, column
    return places


def _edge(source: tuple[int, int], target: tuple[int, int]) -> str:
    x0, y0 = source[1] * COLUMN + MARGIN + BOX_WIDTH / 2, source[0] * ROW + MARGIN + BOX_HEIGHT
    x1, y1 = target[1] * COLUMN + MARGIN + BOX_WIDTH / 2, target[0] * ROW + MARGIN
    rows = target[0] - source[0]
    if rows == 1:
        path = f"M{x0} {y0} C{x0} {y0 + 16} {x1} {y1 - 16} {x1} {y1}"
    else:
        side = max(x0, x1) + BOX_WIDTH / 2 + min(BOW, 12 + 4 * rows)
        right = f"{x1 + BOX_WIDTH / 2} {y1 + BOX_HEIGHT / 2}"
        path = f"M{x0 + BOX_WIDTH / 2} {y0 - BOX_HEIGHT / 2} C{side} {y0} {side} {y1} {right}"
    return f'<path d="{path}" fill="none" stroke="#9aa3ad" stroke-width="1.2"/>'


def _box(node: NodeFact, place: tuple[int, int], latest: float) -> str:
    x, y = place[1] * COLUMN + MARGIN, place[0] * ROW + MARGIN
    delay = float(max(axis.delay for axis in node.axes))
    shade = PALETTE[min(len(PALETTE) - 1, int(len(PALETTE) * delay / latest)) if latest else 0]
    label = node.operator if node.operator != "input" else node.value
    if len(label) > LABEL_CHARACTERS:
        label = f"{label[: LABEL_CHARACTERS - 1]}…"
    facts = "; ".join(f"{float(axis.rate):.3g} to 1, lags {float(axis.delay):.3g}" for axis in dict.fromkeys(node.axes))
    kept = ", ".join(str(axis.kept) for axis in node.axes)
    title = html.escape(f"{node.value}: keeps {kept} along the axes, {node.kept_bytes} bytes")
    bar = BOX_WIDTH * min(1.0, math.log1p(node.kept_bytes) / math.log(MOST_BYTES))
    return (
        f"<g><title>{title}</title>"
        f'<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5" fill="{shade}" stroke="#b4bcc6"/>'
        f'<text x="{x + 9}" y="{y + 16}">{html.escape(label)}</text>'
        f'<text class="small" x="{x + 9}" y="{y + 31}">{html.escape(facts)}</text>'
        f'<rect x="{x}" y="{y + BOX_HEIGHT + 2}" width="{bar:.1f}" height="{BAR_HEIGHT}" rx="2" fill="#d9822b"/></g>'
    )
