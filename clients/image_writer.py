"""What becomes of an image's finished regions: they are written as they come, and their times kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from ..engine.errors import SignalError, WavetileError
from .images import ImageSink, ImageSource, create_image
from .images.sink import writing
from .results import Tile


@dataclass(frozen=True, slots=True)
class ImageReport:
    """What came of one image. Times are in seconds.

    `input_shape` and `output_shape`: `[(depth,) height, width, channels]`; that of an output which is no image is the
    network's. `planning_s`: until the stream was admitted, and with it planned and proved. From then on count
    `first_pixel_s`, until something was finished, and `wall_s`, until all was written. `latencies_s`: of each part,
    from its sending, behind those before it, to the arrival of its answer; `max_in_flight` parts waited at once.
    `low` and `high`: of the output's numbers. The network got `pixel * scale + offset`.
    """

    model: str
    output_name: str
    output_path: Path
    order: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    scale: float
    offset: float
    planning_s: float
    first_pixel_s: float
    wall_s: float
    latencies_s: np.ndarray
    max_in_flight: int
    low: float
    high: float

    @property
    def pixels_per_second(self) -> float:
        """Pixels of the input that went through in a second."""
        return float(np.prod(self.input_shape[:-1])) / self.wall_s if self.wall_s else 0.0


class OutputSize(Protocol):
    """An output that is an image, of known size; depth 0: no volume."""

    @property
    def name(self) -> str:
        """The network's name for it."""
        ...

    @property
    def height(self) -> int:
        """Rows."""
        ...

    @property
    def width(self) -> int:
        """Columns."""
        ...

    @property
    def depth(self) -> int:
        """Slices."""
        ...

    @property
    def channels(self) -> int:
        """Numbers a pixel."""
        ...


class ImageWriter:
    """Writes one output of a network as its regions come, and measures; a context manager, as an `ImageSink` is.

    Where nobody says beforehand how large the output is, because the image goes through whole, it is written at the
    end; and one that is no image goes into a .npy as it is.
    """

    def __init__(
        self,
        source: ImageSource,
        path: Path,
        outputs: Sequence[OutputSize],
        *,
        output: str | None,
        tile: int,
        started_s: float,
    ) -> None:
        """Begin a file for `output` of `outputs` (None: the first). Raises SignalError; see `create_image`."""
        self._source, self._path, self._tile = source, path, tile
        self.started_s = started_s
        self._sent_s: deque[float] = deque()
        self._gathered: list[Tile] = []
        self._others: set[str] = set()
        self._sink: ImageSink | None = None
        self.name = output
        self.value: np.ndarray | None = None
        self.shape: tuple[int, ...] = ()
        self.first_pixel_s = 0.0
        self.latencies_s: list[float] = []
        self.max_in_flight = 0
        self.low, self.high = np.inf, -np.inf
        if outputs:
            known = {one.name: one for one in outputs}
            self.name = output or next(iter(known))
            if self.name not in known:
                raise SignalError(
                    f"the model has no output {self.name!r} that is an image; {', '.join(known)} would work"
                )
            size = known[self.name]
            self._create((*([size.depth] if size.depth else []), size.height, size.width, size.channels))

    def sent(self, now_s: float) -> None:
        """A part is being sent."""
        self._sent_s.append(now_s)
        self.max_in_flight = max(self.max_in_flight, len(self._sent_s))

    def received(self, parts: int, tiles: Iterable[Tile], values: Mapping[str, np.ndarray], now_s: float) -> None:
        """So many parts have been answered, and have finished these tiles and other outputs."""
        for _ in range(parts):
            self.latencies_s.append(now_s - self._sent_s.popleft())
        for tile in tiles:
            if self._is_wanted(tile.name, tile.pixels, now_s):
                self._take(tile)
        for name, numbers in values.items():
            if self._is_wanted(name, numbers, now_s):
                self.value, self.shape = numbers, numbers.shape

    def _is_wanted(self, name: str, numbers: np.ndarray, now_s: float) -> bool:
        """Whether these are numbers of the output that is written; if so they are measured."""
        self.name = self.name or name
        if name != self.name:
            self._others.add(name)
            return False
        if not numbers.size:
            return False
        self.first_pixel_s = self.first_pixel_s or now_s - self.started_s
        self.low = min(self.low, float(numbers.min()))
        self.high = max(self.high, float(numbers.max()))
        return True

    def _take(self, tile: Tile) -> None:
        if self._sink is None:
            self._gathered.append(tile)
        else:
            self._write(self._sink, tile)

    def _write(self, sink: ImageSink, tile: Tile) -> None:
        """Write what lies in the image, and not beside it where it was continued."""
        *slices, height, width, _ = self.shape
        kept = tile.pixels[..., : max(0, height - tile.y), : max(0, width - tile.x), :]
        if slices:
            kept = kept[: max(0, slices[0] - tile.z)]
        if kept.size:
            sink.write(kept, tile.y, tile.x, tile.z)

    def _create(self, shape: tuple[int, ...]) -> ImageSink:
        self.shape, geometry = self._source.fitted(shape)
        self._sink = create_image(self._path, self.shape, np.float32, geometry=geometry, tile=self._tile)
        return self._sink

    def _write_gathered(self) -> None:
        """Write what came without being announced."""
        if self._gathered:
            ends = map(_end, self._gathered)
            with self._create(tuple(map(max, zip(*ends, strict=True)))) as sink:
                for tile in self._gathered:
                    self._write(sink, tile)
        elif self.value is None:
            others = f"; {', '.join(sorted(self._others))} would work" if self._others else ""
            raise WavetileError(f"{self._path}: the model gave no output {self.name or ''} for the image{others}")
        elif self._path.suffix.lower() == ".npy":
            with writing(self._path):
                np.save(self._path, self.value)
        else:
            raise SignalError(f"{self._path}: an output of shape {list(self.value.shape)} is no image; .npy takes it")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._sink is not None:
            self._sink.__exit__(kind, error, traceback)
        elif kind is None:
            self._write_gathered()


def _end(tile: Tile) -> tuple[int, ...]:
    """One past the tile's last slice (of volumes), row and column, and its channels."""
    *slices, height, width, channels = tile.pixels.shape
    return (*[tile.z + depth for depth in slices], tile.y + height, tile.x + width, channels)
