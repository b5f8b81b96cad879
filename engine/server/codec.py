"""Bytes of the wire to float32 arrays and back: audio chunks, feature frames, image tiles."""

from __future__ import annotations

import numpy as np

from ...proto.v1 import wavetile_pb2 as pb
from ..errors import SignalError

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


def check_audio_encoding(encoding: pb.AudioEncoding) -> None:
    """Raise SignalError unless `encoding` is one that the codec has."""
    if encoding not in _SAMPLE_TYPES:
        names = " or ".join(pb.AudioEncoding.Name(known) for known in _SAMPLE_TYPES)
        raise SignalError(f"audio encoding {encoding} is unknown; use {names}")


def decode_audio(data: bytes, encoding: pb.AudioEncoding, channels: int) -> np.ndarray:
    """Samples `[samples]` (one channel) or `[samples, channels]`, float32; int16 full scale becomes 1.0.

    Raises SignalError when `data` is not a whole number of samples of all channels.
    """
    dtype = _SAMPLE_TYPES[encoding]
    block = dtype.itemsize * channels
    if len(data) % block:
        raise SignalError(
            f"an audio chunk has {len(data)} bytes; {pb.AudioEncoding.Name(encoding)} with {channels} channel(s) "
            f"needs a multiple of {block}"
        )
    samples = np.frombuffer(data, dtype=dtype).astype(np.float32)
    if encoding == pb.AUDIO_ENCODING_PCM_S16LE:
        samples *= np.float32(1.0 / FULL_SCALE_S16)
    return samples if channels == 1 else samples.reshape(-1, channels)


def encode_audio(samples: np.ndarray, encoding: pb.AudioEncoding) -> bytes:
    """Float32 `[samples]` or `[samples, channels]` as interleaved bytes; int16 is rounded and clipped."""
    if encoding == pb.AUDIO_ENCODING_PCM_S16LE:
        scaled = np.rint(samples * np.float32(FULL_SCALE_S16))
        samples = np.clip(scaled, -FULL_SCALE_S16, FULL_SCALE_S16 - 1)
    return np.ascontiguousarray(samples, dtype=_SAMPLE_TYPES[encoding]).tobytes()


def decode_features(data: bytes, feature_count: int) -> np.ndarray:
    """Feature frames `[frames, features]` float32. Raises SignalError when `data` is not a whole number of frames."""
    row = 4 * feature_count
    if len(data) % row:
        raise SignalError(
            f"a feature chunk has {len(data)} bytes; {feature_count} float32 a frame needs a multiple of {row}"
        )
    return np.frombuffer(data, dtype="<f4").astype(np.float32).reshape(-1, feature_count)


def check_image(config: pb.ImageConfig, max_bytes: int) -> None:
    """Raise SignalError unless the image has a size, a known pixel type, and fits into one message."""
    if config.height < 1 or config.width < 1 or config.channels < 0:
        raise SignalError(
            f"an image of height {config.height}, width {config.width}, channels {config.channels}; "
            "height and width must be at least 1, channels not negative"
        )
    if config.pixel_type not in _PIXEL_TYPES:
        names = ", ".join(pb.PixelType.Name(known) for known in _PIXEL_TYPES)
        raise SignalError(f"pixel type {config.pixel_type} is unknown; use one of {names}")
    size = config.height * config.width * max(1, config.channels) * _PIXEL_TYPES[config.pixel_type].itemsize
    if size > max_bytes:
        raise SignalError(f"an image of {size} bytes is more than the {max_bytes} bytes that a message may have")


def decode_tile(tile: pb.ImageTile, config: pb.ImageConfig) -> np.ndarray:
    """The whole image as `[1, channels, height, width]` float32, values unscaled.

    Raises SignalError when the tile is not the whole image, its bytes do not fit its shape, or a pixel is not finite.
    """
    channels = config.channels or 1
    if (tile.y, tile.x, tile.height, tile.width) != (0, 0, config.height, config.width):
        raise SignalError(
            f"a tile at ({tile.y}, {tile.x}) of {tile.height} x {tile.width}; "
            f"one tile must cover the whole image: (0, 0), {config.height} x {config.width}"
        )
    if (tile.channels or channels) != channels or (tile.pixel_type or config.pixel_type) != config.pixel_type:
        raise SignalError("a tile's channels and pixel type must be those of the config, or left out")
    dtype = _PIXEL_TYPES[config.pixel_type]
    expected = config.height * config.width * channels * dtype.itemsize
    if len(tile.data) != expected:
        raise SignalError(
            f"a tile of {config.height} x {config.width} x {channels} {dtype.name} needs {expected} bytes, "
            f"not {len(tile.data)}"
        )
    pixels = np.frombuffer(tile.data, dtype=dtype).astype(np.float32).reshape(config.height, config.width, channels)
    if not np.isfinite(pixels).all():
        raise SignalError("a tile has pixels that are NaN or infinite; every pixel must be finite")
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))[np.newaxis]


def encode_tile(name: str, pixels: np.ndarray) -> pb.ImageTile:
    """A network's output `[1, channels, height, width]` as the tile that covers the image; pixels are float32."""
    _, channels, height, width = pixels.shape
    data = np.ascontiguousarray(pixels[0].transpose(1, 2, 0), dtype="<f4").tobytes()
    return pb.ImageTile(
        name=name,
        height=height,
        width=width,
        channels=channels,
        pixel_type=pb.PIXEL_TYPE_FLOAT32,
        data=data,
    )
