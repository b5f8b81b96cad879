"""Images computed in parts and put together again, each number once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from wavetile.engine.plan.streaming import Steps, StreamPlan
from wavetile.engine.plan.streaming.raster import Raster
from wavetile.engine.plan.streaming.span import Span
from wavetile.engine.session import ScatteredTiles


def in_rectangles(
    plan: StreamPlan, feeds: Mapping[str, np.ndarray], firsts: Sequence[int], backend: str = "cpu"
) -> dict[str, np.ndarray]:
    """Every output of images [1, channels, height, width], in raster order; `firsts`: size of the first rectangle."""
    height, width = next(iter(feeds.values())).shape[2:]
    raster = Raster(Steps(plan, backend, poisoned=True), height, width, firsts)
    joined = _blank(plan, height, width)
    for row, down in enumerate(raster.rows):
        for column, across in enumerate(raster.columns):
            part = np.s_[:, :, slice(*down.arrived), slice(*across.arrived)]
            made = raster.run(row, column, {name: whole[part] for name, whole in feeds.items()})
            for name, (rows, columns, values) in made.items():
                _put(plan, joined, name, (rows, columns), values)
    return joined


def in_tiles(
    plan: StreamPlan, image: np.ndarray, tile: int, order: Iterable[int], backend: str = "cpu"
) -> dict[str, np.ndarray]:
    """Every output of an image [1, channels, height, width] whose tiles come in this order."""
    height, width = image.shape[2:]
    scattered = ScatteredTiles(plan, height, width, tile=tile, backend=backend)
    joined = _blank(plan, height, width)
    places = [(y, x) for y in range(0, height, tile) for x in range(0, width, tile)]
    for y, x in map(places.__getitem__, order):
        for name, regions in scattered.put(y, x, image[:, :, y : y + tile, x : x + tile]).items():
            for region in regions:
                sizes = [region.values.shape[plan.bindings.dim(name, axis)] for axis in (0, 1)]
                starts = region.y, region.x
                spans = [Span(start, start + size) for start, size in zip(starts, sizes, strict=True)]
                _put(plan, joined, name, spans, region.values)
    assert (scattered.complete, scattered.kept_bytes) == (True, 0)
    return joined


def _blank(plan: StreamPlan, height: int, width: int) -> dict[str, np.ndarray]:
    return {name: np.full(shape, np.nan, np.float32) for name, shape in plan.lengths([height, width]).items()}


def _put(
    plan: StreamPlan, joined: Mapping[str, np.ndarray], name: str, spans: Sequence[Span], values: np.ndarray
) -> None:
    place = joined[name][plan.bindings.part(name, spans)]
    assert place.shape == values.shape, f"{name}: a part of another size than its place"
    assert np.isnan(place).all(), f"{name}: computed twice"
    place[...] = values
