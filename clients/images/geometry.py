"""How large an image's pixels are, and where they lie in space."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

MM_PER_UNIT = {
    "nanometer": 1e-6, "nm": 1e-6,
    "micrometer": 1e-3, "micron": 1e-3, "um": 1e-3, "µm": 1e-3, "\\u00B5m": 1e-3,
    "millimeter": 1.0, "mm": 1.0,
    "centimeter": 10.0, "cm": 10.0,
    "inch": 25.4,
    "meter": 1000.0, "m": 1000.0,
}  # fmt: skip
"""By OME-NGFF's names of units, ImageJ's and TIFF's."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """The distance between pixels, and a NIfTI's coordinates.

    `spacing_mm`: `(depth, height, width)`, None where the file does not say. `affine`: `[4, 4]` float64, takes
    (column, row, slice, 1) to millimetres in the scanner's space.
    """

    spacing_mm: tuple[float, float, float] | None = None
    affine: np.ndarray | None = None

    def resampled(self, before: tuple[int, ...], after: tuple[int, ...]) -> Geometry:
        """The geometry of an image of shape `after` over the same field as one of shape `before`.

        Of a network whose output has half the rows, each pixel is two rows high, and its centre lies between them.
        """
        depth, height, width = (old / new for old, new in zip((1, *before)[-4:-1], (1, *after)[-4:-1], strict=True))
        scaled = self
        if self.spacing_mm is not None:
            z, y, x = self.spacing_mm
            scaled = replace(scaled, spacing_mm=(z * depth, y * height, x * width))
        if self.affine is not None:
            steps = np.diag([width, height, depth, 1.0])
            steps[:3, 3] = [(step - 1) / 2 for step in (width, height, depth)]
            scaled = replace(scaled, affine=self.affine @ steps)
        return scaled
