"""Draws the image's part of the demo's report: the image, the mosaic while it fills, and what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..console import in_bytes
from .figure import BLUE, GREY, INK, ORANGE, style
from .record import ImageRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

SIZE_INCHES = (11.0, 6.9)
MOMENTS = (0.12, 0.37, 0.66, 0.95)
"""Shares of the tiles after which the mosaic is shown."""
UNFINISHED = "#CDD1D7"
THRESHOLD = 0.5
SHOWN_UP_TO = 1.25
"""Brightest value shown, where 1 is the image's bright percentile: condensed nuclei keep some of their texture."""


def draw_image(record: ImageRecord) -> Figure:
    """The image's part as a figure of its own. Needs matplotlib."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=SIZE_INCHES, dpi=130, facecolor="white")
        fill_image(figure, record)
    return figure


def fill_image(figure: FigureBase, record: ImageRecord) -> None:
    """Draw into a figure, or a part of one, of `SIZE_INCHES`; call it within `style`."""
    grid = figure.add_gridspec(2, 1, height_ratios=(1.95, 1), left=0.03, right=0.97, top=0.95, bottom=0.085, hspace=0.2)
    above, below = grid[0].subgridspec(1, 2, wspace=0.04), grid[1].subgridspec(1, len(MOMENTS), wspace=0.06)
    image, overlay = figure.add_subplot(above[0, 0]), figure.add_subplot(above[0, 1])
    height, width = record.image.shape
    for axes in (image, overlay):
        axes.imshow(np.maximum(record.image, 0) ** 0.7, cmap="gray", vmin=0, vmax=SHOWN_UP_TO**0.7)
    image.set_title(f"Image: {height} x {width} pixels, in tiles of {record.tile_pixels}")
    overlay.contour(record.probability, [THRESHOLD], colors=[ORANGE], linewidths=0.9)
    overlay.set_title(f"Found by {record.model}: outlines of the mosaic")
    tiles = len(record.finished)
    mosaics = [figure.add_subplot(below[0, column]) for column in range(len(MOMENTS))]
    for axes, share in zip(mosaics, MOMENTS, strict=True):
        _moment(axes, record, max(1, round(share * tiles)))
    for axes in (image, overlay, *mosaics):
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color(GREY)
    figure.text(0.03, 0.02, captions(record), fontsize=9.5, va="bottom")


def _moment(axes: Axes, record: ImageRecord, tiles: int) -> None:
    """The mosaic after so many tiles: finished pixels, and around the newest an outline; a dashed one of what came."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle as Outline

    colours = LinearSegmentedColormap.from_list("probability", ["white", BLUE]).with_extremes(bad=UNFINISHED)
    shown = mosaic_after(record, tiles)
    axes.imshow(np.ma.masked_invalid(shown), cmap=colours, vmin=0, vmax=1, interpolation="nearest")
    for y, x, rows, columns in record.finished[tiles - 1]:
        axes.add_patch(Outline((x - 0.5, y - 0.5), columns, rows, fill=False, edgecolor=ORANGE, linewidth=1.6))
    xs, ys = arrived_outline(record, tiles)
    axes.plot(xs, ys, color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
    axes.set_xlim(-0.5, shown.shape[1] - 0.5)
    axes.set_ylim(shown.shape[0] - 0.5, -0.5)
    axes.set_title(f"After {tiles} of {len(record.finished)} tiles", fontsize=9.5)


def mosaic_after(record: ImageRecord, tiles: int) -> np.ndarray:
    """The mosaic `[height, width]` after so many tiles; NaN where nothing is finished yet."""
    shown = np.full_like(record.probability, np.nan)
    for rectangles in record.finished[:tiles]:
        for y, x, rows, columns in rectangles:
            part = slice(y, y + rows), slice(x, x + columns)
            shown[part] = record.probability[part]
    return shown


def arrived_outline(record: ImageRecord, tiles: int) -> tuple[list[float], list[float]]:
    """The lower edge of the first `tiles` tiles, from left to right, as the corners' columns and rows."""
    height, width = record.image.shape
    across = -(-width // record.tile_pixels)
    rows, extra = divmod(tiles, across)
    upper, lower = (min(count * record.tile_pixels, height) - 0.5 for count in (rows, rows + 1))
    step = min(extra * record.tile_pixels, width) - 0.5
    return [-0.5, step, step, width - 0.5], [lower, lower, upper, upper]


def captions(record: ImageRecord) -> str:
    """What the picture does not show, in two lines."""
    return (
        f"Grey: not finished yet. Orange: what the newest tile finished. Dashed: how far the tiles have come.\n"
        f"First finished pixel after {record.first_pixel_ms:.1f} ms "
        f"(the whole image at once: {record.at_once_ms:.0f} ms); "
        f"{np.median(record.tile_ms):.1f} ms a tile (median); {in_bytes(record.kept_bytes)} kept; "
        f"largest difference {record.max_difference:.1g}."
    )
