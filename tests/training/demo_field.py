"""Draws the field of nuclei that the demo streams tile by tile, and writes it where the demo reads it.

    python -m tests.training.demo_field FOLDER

writes nuclei.npy.xz (which ships in engine/commands/demo) and says how much of it the nuclei cover. The field is
drawn by `fields` like those that the network learned from, at a seed that training does not use: no image of anybody is
in it, so that it may be passed on under the project's licence.
"""

from __future__ import annotations

import io
import lzma
import sys
from pathlib import Path

import numpy as np

from tests.training.fields import draw_field

SEED = 120
HEIGHT, WIDTH = 640, 896
GREY_LEVELS = 96
"""From the darkest pixel to the brightest; enough for this field's noise, and few enough to pack well."""
BRIGHTEST_PERCENTILE = 99.9
HEADROOM = 1.05


def make() -> tuple[np.ndarray, np.ndarray]:
    """The field `[height, width] uint8` and its mask `[height, width] bool`."""
    image, mask = draw_field(np.random.default_rng(SEED), WIDTH)
    top = (WIDTH - HEIGHT) // 2
    image, mask = image[top : top + HEIGHT], mask[top : top + HEIGHT]
    darkest = image.min()
    brightest = HEADROOM * np.percentile(image, BRIGHTEST_PERCENTILE)
    levels = np.rint((image - darkest) / (brightest - darkest) * (GREY_LEVELS - 1))
    return np.clip(levels, 0, GREY_LEVELS - 1).astype(np.uint8), mask


def main(folder: Path) -> None:
    """Write nuclei.npy.xz below `folder`."""
    image, mask = make()
    content = io.BytesIO()
    np.save(content, image)
    path = folder / "nuclei.npy.xz"
    path.write_bytes(lzma.compress(content.getvalue(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{path}: {path.stat().st_size} bytes, {100 * mask.mean():.1f} % nuclei")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m tests.training.demo_field FOLDER")
    main(Path(sys.argv[1]))
