"""Bytes of the wire to float32 arrays and back: audio chunks, feature frames, parts of images."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ...proto.v1 import wavetile_pb2 as pb
from ..errors import SignalError
from ..pixels import network_pixels
from ..session import ImageFormat, ImageOrder, Region

FULL_SCALE_S16 = 32768.0
_SAMPLE_TYPES = {
    pb.AUDIO_ENCODING_PCM_S16LE: np.dtype("<i2"),
    pb.AUDIO_ENCODING_PCM_F32LE: np.dtype("<f4"),
}
_PIXEL_TYPES = {
    pb.PIXEL_TYPE_UINT8: np.dtype("u1"),
    pb.PIXEL_TYPE_UINT16: np.dtype("<u2"),
    pb.PIXEL_TYPE_FLOAT32: np.dtype("<f4"),
}
_ORDERS: dict[pb.ImageOrder, ImageOrder] = {
    pb.IMAGE_ORDER_UNSPECIFIED: "whole",
    pb.IMAGE_ORDER_RASTER: "raster",
    pb.IMAGE_ORDER_ANY: "any",
    pb.IMAGE_ORDER_ROWS: "rows",
    pb.IMAGE_ORDER_SLICES: "slices",
}


def check_audio_encoding(encoding: pb.AudioEncoding) -> None:
    """Raise SignalError unless `encoding` is one that the codec has."""
    if encoding not in _SAMPLE_TYPES:
        names = " or ".join(pb.AudioEncoding.Name(known) for known in _SAMPLE_TYPES)
        raise SignalError(f"audio encoding {encoding} is unknown; use {names}")


def decode_audio(data: bytes, encoding: pb.AudioEncoding, channels: int) -> np.ndarray:
    """Samples `[samples]` (one channel) or `[samples, channels]`, float32, read-only; int16 full scale becomes 1.0.

    Raises SignalError when `data` is not a whole number of samples of all channels.
    """
    dtype = _SAMPLE_TYPES[encoding]
    block = dtype.itemsize * channels
    if len(data) % block:
        raise SignalError(
            f"an audio chunk has {len(data)} bytes; {pb.AudioEncoding.Name(encoding)} with {channels} channel(s) "
            f"needs a multiple of {block}"
        )
    samples = np.frombuffer(data, dtype=dtype)
    if encoding == pb.AUDIO_ENCODING_PCM_S16LE:
        samples = samples * np.float32(1.0 / FULL_SCALE_S16)
    else:
        samples = samples.astype(np.float32, copy=False)  # a copy where the machine's byte order is the other one
    return samples if channels == 1 else samples.reshape(-1, channels)


def encode_audio(samples: np.ndarray, encoding: pb.AudioEncoding) -> bytes:
    """Float32 `[samples]` or `[samples, channels]` as interleaved bytes; int16 is rounded and clipped."""
    if encoding == pb.AUDIO_ENCODING_PCM_S16LE:
        scaled = np.rint(samples * np.float32(FULL_SCALE_S16))
        samples = np.clip(scaled, -FULL_SCALE_S16, FULL_SCALE_S16 - 1)
    return np.ascontiguousarray(samples, dtype=_SAMPLE_TYPES[encoding]).tobytes()


def decode_features(data: bytes, feature_count: int) -> np.ndarray:
    """Feature frames `[frames, features]` float32, read-only. Raises SignalError: `data` is no whole number of them."""
    row = 4 * feature_count
    if len(data) % row:
        raise SignalError(
            f"a feature chunk has {len(data)} bytes; {feature_count} float32 a frame needs a multiple of {row}"
        )
    return np.frombuffer(data, dtype="<f4").astype(np.float32, copy=False).reshape(-1, feature_count)


def image_format(config: pb.ImageConfig, max_bytes: int) -> ImageFormat:
    """What a config says of its images.

    Raises:
        SignalError: the pixel type, order or map is unknown, or a part of such an image does not fit into `max_bytes`.
    """
    if config.pixel_type not in _PIXEL_TYPES:
        names = ", ".join(pb.PixelType.Name(known) for known in _PIXEL_TYPES)
        raise SignalError(f"pixel type {config.pixel_type} is unknown; use one of {names}")
    if config.order not in _ORDERS:
        names = ", ".join(pb.ImageOrder.Name(known) for known in _ORDERS)
        raise SignalError(f"image order {config.order} is unknown; use one of {names}")
    if not (math.isfinite(config.scale) and math.isfinite(config.offset)):
        raise SignalError(f"scale is {config.scale} and offset {config.offset}; finite numbers would work")
    form = ImageFormat(
        height=config.height,
        width=config.width,
        channels=config.channels or 1,
        depth=config.depth,
        order=_ORDERS[config.order],
        tile_pixels=config.tile_pixels,
    )
    size = math.prod(form.least_part) * _PIXEL_TYPES[config.pixel_type].itemsize
    if size > max_bytes:
        raise SignalError(
            f"a part of such an image has {size} bytes, more than the {max_bytes} bytes that a message may have"
        )
    return form


def decode_tile(tile: pb.ImageTile, config: pb.ImageConfig) -> np.ndarray:
    """A part of an image as `[1, channels, rows, columns]`, of a volume as `[1, channels, slices, rows, columns]`.

    Float32, mapped by the config's scale and offset.

    Raises SignalError when its bytes do not fit its shape, its pixels are of another kind than the config says, or one
    of them is not finite.
    """
    channels = config.channels or 1
    if (tile.channels or channels) != channels or (tile.pixel_type or config.pixel_type) != config.pixel_type:
        raise SignalError("a tile's channels and pixel type must be those of the config, or left out")
    shape = (*([tile.depth] if tile.depth else []), tile.height, tile.width, channels)
    if min(tile.z, tile.y, tile.x, *shape) < 0:
        raise SignalError(f"a tile of {list(shape)} at ({tile.z}, {tile.y}, {tile.x}); no number may be negative")
    dtype = _PIXEL_TYPES[config.pixel_type]
    expected = math.prod(shape) * dtype.itemsize
    if len(tile.data) != expected:
        raise SignalError(
            f"a tile of {' x '.join(map(str, shape))} {dtype.name} needs {expected} bytes, not {len(tile.data)}"
        )
    return network_pixels(np.frombuffer(tile.data, dtype=dtype).reshape(shape), config.scale, config.offset)


def encode_region(name: str, region: Region, max_bytes: int) -> Iterator[pb.ImageTile]:
    """A finished part of output `name`, cut so that no tile has more than `max_bytes`; pixels are float32."""
    values = region.values
    if values.nbytes > max_bytes and values[0, 0].size > 1:
        dim = next(dim for dim in range(2, values.ndim) if values.shape[dim] > 1)
        for half in _halves(region, dim):
            yield from encode_region(name, half, max_bytes)
        return
    _, channels, *slices, height, width = values.shape
    yield pb.ImageTile(
        name=name,
        z=region.z,
        y=region.y,
        x=region.x,
        depth=sum(slices),
        height=height,
        width=width,
        channels=channels,
        pixel_type=pb.PIXEL_TYPE_FLOAT32,
        data=np.ascontiguousarray(np.moveaxis(values[0], 0, -1), dtype="<f4").tobytes(),
    )


def _halves(region: Region, dim: int) -> tuple[Region, Region]:
    """The part, cut in the middle of a dimension of its values."""
    first, second = np.array_split(region.values, 2, axis=dim)
    place = {"x": region.x, "y": region.y, "z": region.z}
    moved = ("z", "y", "x")[dim - region.values.ndim]
    return Region(values=first, **place), Region(values=second, **{**place, moved: place[moved] + first.shape[dim]})
