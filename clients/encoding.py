"""Arrays to the bytes of the wire and back, from the client's side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..engine.errors import SignalError
from ..engine.pixels import can_hold
from ..proto.v1 import wavetile_pb2 as pb

AUDIO_ENCODINGS = {"pcm_s16le": pb.AUDIO_ENCODING_PCM_S16LE, "pcm_f32le": pb.AUDIO_ENCODING_PCM_F32LE}
PIXEL_TYPES = {"uint8": pb.PIXEL_TYPE_UINT8, "uint16": pb.PIXEL_TYPE_UINT16, "float32": pb.PIXEL_TYPE_FLOAT32}
LATE_POLICIES = {
    "process": pb.LATE_POLICY_PROCESS,
    "skip": pb.LATE_POLICY_SKIP,
    "bypass": pb.LATE_POLICY_BYPASS,
}
PRIORITIES = {
    "low": pb.STREAM_PRIORITY_LOW,
    "normal": pb.STREAM_PRIORITY_NORMAL,
    "high": pb.STREAM_PRIORITY_HIGH,
}
IMAGE_ORDERS = {
    "whole": pb.IMAGE_ORDER_UNSPECIFIED,
    "raster": pb.IMAGE_ORDER_RASTER,
    "any": pb.IMAGE_ORDER_ANY,
    "rows": pb.IMAGE_ORDER_ROWS,
    "slices": pb.IMAGE_ORDER_SLICES,
}
_PIXEL_DTYPES = {
    pb.PIXEL_TYPE_UINT8: np.dtype("u1"),
    pb.PIXEL_TYPE_UINT16: np.dtype("<u2"),
    pb.PIXEL_TYPE_FLOAT32: np.dtype("<f4"),
}


def encode_audio(samples: np.ndarray, encoding: str, channels: int) -> bytes:
    """`[samples]` or `[samples, channels]`, int16 or floating, as interleaved bytes in `encoding`.

    Between int16 and float, 32768 is 1.0; what passes full scale is clipped in int16. Raises SignalError for any other
    type or shape.
    """
    if samples.shape[1:] != (channels,) and not (samples.ndim == 1 and channels == 1):
        raise SignalError(
            f"samples of shape {list(samples.shape)}; a stream of {channels} channel(s) takes "
            f"{'[samples] or ' if channels == 1 else ''}[samples, {channels}]"
        )
    if samples.dtype == np.int16:
        if encoding == "pcm_f32le":
            samples = samples.astype(np.float32) / 32768.0
    elif not np.issubdtype(samples.dtype, np.floating):
        raise SignalError(f"samples of type {samples.dtype}; int16 or floating point would work")
    elif encoding == "pcm_s16le":
        samples = np.clip(np.rint(samples * 32768.0), -32768, 32767)
    return np.ascontiguousarray(samples, dtype="<i2" if encoding == "pcm_s16le" else "<f4").tobytes()


def decode_audio(data: bytes, encoding: str, channels: int) -> np.ndarray:
    """Bytes of the wire as float32 `[samples]`, or `[samples, channels]` for more than one channel."""
    if encoding == "pcm_s16le":
        samples = np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768.0)
    else:
        samples = np.frombuffer(data, "<f4").astype(np.float32)
    return samples if channels == 1 else samples.reshape(-1, channels)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an image, `[rows, columns]` or `[rows, columns, channels]`; of a volume with `[slices, ...]` before."""

    pixels: np.ndarray
    y: int = 0
    """Its first row in the image."""
    x: int = 0
    z: int = 0


def encode_part(part: Part, config: pb.ImageConfig) -> pb.ImageTile:
    """A part as it is sent. Raises SignalError when its rank, channels or type are not what the config says."""
    pixels = part.pixels
    is_volume = config.depth > 0 or config.order == pb.IMAGE_ORDER_SLICES
    rank = 3 if is_volume else 2
    shape = pixels.shape if pixels.ndim == rank + 1 else (*pixels.shape, 1)
    if len(shape) != rank + 1 or shape[-1] != config.channels:
        raise SignalError(
            f"a part of shape {list(pixels.shape)}; this stream takes [{'slices, ' if is_volume else ''}rows, columns, "
            f"{config.channels} channels]"
        )
    dtype = _PIXEL_DTYPES[config.pixel_type]
    if not can_hold(dtype, pixels.dtype):
        raise SignalError(f"pixels of type {pixels.dtype}; this stream takes {dtype.name}")
    *slices, height, width, _ = shape
    return pb.ImageTile(
        z=part.z,
        y=part.y,
        x=part.x,
        depth=sum(slices),
        height=height,
        width=width,
        data=np.ascontiguousarray(pixels, dtype=dtype).tobytes(),
    )


def decode_pixels(tile: pb.ImageTile) -> np.ndarray:
    """A tile's pixels, `[rows, columns, channels]`, of a volume `[slices, ...]`, in the tile's own type."""
    pixels = np.frombuffer(tile.data, _PIXEL_DTYPES[tile.pixel_type])
    return pixels.reshape(*([tile.depth] if tile.depth else []), tile.height, tile.width, tile.channels)
