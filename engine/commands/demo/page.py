"""Writes the demo's report: one HTML file that needs nothing else, and the same figure as a PNG."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from ..console import in_bytes
from .figure import SIZE_INCHES, draw, fill, style
from .mosaic_figure import SIZE_INCHES as IMAGE_SIZE_INCHES
from .mosaic_figure import draw_image, fill_image
from .record import DemoRecord, ImageRecord, StreamRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>wavetile demo</title>
<style>
  body { margin: 2.5rem auto; max-width: 66rem; padding: 0 1.25rem; color: #20242a; background: #fff;
         font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
  h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .4rem; }
  h2 { font-size: 1.3rem; line-height: 1.25; margin: 2.5rem 0 .4rem; }
  p { margin: .4rem 0 1.2rem; max-width: 48rem; }
  table { border-collapse: collapse; margin: 1.2rem 0; font-variant-numeric: tabular-nums; }
  th, td { padding: .35rem .9rem .35rem 0; text-align: right; border-bottom: 1px solid #e3e6ea; white-space: nowrap; }
  th { font-weight: 600; color: #555b65; font-size: .85rem; vertical-align: bottom; }
  th:first-child, td:first-child { text-align: left; }
  .listen { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1.2rem 0; }
  .listen figcaption { font-weight: 600; font-size: .9rem; margin-bottom: .3rem; }
  .listen figure { margin: 0; }
  .wide { overflow-x: auto; }
  svg { width: 100%; height: auto; min-width: 40rem; }
  footer { color: #6a707a; font-size: .85rem; margin-top: 1.5rem; }
</style>
</head>
<body>
<h1>$headline</h1>
<p>A server on this machine ran both models while $seconds&nbsp;s of noisy speech came in at real-time pace over gRPC,
20&nbsp;ms at a time, on two streams at once. A frame's latency counts from the sending of the chunk that completed it
to the arrival of its result; the real-time factor is the time computed for a second of sound.</p>
<div class="listen">
  <figure><figcaption>Before</figcaption><audio controls src="data:audio/wav;base64,$noisy"></audio></figure>
  <figure><figcaption>After ($denoiser)</figcaption>
    <audio controls src="data:audio/wav;base64,$enhanced"></audio></figure>
</div>
<div class="wide"><table>
<thead><tr><th>stream</th><th>frames</th><th>frame<br>(ms)</th><th>latency<br>p50 (ms)</th><th>p99<br>(ms)</th>
<th>worst<br>(ms)</th><th>real-time<br>factor</th><th>delay by<br>framing (ms)</th></tr></thead>
<tbody>
$rows
</tbody>
</table></div>
<p>Speech was detected at $segments.</p>
<div class="wide">
$figure
</div>
<h2>$image_headline</h2>
<p>Then $image_model, a network for cell nuclei that comes along, got an image of $image_size pixels over
the same connection, in tiles of $tile&nbsp;&times;&nbsp;$tile, as a microscope's stage would deliver them. What a tile
finishes comes back with it, no pixel is computed twice, and the mosaic is what the network makes of the whole image at
once. What is kept grows with the image's width alone.</p>
<div class="wide"><table>
<thead><tr><th>tiles</th><th>first pixel<br>(ms)</th><th>a tile,<br>p50 (ms)</th><th>all at<br>once (ms)</th>
<th>kept</th><th>the image<br>itself</th><th>largest<br>difference</th></tr></thead>
<tbody>
$image_row
</tbody>
</table></div>
<div class="wide">
$image_figure
</div>
<footer>$machine</footer>
</body>
</html>
""")


def write_report(record: DemoRecord, folder: Path) -> tuple[Path, Path]:
    """Write report.html and report.png below `folder`, and return their paths. Needs matplotlib."""
    image, page = folder / "report.png", folder / "report.html"
    _poster(record).savefig(image)
    page.write_text(compose(record, _svg(draw(record)), _svg(draw_image(record.image))), "utf-8")
    return page, image


def _poster(record: DemoRecord) -> Figure:
    """Sound and image as one figure."""
    from matplotlib.figure import Figure

    heights = SIZE_INCHES[1], IMAGE_SIZE_INCHES[1]
    with style():
        figure = Figure(figsize=(SIZE_INCHES[0], sum(heights)), dpi=130, facecolor="white")
        parts = figure.add_gridspec(2, 1, height_ratios=heights, left=0, right=1, bottom=0, top=1, hspace=0)
        above, below = figure.add_subfigure(parts[0]), figure.add_subfigure(parts[1])
        fill(
            above,
            record,
            f"wavetile demo: {record.seconds:.0f} s of noisy speech, live through two models, and an image",
        )
        fill_image(below, record.image)
    return figure


def _svg(figure: Figure) -> str:
    drawing = io.StringIO()
    figure.savefig(drawing, format="svg", metadata={"Date": None})
    text = drawing.getvalue()
    return text[text.index("<svg") :]


def compose(record: DemoRecord, drawing: str, image_drawing: str) -> str:
    """The page around the drawings of sound and image in SVG."""
    seconds = f"{record.seconds:.1f}"
    worst_ms = max((stream.percentile_ms(100) for stream in (record.denoiser, record.detector)), default=float("nan"))
    spans = [f"{start:.2f}\u2013{end:.2f}\u00a0s" for start, end in record.segments]
    image = record.image
    return PAGE.substitute(
        headline=f"Every frame back within {worst_ms:.1f}\u00a0ms" if np.isfinite(worst_ms) else "No frame came back",
        seconds=seconds,
        noisy=_wav(record.noisy, record.sample_rate_hz),
        enhanced=_wav(record.enhanced, record.sample_rate_hz),
        denoiser=html.escape(record.denoiser.model),
        rows="\n".join(_row(stream) for stream in (record.denoiser, record.detector)),
        segments=" and ".join(spans) or "no time",
        figure=drawing,
        image_headline=f"The first finished pixels of an image after {image.first_pixel_ms:.1f}\u00a0ms",
        image_model=html.escape(image.model),
        image_size="\u00a0\u00d7\u00a0".join(map(str, image.image.shape)),
        tile=image.tile_pixels,
        image_row=_image_row(image),
        image_figure=image_drawing,
        machine=html.escape(record.machine),
    )


def _image_row(image: ImageRecord) -> str:
    cells = (
        str(len(image.finished)),
        f"{image.first_pixel_ms:.1f}",
        f"{np.median(image.tile_ms):.1f}",
        f"{image.at_once_ms:.1f}",
        in_bytes(image.kept_bytes),
        in_bytes(image.image.nbytes),
        f"{image.max_difference:.1e}",
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _row(stream: StreamRecord) -> str:
    cells = (
        html.escape(stream.model),
        str(len(stream.latencies_ms)),
        f"{stream.frame_ms:g}",
        *(f"{stream.percentile_ms(percent):.2f}" for percent in (50, 99, 100)),
        f"{stream.real_time_factor:.4f}",
        f"{stream.delay_ms:g}",
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _wav(samples: np.ndarray, sample_rate_hz: int) -> str:
    """`[samples]` float32 as a 16-bit WAV file in base64."""
    content = io.BytesIO()
    soundfile.write(content, samples, sample_rate_hz, format="WAV", subtype="PCM_16")
    return base64.b64encode(content.getvalue()).decode()
