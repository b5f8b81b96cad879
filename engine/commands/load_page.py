"""Tells of a load: a short table, and one HTML page with its curves that needs nothing else.

The latencies are drawn as HdrHistogram's plots are: the percentile on an axis on which each step to the right is one
nine more, so that the tail has as much room as the middle.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...clients.load import Figures

WIDTH, HEIGHT = 860, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 16, 40
NINES = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999)
CURVES = (("p50", "#2a6f97"), ("p99", "#d9822b"), ("max", "#b23a48"))
STEPS = 240
"""Points of a curve."""

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
  body { margin: 2.5rem auto; max-width: 56rem; padding: 0 1.25rem; color: #20242a; background: #fff;
         font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
  h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .4rem; }
  h2 { font-size: 1.1rem; margin: 2rem 0 .3rem; }
  p { margin: .3rem 0 .8rem; color: #555b65; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
  th, td { padding: .25rem 1.2rem .25rem 0; text-align: left; border-bottom: 1px solid #e3e6ea; }
  th { font-weight: 600; color: #555b65; white-space: nowrap; }
  svg { width: 100%; height: auto; }
  svg text { font: 12px system-ui, "Segoe UI", Roboto, sans-serif; fill: #555b65; }
</style>
</head>
<body>
<h1>$title</h1>
<table>$rows</table>
<h2>Latency by percentile</h2>
<p>From the time at which a frame's last chunk was due to its answer. The dashed line is the deadline.</p>
$percentiles
<h2>Latency over time</h2>
<p>Of the frames that were due in each part of the load, and how many streams were live.</p>
$over_time
</body>
</html>
""")


def figures_table(figures: Figures, limit: int | None = None) -> list[tuple[str, str]]:
    """(label, text) of what a load has shown."""
    counts = figures.counts
    seconds = counts["measured ms"] / 1e3
    rows = [] if limit is None else [("most streams held", str(limit))]
    endings = ", ".join(f"{count} {name}" for name, count in sorted(figures.endings.items()))
    rows += [
        ("streams", f"{counts['streams']} ({endings})"),
        ("frames", f"{counts['frames']} measured in {seconds:g} s, {counts['frames'] / seconds:.0f} a second"),
        ("missed", str(counts["missed"])),
        (f"after the deadline of {figures.deadline_ns / 1e6:g} ms", str(counts["over deadline"])),
        ("latency", _times(figures.latency.summary_ms())),
    ]
    if figures.queue.count:
        rows += [
            ("waited for compute", _times(figures.queue.summary_ms())),
            ("computed in", _times(figures.compute.summary_ms())),
        ]
    if figures.opening.count:
        rows.append(("a stream opened in", _times(figures.opening.summary_ms())))
    rows.append(("the generator was late by", _times(figures.sent_late.summary_ms())))
    rows.append(("held", "yes" if figures.held else "no"))
    return rows


def write_page(path: Path, title: str, figures: Figures, limit: int | None = None) -> None:
    """Write the page of a load."""
    rows = "".join(
        f"<tr><th>{html.escape(label)}</th><td>{html.escape(text)}</td></tr>"
        for label, text in figures_table(figures, limit)
    )
    path.write_text(
        PAGE.substitute(
            title=html.escape(f"Load: {title}"),
            rows=rows,
            percentiles=_percentile_plot(figures),
            over_time=_time_plot(figures),
        ),
        encoding="utf-8",
    )


def _times(summary: dict[str, float]) -> str:
    names = ("p50", "p90", "p99", "p99.9", "max")
    return ", ".join(f"{name} {summary[name]:.3g}" for name in names) + " ms"


class _Frame:
    """A plot's axes: `x` from 0 to 1 is linear, `y` in ms logarithmic between two powers of ten."""

    def __init__(self, times_ms: Sequence[float]) -> None:
        known = [time for time in times_ms if time > 0 and math.isfinite(time)] or [1.0]
        self._low = math.floor(math.log10(min(known)))
        self._high = max(math.ceil(math.log10(max(known))), self._low + 1)

    def x(self, share: float) -> float:
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, time_ms: float) -> float:
        place = (math.log10(max(time_ms, 10.0**self._low)) - self._low) / (self._high - self._low)
        return HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM)

    def axes(self, ticks: Sequence[tuple[float, str]]) -> str:
        parts = []
        for power in range(self._low, self._high + 1):
            y = self.y(10.0**power)
            parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#e3e6ea"/>')
            parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g} ms</text>')
        for share, label in ticks:
            x = self.x(share)
            parts.append(
                f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" stroke="#f0f2f4"/>'
                f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{label}</text>'
            )
        return "".join(parts)

    def curve(self, points: Sequence[tuple[float, float]], colour: str) -> str:
        path = " ".join(f"{self.x(share):.1f},{self.y(time):.1f}" for share, time in points)
        return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>'

    def deadline(self, time_ms: float) -> str:
        y = self.y(time_ms)
        place = f'x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"'
        return f'<line {place} stroke="#20242a" stroke-dasharray="5 4"/>'


def _svg(*parts: str) -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">{"".join(parts)}</svg>'


def _percentile_plot(figures: Figures) -> str:
    """Latency over the number of nines."""
    count = max(figures.latency.count, 1)
    most = max(math.log10(count), 1.0)
    shares = [step / STEPS for step in range(STEPS + 1)]
    # The share of frames beyond shrinks by equal factors from left to right, down to one frame.
    points = [(share, figures.latency.percentile_ns(100 * (1 - 10 ** (-share * most))) / 1e6) for share in shares]
    frame = _Frame([time for _, time in points] + [figures.deadline_ns / 1e6])
    ticks = [
        (-math.log10(1 - percent / 100) / most, f"{percent:g} %")
        for percent in NINES
        if percent and 1 - percent / 100 >= 1 / count
    ]
    curve = frame.curve([(share, time) for share, time in points if math.isfinite(time)], CURVES[0][1])
    return _svg(frame.axes(ticks), frame.deadline(figures.deadline_ns / 1e6), curve)


def _time_plot(figures: Figures) -> str:
    """p50, p99 and the largest latency of each interval, over the number of live streams."""
    intervals = [(number, one) for number, one in sorted(figures.intervals.items()) if one.latency.count]
    if not intervals:
        return _svg()
    last = max(number for number, _ in intervals) + 1
    seconds = last * figures.interval_ns / 1e9
    rows = [((number + 0.5) / last, one.latency.summary_ms(), one.live) for number, one in intervals]
    frame = _Frame([row[name] for _, row, _ in rows for name, _ in CURVES] + [figures.deadline_ns / 1e6])
    most = max((live for _, _, live in rows), default=0) or 1
    floor = HEIGHT - BOTTOM
    bars = "".join(
        f'<rect x="{frame.x(share - 0.5 / last):.1f}" y="{floor - 60 * live / most:.1f}" '
        f'width="{(WIDTH - LEFT - RIGHT) / last:.1f}" height="{60 * live / most:.1f}" fill="#eef2f6"/>'
        for share, _, live in rows
    )
    ticks = [(step / 5, f"{seconds * step / 5:.3g} s") for step in range(6)]
    curves = "".join(frame.curve([(share, row[name]) for share, row, _ in rows], colour) for name, colour in CURVES)
    legend = "".join(
        f'<text x="{LEFT + 10 + 70 * number}" y="{TOP + 12}" style="fill:{colour}">{name}</text>'
        for number, (name, colour) in enumerate(CURVES)
    )
    streams = f'<text x="{WIDTH - RIGHT}" y="{TOP + 12}" text-anchor="end">bars: live streams, at most {most}</text>'
    return _svg(bars, frame.axes(ticks), frame.deadline(figures.deadline_ns / 1e6), curves, legend, streams)
