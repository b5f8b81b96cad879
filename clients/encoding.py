"""Arrays to the bytes of the wire and back, from the client's side."""

from __future__ import annotations

import numpy as np

from ..engine.errors import SignalError
from ..proto.v1 import wavetile_pb2 as pb

AUDIO_ENCODINGS = {"pcm_s16le": pb.AUDIO_ENCODING_PCM_S16LE, "pcm_f32le": pb.AUDIO_ENCODING_PCM_F32LE}
PIXEL_TYPES = {"uint8": pb.PIXEL_TYPE_UINT8, "uint16": pb.PIXEL_TYPE_UINT16, "float32": pb.PIXEL_TYPE_FLOAT32}
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


def encode_image(pixels: np.ndarray, config: pb.ImageConfig) -> pb.ImageTile:
    """A whole image `[height, width]` or `[height, width, channels]` as a tile. Raises SignalError if it is not one."""
    expected = (config.height, config.width, config.channels)
    shape = pixels.shape if pixels.ndim == 3 else (*pixels.shape, 1)
    if shape != expected:
        raise SignalError(f"an image of shape {list(pixels.shape)}; this stream takes {list(expected)}")
    dtype = _PIXEL_DTYPES[config.pixel_type]
    if not np.can_cast(pixels.dtype, dtype, casting="same_kind"):
        raise SignalError(f"an image of type {pixels.dtype}; this stream takes {dtype.name}")
    return pb.ImageTile(
        height=config.height, width=config.width, data=np.ascontiguousarray(pixels, dtype=dtype).tobytes()
    )


def decode_pixels(tile: pb.ImageTile) -> np.ndarray:
    """A tile's pixels, `[height, width, channels]`, in the tile's own type."""
    pixels = np.frombuffer(tile.data, _PIXEL_DTYPES[tile.pixel_type])
    return pixels.reshape(tile.height, tile.width, tile.channels)
