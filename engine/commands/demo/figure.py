"""Draws the sound's part of the demo's report: spectrograms, speech over time, and how long each frame took."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

from .record import DemoRecord, StreamRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure, FigureBase
    from matplotlib.image import AxesImage

# Okabe and Ito's colours: told apart with every kind of colour vision.
BLUE, ORANGE, GREEN, GREY, INK = "#0072B2", "#E69F00", "#009E73", "#8A8F98", "#20242A"
SIZE_INCHES = (11.0, 10.0)
FRAME_SECONDS = 0.032
STEP_SECONDS = 0.004
RANGE_DB = 70.0
"""How far below the loudest cell of the noisy clip the colour scale goes."""


def style() -> AbstractContextManager[None]:
    """The report's type and colours, for drawing within. Needs matplotlib."""
    import matplotlib as mpl

    parameters: dict[Any, Any] = {
        "font.family": "DejaVu Sans", "font.size": 9.5, "axes.edgecolor": GREY, "axes.labelcolor": INK,
        "axes.titlelocation": "left", "axes.titlesize": 11, "axes.titleweight": "bold", "axes.titlecolor": INK,
        "xtick.color": INK, "ytick.color": INK, "text.color": INK, "axes.linewidth": 0.8,
    }  # fmt: skip
    return mpl.rc_context(parameters)


def draw(record: DemoRecord) -> Figure:
    """The sound's part of the report as one figure. Needs matplotlib."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=SIZE_INCHES, dpi=130, facecolor="white")
        fill(figure, record)
    return figure


def fill(figure: FigureBase, record: DemoRecord, title: str = "") -> None:
    """Draw into a figure, or a part of one, of `SIZE_INCHES`, under a title if there is one; call it within `style`."""
    grid = figure.add_gridspec(
        3, 2, height_ratios=(2.25, 0.6, 0.72), width_ratios=(1, 0.014),
        left=0.075, right=0.925, top=0.92 if title else 0.965, bottom=0.055, hspace=0.36, wspace=0.025,
    )  # fmt: skip
    spectrograms = grid[0, 0].subgridspec(2, 1, hspace=0.2)
    before = figure.add_subplot(spectrograms[0])
    after = figure.add_subplot(spectrograms[1], sharex=before, sharey=before)
    speech = figure.add_subplot(grid[1, 0], sharex=before)
    latency = figure.add_subplot(grid[2, 0])
    before.tick_params(labelbottom=False)
    after.tick_params(labelbottom=False)
    if title:
        figure.suptitle(title, x=0.075, y=0.98, ha="left", fontsize=14, fontweight="bold")
    loudest_db = float(spectrogram_db(record.noisy, record.sample_rate_hz).max())
    _spectrogram(before, record.noisy, record.sample_rate_hz, loudest_db, "Before: speech in a murmuring room")
    name = f"After: denoised live by {record.denoiser.model}"
    image = _spectrogram(after, record.enhanced, record.sample_rate_hz, loudest_db, name)
    _label_colours(figure.colorbar(image, cax=figure.add_subplot(grid[0, 1])))
    _speech(speech, record)
    _latency(latency, (record.denoiser, record.detector))


def spectrogram_db(samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Power of `[samples]` in short Hann windows: `[frames, bins]` in dB, 0 at the peak of a full-scale sine."""
    size, step = round(FRAME_SECONDS * sample_rate_hz), round(STEP_SECONDS * sample_rate_hz)
    padded = np.pad(np.asarray(samples, np.float64), (size // 2, size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[: len(samples) : step]
    window = np.hanning(size + 1)[:-1]
    magnitude = np.abs(np.fft.rfft(frames * window, axis=1)) * 2 / window.sum()
    return 20 * np.log10(np.maximum(magnitude, 1e-7))


def _spectrogram(axes: Axes, samples: np.ndarray, sample_rate_hz: int, loudest_db: float, title: str) -> AxesImage:
    seconds = len(samples) / sample_rate_hz
    image = axes.imshow(
        spectrogram_db(samples, sample_rate_hz).T, origin="lower", aspect="auto", cmap="magma",
        interpolation="bilinear", vmin=loudest_db - RANGE_DB, vmax=loudest_db,
        extent=(0, seconds, 0, sample_rate_hz / 2000),
    )  # fmt: skip
    axes.set_title(title)
    axes.set_ylabel("frequency (kHz)")
    return image


def _label_colours(bar: Colorbar) -> None:
    bar.set_label("level (dB; a full-scale sine is 0)")
    bar.outline.set_visible(False)


def _speech(axes: Axes, record: DemoRecord) -> None:
    """Probability as steps, what was detected as shaded spans, what was spoken as bars above."""
    for index, (start, end) in enumerate(record.segments):
        label = "detected as speech" if index == 0 else None
        axes.axvspan(start, end, color=BLUE, alpha=0.16, linewidth=0, label=label)
    for index, (start, end) in enumerate(record.spoken):
        axes.plot([start, end], [1.13, 1.13], color=ORANGE, linewidth=5, solid_capstyle="butt",
                  label="really spoken" if index == 0 else None)  # fmt: skip
    edges = np.arange(len(record.probability) + 1) * record.probability_step_seconds
    axes.stairs(record.probability, edges, color=BLUE, linewidth=1.6, baseline=None, label="probability of speech")
    axes.axhline(record.threshold, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), label="threshold")
    axes.set_xlim(0, record.seconds)
    axes.set_ylim(-0.03, 1.22)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("probability")
    axes.set_xlabel("time (s)")
    axes.set_title(f"Speech by {record.detector.model}")
    _clean(axes)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, frameon=False, borderaxespad=0.2)


def _latency(axes: Axes, streams: tuple[StreamRecord, ...]) -> None:
    """Both streams' histograms over one logarithmic axis, with p50, p99 and the frame's own length as the limit."""
    measured = [stream for stream in streams if len(stream.latencies_ms)]
    every = np.concatenate([stream.latencies_ms for stream in measured]) if measured else np.array([1.0])
    lowest = max(0.01, float(every.min())) / 1.3
    highest = max(float(every.max()), *(stream.frame_ms for stream in streams)) * 1.5
    bins = np.geomspace(lowest, highest, 72)
    for stream, colour in zip(streams, (GREEN, BLUE), strict=False):
        share = np.full(len(stream.latencies_ms), 100 / max(1, len(stream.latencies_ms)))
        p50, p99 = stream.percentile_ms(50), stream.percentile_ms(99)
        label = f"{stream.model}: {len(stream.latencies_ms)} frames, p50 {p50:.2f} ms, p99 {p99:.2f} ms"
        axes.hist(stream.latencies_ms, bins, weights=share, color=colour, alpha=0.55, label=label)  # type: ignore[arg-type]
        axes.axvline(p99, color=colour, linewidth=1.4, linestyle=(0, (1.5, 1.5)))
        axes.axvline(stream.frame_ms, color=colour, linewidth=1.8)
    top = axes.get_ylim()[1] * 1.06
    axes.set_ylim(0, top)
    axes.set_xscale("log")
    axes.set_xlim(lowest, highest)
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if lowest <= tick <= highest]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    for stream, colour in zip(streams, (GREEN, BLUE), strict=False):
        axes.annotate(f"due: {stream.frame_ms:g} ms", (stream.frame_ms, top), (-4, -4), textcoords="offset points",
                      ha="right", va="top", rotation=90, color=colour, fontsize=8.5)  # fmt: skip
        axes.annotate("p99", (stream.percentile_ms(99), 0.5 * top), (-3, 0), textcoords="offset points",
                      ha="right", va="top", rotation=90, color=colour, fontsize=8.5)  # fmt: skip
    axes.set_xlabel("latency of a frame over gRPC, from sending its last samples to receiving its result (ms)")
    axes.set_ylabel("frames (%)")
    axes.set_title("Latency")
    _clean(axes)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False, borderaxespad=0.2)


def _clean(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
