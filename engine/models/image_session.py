"""Images on one network as they arrive: whole, in tiles, in rows or in slices, one image after the other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ModelError, SignalError
from ..plan.streaming import StreamPlan, facts
from ..session import (
    AxisStream,
    ImageFormat,
    ImageOutput,
    ImageResult,
    LineStream,
    Neighbourhoods,
    Region,
    ScatteredTiles,
    TileStream,
)
from ..session.images import DEFAULT_TILE_PIXELS, IMAGE_ORDERS
from .axes import Sizes

if TYPE_CHECKING:
    from .images import TakesImages

CHANNEL_DIMENSION = 1


class ImageSession:
    """Takes images of one format part by part. Computed in the caller's thread; what comes out is the whole's."""

    def __init__(self, model: TakesImages, form: ImageFormat, *, max_bytes: int | None = None) -> None:
        """Plan what the format asks for, and prove it; see `Model.images`."""
        _check_format(form)
        self._model, self._form = model, form
        self._extents = [form.height, form.width] if form.order == "slices" else [form.width]
        self._tile = form.tile_pixels or DEFAULT_TILE_PIXELS
        self._is_volume = form.depth > 0 or form.order == "slices"
        self._rank = 5 if self._is_volume else 4
        self._lines = (form.depth if self._is_volume else form.height) or None
        try:
            self._sizes = self._channel_size()
            self._plan = self._planned()
            self.outputs: tuple[ImageOutput, ...] = () if self._plan is None else self._described(self._plan)
            """The outputs, once they are known: with whole images they never are."""
            self.kept_bytes = 0 if self._plan is None else self._needed_bytes(self._plan)
            """The most that an image keeps between its parts."""
            self._check_bytes("keep", self.kept_bytes, max_bytes, "a narrower image or smaller parts")
            self._neighbourhoods = (
                Neighbourhoods(self._plan, form.height, form.width, self._tile)
                if self._plan is not None and form.order == "any"
                else None
            )
            if max_bytes is not None:  # which compiles all that is computed
                self._check_bytes("need", self._computing_bytes(), max_bytes, "smaller parts")
        except ModelError as error:
            raise SignalError(str(error)) from error
        self._image: TileStream | ScatteredTiles | LineStream | None = None
        """The one that is arriving; None before its first part."""
        self._image_index = 0
        self._finished_pixels = 0

    def put(self, z: int, y: int, x: int, pixels: np.ndarray) -> ImageResult:
        """Take the next part of an image, or the first of the next image.

        Args:
            z: its first slice; 0 in an image.
            y: its first row.
            x: its first column.
            pixels: [1, channels, rows, columns] or [1, channels, slices, rows, columns], of the network's type.

        Raises:
            SignalError: it is not a part that may come now, or has another type or shape.
        """
        order = self._form.order
        fixed = {"slices": (y, x), "rows": (z, x), "whole": (z, y, x)}.get(order, (z,))
        if any(fixed):
            where = {"slices": "row 0, column 0", "rows": "column 0", "whole": "the first pixel"}.get(order, "slice 0")
            raise SignalError(
                f"a part begins at slice {z}, row {y}, column {x}; with order {order!r} each begins at {where}"
            )
        try:
            if order == "whole":
                return self._at_once(pixels)
            image = self._image = self._image or self._begin()
            if isinstance(image, LineStream):
                return self._result(image, image.put(z if order == "slices" else y, pixels))
            return self._result(image, image.put(y, x, pixels))
        except ModelError as error:
            raise SignalError(str(error)) from error

    def finish(self) -> ImageResult | None:
        """End the signal, and with it an image of which nobody said how much would come; None: no image was begun.

        Raises:
            SignalError: the image is not complete.
        """
        if self._image is None:
            return None
        if not isinstance(self._image, LineStream):
            raise SignalError(f"the signal ends before image {self._image_index} is complete")
        try:
            return self._result(self._image, self._image.finish())
        except ModelError as error:
            raise SignalError(str(error)) from error

    def _channel_size(self) -> Sizes:
        """The number of channels where the network leaves it open. Raises SignalError if the image has another one."""
        source = self._model.streams.only_input()
        declared, form = self._model.inputs[source], self._form
        if declared.dims is None or len(declared.dims) != self._rank:
            raise SignalError(
                f"model {self._model.name!r} takes {declared}, which is no {'volume' if self._is_volume else 'image'} "
                f"of [1, channels, {'slices, ' if self._is_volume else ''}rows, columns]"
            )
        channels = declared.dims[CHANNEL_DIMENSION]
        if channels != form.channels and isinstance(channels, int):
            raise SignalError(f"model {self._model.name!r} takes {channels} channels, not {form.channels}")
        return {} if isinstance(channels, int) else {(source, CHANNEL_DIMENSION): form.channels}

    def _check_bytes(self, verb: str, count: int, most: int | None, what: str) -> None:
        """Raise SignalError if an image takes more memory than is allowed."""
        if most is not None and count > most:
            raise SignalError(
                f"model {self._model.name!r} would {verb} {count} bytes for such an image in order "
                f"{self._form.order!r}; {most} are allowed, so that {what} would work"
            )

    @property
    def _whole_shape(self) -> tuple[int, ...]:
        """Of a whole image, or volume."""
        form = self._form
        return (1, form.channels, *([form.depth] if form.depth else []), form.height, form.width)

    def _planned(self) -> StreamPlan | None:
        """The plan of images that come in parts."""
        streams = self._model.streams
        if self._form.order == "whole":
            return None
        if self._form.order in ("raster", "any"):
            return streams.tile_plan(self._tile, sizes=self._sizes)
        return streams.line_plan(self._extents, self._form.tile_pixels or None, self._sizes)

    def _needed_bytes(self, plan: StreamPlan) -> int:
        form = self._form
        match form.order:
            case "raster":
                return TileStream.needed_bytes(plan, form.height, form.width, self._tile)
            case "any":
                return ScatteredTiles.needed_bytes(plan, form.height, form.width, self._tile)
            case _:
                return LineStream.needed_bytes(plan, self._lines)

    def _computing_bytes(self) -> int:
        """The memory that the largest part is computed in; its programs are compiled."""
        form, plan = self._form, self._plan
        if plan is None:
            program = self._model.program({self._model.streams.only_input(): self._whole_shape})
            return 0 if program is None else program.arena_bytes
        if self._neighbourhoods is not None:
            return self._neighbourhoods.computing_bytes()
        if form.order == "raster":
            return TileStream.computing_bytes(plan, form.height, form.width, self._tile)
        return LineStream.computing_bytes(plan, self._lines)

    def _begin(self) -> TileStream | ScatteredTiles | LineStream:
        """The next image, on the plan that is there: others may be planned meanwhile, which takes long."""
        form, plan, backend = self._form, self._plan, self._model.streams.backend
        assert plan is not None
        match form.order:
            case "raster":
                return TileStream(plan, form.height, form.width, tile=self._tile, backend=backend)
            case "any":
                return ScatteredTiles(
                    plan,
                    form.height,
                    form.width,
                    tile=self._tile,
                    backend=backend,
                    neighbourhoods=self._neighbourhoods,
                )
            case _:
                return LineStream(AxisStream(plan, backend=backend), self._lines)

    def _described(self, plan: StreamPlan) -> tuple[ImageOutput, ...]:
        """The outputs' sizes and delays. Raises SignalError if one is no image as the input is."""
        if len(plan.axes) == 1:
            names, dims, lengths = (["delay_slices" if self._is_volume else "delay_rows"], (2,), [self._lines])
        else:
            names, dims, lengths = (["delay_rows", "delay_columns"], (2, 3), [self._form.height, self._form.width])
        bindings = plan.bindings
        known = [length for length in lengths if length is not None]
        shapes = plan.lengths(known) if known else {name: bindings.shape(name, [0]) for name in bindings.graph.outputs}
        delays = [facts(plan, axis).delay for axis in range(len(plan.axes))]
        outputs = []
        for name, shape in shapes.items():
            if bindings.dims[name] != dims or len(shape) != self._rank or shape[0] != 1:
                raise SignalError(
                    f"output {name!r} of model {self._model.name!r} is {list(shape)}, no image as its input is; "
                    "whole images would work"
                )
            delay = {label: each[name] for label, each in zip(names, delays, strict=True)}
            _, channels, *slices, height, width = shape
            outputs.append(ImageOutput(name, height, width, sum(slices), channels, **delay))
        return tuple(outputs)

    def _at_once(self, pixels: np.ndarray) -> ImageResult:
        """The result of a whole image."""
        if pixels.shape != self._whole_shape:
            raise SignalError(f"an image of shape {list(pixels.shape)}; {list(self._whole_shape)} would work")
        made = self._model.run({self._model.streams.only_input(): pixels})
        is_image = {name: array.ndim == self._rank and array.shape[0] == 1 for name, array in made.items()}
        regions = {name: [Region(0, 0, array)] for name, array in made.items() if is_image[name]}
        values = {name: array for name, array in made.items() if not is_image[name]}
        self._image_index += 1
        return ImageResult(self._image_index - 1, regions, 1.0, values)

    def _result(self, image: TileStream | ScatteredTiles | LineStream, made: Mapping[str, list[Region]]) -> ImageResult:
        """What a part has finished; after the last one there is no image any more."""
        index = self._image_index
        self._finished_pixels += sum(math.prod(one.values.shape[2:]) for regions in made.values() for one in regions)
        if image.complete:
            share = 1.0
            self._image, self._image_index, self._finished_pixels = None, index + 1, 0
        else:
            total = sum(one.height * one.width * (one.depth if self._is_volume else 1) for one in self.outputs)
            share = self._finished_pixels / total if total else math.nan
        return ImageResult(index, made, share)


def _check_format(form: ImageFormat) -> None:
    """Raise SignalError unless the format says what its order needs."""
    if form.order not in IMAGE_ORDERS:
        raise SignalError(f"order is {form.order!r}; one of {', '.join(IMAGE_ORDERS)} would work")
    for name, least in {
        "height": form.order != "rows",
        "width": True,
        "channels": True,
        "depth": False,
        "tile_pixels": False,
    }.items():
        if getattr(form, name) < least:
            raise SignalError(
                f"{name} is {getattr(form, name)}; at least {int(least)} would work in order {form.order!r}"
            )
    if form.depth and form.order not in ("whole", "slices"):
        raise SignalError(f"depth is {form.depth}; volumes come whole or in slices, not in order {form.order!r}")
