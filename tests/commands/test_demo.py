"""The demo: its clip, its image, its report from made-up numbers, and a run from end to end where the weights are."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from rich.console import Console

import wavetile
from tests.commands.said import Command
from tests.server.running import serving
from tests.training import fields
from wavetile.clients import StreamClient
from wavetile.engine.commands.demo.clip import CLIP_PATH, SPOKEN_SECONDS
from wavetile.engine.commands.demo.field import FIELD_PATH, read_field
from wavetile.engine.commands.demo.make_clip import rms, room
from wavetile.engine.commands.demo.mosaic import stream_image
from wavetile.engine.commands.demo.mosaic_board import MosaicBoard
from wavetile.engine.commands.demo.play import DENOISER, SEGMENTER
from wavetile.engine.commands.demo.record import DemoRecord, ImageRecord, StreamRecord
from wavetile.engine.commands.served import served

RATE_HZ = 16000


@pytest.fixture
def image() -> ImageRecord:
    """Return a made-up image of six tiles, each finished by the one after it."""
    tiles = [(y, x, 8, 8) for y in (0, 8) for x in (0, 8, 16)]
    pixels = np.random.default_rng(3).random((16, 24), np.float32)
    return ImageRecord(
        model="nuclei <small>",
        image=pixels,
        probability=1 - pixels,
        tile_pixels=8,
        tile_ms=np.array([4.0, 2.0, 1.0, 1.0, 1.0, 1.0]),
        finished=((), *((tile,) for tile in tiles[:-2]), tuple(tiles[-2:])),
        at_once_ms=77.0,
        kept_bytes=12_345,
        max_difference=2.5e-7,
    )


@pytest.fixture
def record(image: ImageRecord) -> DemoRecord:
    """Return two seconds of made-up measurements."""
    rng = np.random.default_rng(7)
    noisy = (0.1 * rng.standard_normal(2 * RATE_HZ)).astype(np.float32)
    return DemoRecord(
        sample_rate_hz=RATE_HZ,
        noisy=noisy,
        enhanced=0.25 * noisy,
        probability=rng.random(62).astype(np.float32),
        probability_step_seconds=0.032,
        threshold=0.5,
        segments=((0.25, 0.75), (1.5, 2.0)),
        spoken=((0.3, 0.7),),
        detector=StreamRecord("silero_vad", 32.0, rng.uniform(1, 3, 62), 0.0123, 0.0),
        denoiser=StreamRecord("nsnet2 <fast>", 10.0, np.array([1.0, 2.0, 3.0, 4.0, 55.0]), 0.05, 10.0),
        image=image,
        machine="a processor & more",
    )


def test_the_clip_is_small_and_what_it_says() -> None:
    assert CLIP_PATH.stat().st_size <= 150_000
    about = soundfile.info(CLIP_PATH)
    assert (about.samplerate, about.channels, about.frames) == (RATE_HZ, 1, 7 * RATE_HZ)
    assert 0 < SPOKEN_SECONDS[0][0] < SPOKEN_SECONDS[0][1] < SPOKEN_SECONDS[1][0] < SPOKEN_SECONDS[1][1] < 7


def test_the_field_is_small_and_what_it_says() -> None:
    assert FIELD_PATH.stat().st_size < 200_000
    field = read_field()
    assert (field.shape, field.dtype) == ((640, 896), np.uint8)
    rule = wavetile.load(SEGMENTER).describe().pixels
    assert rule is not None
    scale, offset = rule.scale_and_offset(field)
    np.testing.assert_allclose(field * scale + offset, fields.normalise(field), atol=1e-6)


async def test_an_image_streams_in_tiles_that_are_the_whole() -> None:
    image = read_field()[:256, :384]
    model = wavetile.load(SEGMENTER)
    board = MosaicBoard(Console(file=io.StringIO()), 6, image.size)
    async with serving({SEGMENTER: served(model)}) as server, StreamClient(server.address) as client:
        record = await stream_image(client, SEGMENTER, image, real_time=False, on_tile=board.arrived)
    assert board.line().plain.startswith(f"mosaic  {'█' * 20}  6 of 6 tiles, 100% of the pixels, ")
    assert len(record.finished) == len(record.tile_ms) == 6
    assert 0 < record.first_pixel_ms <= record.tile_ms.sum()
    assert record.kept_bytes > 0
    whole = model.run({"image": record.image[None, None]})["probability"][0, 0]
    assert np.abs(record.probability - whole).max() <= 1e-4
    covered = np.zeros(image.shape, int)
    for y, x, rows, columns in (rectangle for tile in record.finished for rectangle in tile):
        covered[y : y + rows, x : x + columns] += 1
    assert np.all(covered == 1)


def test_the_mosaic_fills_tile_by_tile(image: ImageRecord) -> None:
    pytest.importorskip("matplotlib", reason="the report needs matplotlib")
    from wavetile.engine.commands.demo.mosaic_figure import arrived_outline, draw_image, mosaic_after

    assert image.first_pixel_ms == 6.0
    assert [int(np.isfinite(mosaic_after(image, tiles)).sum()) for tiles in range(7)] == [0, 0, 64, 128, 192, 256, 384]
    assert arrived_outline(image, 4) == ([-0.5, 7.5, 7.5, 23.5], [15.5, 15.5, 7.5, 7.5])
    assert len(draw_image(image).axes) == 6


def test_the_room_is_seeded_and_level() -> None:
    first, again = (room(np.random.default_rng(20), RATE_HZ) for _ in range(2))
    assert np.array_equal(first, again)
    assert abs(rms(first) - 1) < 1e-9


def test_the_spectrogram_is_in_decibels_of_full_scale() -> None:
    pytest.importorskip("matplotlib", reason="the report needs matplotlib")
    from wavetile.engine.commands.demo.figure import spectrogram_db

    tone = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(RATE_HZ) / RATE_HZ)
    levels = spectrogram_db(tone, RATE_HZ)
    assert levels.shape == (250, 257)
    middle = levels[125]
    assert middle.argmax() == 32  # 1000 Hz in bins of 31.25 Hz
    assert abs(middle.max() - -20) < 0.01


def test_the_report_is_one_file_with_every_number(record: DemoRecord, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the report needs matplotlib")
    from wavetile.engine.commands.demo.page import write_report

    page, image = write_report(record, tmp_path)
    assert image.read_bytes().startswith(b"\x89PNG")
    text = page.read_text("utf-8")
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text), "the page must need no other file"
    assert "<svg" in text
    assert "Every frame back within 55.0\u00a0ms" in text
    assert "<td>nsnet2 &lt;fast&gt;</td><td>5</td><td>10</td><td>3.00</td>" in text
    assert "<td>55.00</td><td>0.0500</td><td>10</td>" in text
    assert "Speech was detected at 0.25\u20130.75\u00a0s and 1.50\u20132.00\u00a0s." in text
    assert "a processor &amp; more" in text
    assert "<td>6</td><td>6.0</td><td>1.0</td><td>77.0</td><td>12.3 kB</td><td>1.5 kB</td>" in text
    assert "<td>2.5e-07</td></tr>" in text
    assert "nuclei &lt;small&gt;" in text
    audio = re.findall(r"data:audio/wav;base64,([^\"]+)", text)
    before, after = (soundfile.read(io.BytesIO(base64.b64decode(one)), dtype="float32")[0] for one in audio)
    assert np.abs(before - record.noisy).max() <= 1 / 32768
    assert np.abs(after - record.enhanced).max() <= 1 / 32768


def test_a_report_without_a_frame_can_be_made(record: DemoRecord) -> None:
    pytest.importorskip("matplotlib", reason="the report needs matplotlib")
    from wavetile.engine.commands.demo.figure import draw
    from wavetile.engine.commands.demo.page import compose

    nothing = StreamRecord("nsnet2", 10.0, np.zeros(0), 0.0, 10.0)
    empty = replace(record, denoiser=nothing, detector=nothing, segments=())
    assert len(draw(empty).axes) == 5
    text = compose(empty, "<svg></svg>", "<svg></svg>")
    assert "No frame came back" in text
    assert "Speech was detected at no time." in text


def test_without_weights_it_says_what_to_do(
    wavetile_command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WAVETILE_MODELS", "")
    monkeypatch.setenv("WAVETILE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    said = wavetile_command("demo", "--output", tmp_path / "demo")
    assert said.status == 1
    assert "What works:" in said.notices
    assert not (tmp_path / "demo").exists()


def test_the_demo_from_end_to_end(
    wavetile_command: Command, trained: Callable[[str], wavetile.Model], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="the report needs matplotlib")
    trained(DENOISER)
    said = wavetile_command("demo", "--fast", "--output", tmp_path)
    assert said.status == 0, said.notices
    assert {path.name for path in tmp_path.iterdir()} == {"noisy.wav", "enhanced.wav", "report.html", "report.png"}

    noisy, _ = soundfile.read(tmp_path / "noisy.wav", dtype="float32")
    enhanced, rate_hz = soundfile.read(tmp_path / "enhanced.wav", dtype="float32")
    assert (rate_hz, len(enhanced)) == (RATE_HZ, len(noisy))
    with wavetile.load(DENOISER).stream() as stream:
        clip = soxr.resample(noisy, RATE_HZ, stream.sample_rate_hz)
        samples = np.concatenate([stream.process(clip).samples, stream.flush().samples])  # type: ignore[list-item]
    expected = soxr.resample(samples[stream.delay_samples :], stream.sample_rate_hz, RATE_HZ)
    # int16 in both files.
    assert np.abs(enhanced - expected[: len(enhanced)]).max() <= 2 / 32768

    spans = re.findall(r"(\d\.\d\d)\u2013(\d\.\d\d)\u00a0s", (tmp_path / "report.html").read_text("utf-8"))
    found = [(float(start), float(end)) for start, end in spans]
    assert len(found) == len(SPOKEN_SECONDS)
    for (start, end), (spoken_start, spoken_end) in zip(found, SPOKEN_SECONDS, strict=True):
        assert abs(start - spoken_start) < 0.15
        assert -0.1 < end - spoken_end < 0.7  # the room's murmur holds the detector for a while
