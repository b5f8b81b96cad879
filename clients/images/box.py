"""A rectangle of pixels, in slices of a volume."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """`height` rows from `y` and `width` columns from `x`, of the `depth` slices from `z`; an image has the slice 0."""

    y: int
    x: int
    height: int
    width: int
    z: int = 0
    depth: int = 1

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """What indexes an array `[depth, height, width, ...]`."""
        return (
            slice(self.z, self.z + self.depth),
            slice(self.y, self.y + self.height),
            slice(self.x, self.x + self.width),
        )

    def lies_in(self, extent: tuple[int, ...]) -> bool:
        """Tell whether the box has pixels, all of them inside `[depth, height, width, ...]`."""
        return all(0 <= part.start < part.stop <= size for part, size in zip(self.slices, extent, strict=False))

    def __str__(self) -> str:
        return " x ".join(f"{part.start}:{part.stop}" for part in self.slices)


def whole(extent: tuple[int, ...]) -> Box:
    """The box of all pixels of `[(depth,) height, width, channels]`."""
    depth, height, width = (1, *extent)[-4:-1]
    return Box(0, 0, height, width, 0, depth)
