"""What one image stream is sent and has finished, in a size that fits a page."""

from __future__ import annotations

import base64
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....session import ImageFormat, ImageResult
from ...served import SessionOutput

MAX_PIXELS = 320
"""Along the longer side of what is shown."""
MAX_PATCHES = 2048
SENT = "sent"


@dataclass(frozen=True, slots=True)
class _Patch:
    """A rectangle of what is shown: of what was sent, or of an output by its name."""

    name: str
    y: int
    x: int
    pixels: np.ndarray


class ImageTap:
    """Keeps every n-th pixel of one image, or of the last slice of a volume; the next image starts anew."""

    def __init__(self, form: ImageFormat) -> None:
        self._form = form
        self._step = max(1, -(-max(form.height, form.width) // MAX_PIXELS))
        self._image_index = 0
        self._share = 0.0
        self._patches: deque[_Patch] = deque(maxlen=MAX_PATCHES)
        self._next = 0
        self._lock = threading.Lock()

    def sent(self, chunk: np.ndarray, /) -> None:
        """No signal comes here."""

    def answered(self, output: SessionOutput, /) -> None:
        """No signal comes here."""

    def part_done(self, z: int, y: int, x: int, pixels: np.ndarray, result: ImageResult, /) -> None:
        """See `Tap`."""
        with self._lock:
            self._take(y, x, pixels, result)

    def _take(self, y: int, x: int, pixels: np.ndarray, result: ImageResult) -> None:
        if result.image_index != self._image_index:
            self._image_index = result.image_index
            self._patches.clear()
        self._add(SENT, y, x, pixels)
        for name, regions in result.regions.items():
            for region in regions:
                self._add(name, region.y, region.x, region.values)
        self._share = result.finished_share

    async def read(self, since: Mapping[str, int]) -> dict[str, Any]:
        """The patches that came after a position, and the next position; pixels are float32 in base64."""
        with self._lock:
            patches, following = list(self._patches), self._next
        first = max(since.get("patches", 0), following - len(patches))
        return {
            "image_index": self._image_index,
            "finished_share": None if np.isnan(self._share) else self._share,
            "height": -(-self._form.height // self._step),
            "width": -(-self._form.width // self._step),
            "step": self._step,
            "patches": {
                "first": first,
                "next": following,
                "data": [_as_json(patch) for patch in patches[len(patches) - (following - first) :]],
            },
        }

    def _add(self, name: str, y: int, x: int, pixels: np.ndarray) -> None:
        """`pixels` are `[1, channels, rows, columns]`, of a volume `[1, channels, slices, rows, columns]`."""
        step = self._step
        plane = pixels[0, 0, -1] if pixels.ndim == 5 else pixels[0, 0]
        shown = plane[-y % step :: step, -x % step :: step]
        if shown.size:
            self._patches.append(_Patch(name, -(-y // step), -(-x // step), np.array(shown, np.float32)))
            self._next += 1


def _as_json(patch: _Patch) -> dict[str, Any]:
    height, width = patch.pixels.shape
    data = base64.b64encode(patch.pixels.astype("<f4").tobytes()).decode()
    return {"name": patch.name, "y": patch.y, "x": patch.x, "height": height, "width": width, "data": data}
