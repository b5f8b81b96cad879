"""The bytes of the wire, checked against struct and hand-made values."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from wavetile.engine.errors import SignalError
from wavetile.engine.server.codec import decode_audio, decode_tile, encode_audio, encode_region
from wavetile.engine.session import Region
from wavetile.proto.v1 import wavetile_pb2 as pb

S16 = pb.AUDIO_ENCODING_PCM_S16LE
F32 = pb.AUDIO_ENCODING_PCM_F32LE


def test_int16_full_scale_is_one() -> None:
    data = struct.pack("<5h", -32768, -1, 0, 16384, 32767)
    assert decode_audio(data, S16, 1).tolist() == [-1.0, -1 / 32768, 0.0, 0.5, 32767 / 32768]


def test_every_int16_survives_the_round_trip() -> None:
    every = np.arange(-32768, 32768).astype("<i2").tobytes()
    assert encode_audio(decode_audio(every, S16, 1), S16) == every


def test_int16_rounds_and_clips() -> None:
    samples = np.array([1.0, 2.0, -1.0, -3.0, 0.6 / 32768, -0.4 / 32768], np.float32)
    assert struct.unpack("<6h", encode_audio(samples, S16)) == (32767, 32767, -32768, -32768, 1, 0)


def test_channels_are_interleaved() -> None:
    data = struct.pack("<6f", 1, 10, 2, 20, 3, 30)
    samples = decode_audio(data, F32, 2)
    assert samples.tolist() == [[1, 10], [2, 20], [3, 30]]
    assert encode_audio(samples, F32) == data


@pytest.mark.parametrize(("size", "encoding", "channels"), [(3, S16, 1), (6, S16, 2), (6, F32, 1), (12, F32, 2)])
def test_broken_samples_are_refused(size: int, encoding: pb.AudioEncoding, channels: int) -> None:
    with pytest.raises(SignalError, match=f"{size} bytes"):
        decode_audio(bytes(size), encoding, channels)


@pytest.mark.parametrize(("pixel_type", "form"), [(1, "6B"), (2, "<6H"), (3, "<6f")])
def test_tiles_become_planes(pixel_type: pb.PixelType, form: str) -> None:
    config = pb.ImageConfig(height=1, width=3, channels=2, pixel_type=pixel_type)
    tile = pb.ImageTile(height=1, width=3, data=struct.pack(form, 1, 10, 2, 20, 3, 30))
    pixels = decode_tile(tile, config)
    assert pixels.dtype == np.float32
    assert pixels.tolist() == [[[[1, 2, 3]], [[10, 20, 30]]]]
    (back,) = encode_region("mask", Region(0, 0, pixels), 24)
    assert (back.name, back.height, back.width, back.channels) == ("mask", 1, 3, 2)
    assert struct.unpack("<6f", back.data) == (1, 10, 2, 20, 3, 30)


def test_pixels_are_mapped_and_volumes_keep_their_slices() -> None:
    config = pb.ImageConfig(
        height=1, width=2, channels=2, depth=2, pixel_type=pb.PIXEL_TYPE_UINT8, scale=0.5, offset=-1
    )
    tile = pb.ImageTile(height=1, width=2, depth=2, data=bytes([2, 20, 4, 40, 6, 60, 8, 80]))
    assert decode_tile(tile, config).tolist() == [[[[[0, 1]], [[2, 3]]], [[[9, 19]], [[29, 39]]]]]


@pytest.mark.parametrize("shape", [(1, 2, 7, 5), (1, 1, 3, 7, 5), (1, 3, 1, 9)])
def test_regions_are_cut_to_fit_and_nothing_is_lost(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).standard_normal(shape, np.float32)
    region = Region(10, 20, values, 30 if len(shape) == 5 else 0)
    tiles = list(encode_region("mask", region, 100))
    assert max(len(tile.data) for tile in tiles) <= 100
    joined = np.full_like(values, np.nan)
    for tile in tiles:
        depth = [tile.depth] if tile.depth else []
        pixels = np.frombuffer(tile.data, "<f4").reshape(*depth, tile.height, tile.width, tile.channels)
        starts = [tile.z - 30, tile.y - 10, tile.x - 20][-len(shape) + 2 :]
        place = tuple(slice(start, start + size) for start, size in zip(starts, pixels.shape, strict=False))
        joined[(0, slice(None), *place)] = np.moveaxis(pixels, -1, 0)
    np.testing.assert_array_equal(joined, values)


def test_pixels_that_their_map_makes_infinite_are_refused() -> None:
    config = pb.ImageConfig(height=1, width=1, pixel_type=pb.PIXEL_TYPE_FLOAT32, scale=1e30)
    tile = pb.ImageTile(height=1, width=1, data=struct.pack("<f", 1e30))
    with pytest.raises(SignalError, match=r"or become so times 1e\+30 plus 0; every pixel must be finite"):
        decode_tile(tile, config)
