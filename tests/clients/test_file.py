"""The file client over a real server: aligned output, formats, pace, latencies, errors."""

from __future__ import annotations

import asyncio
import shutil
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.virtual_time import HeldTime
from wavetile.clients import StreamClient, StreamResult, latency
from wavetile.clients import file as file_module
from wavetile.clients.file import process_file
from wavetile.clients.pace import at_real_time
from wavetile.engine.errors import ServerError, SignalError, WavetileError
from wavetile.engine.server import live_stream
from wavetile.engine.session import scheduled, scheduler

from ..server.fakes import HOP, GainModel, RowSumModel
from ..server.running import serving, until


def write_noise(path: Path, samples: int, channels: int = 1, subtype: str | None = None) -> np.ndarray:
    noise = np.random.default_rng(samples).uniform(-0.9, 0.9, (samples, channels))
    soundfile.write(path, noise, 16000, subtype=subtype)
    return soundfile.read(path, dtype="float32", always_2d=True)[0]


def listing(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize(
    ("source", "target", "subtype", "channels"),
    [
        ("in.wav", "out.wav", "FLOAT", 1),
        ("in.wav", "out.wav", "PCM_16", 2),
        ("in.flac", "out.flac", "PCM_24", 1),
        ("in.wav", "out.flac", "FLOAT", 2),
        ("in.flac", "out.wav", "PCM_16", 1),
    ],
)
async def test_output_is_aligned_and_of_the_same_length(
    tmp_path: Path, source: str, target: str, subtype: str, channels: int
) -> None:
    samples = write_noise(tmp_path / source, 16_037, channels, subtype)
    async with serving({"gain": GainModel()}) as server, StreamClient(server.address) as client:
        report = await process_file(client, "gain", tmp_path / source, tmp_path / target, chunk_s=0.0137)
    output, rate_hz = soundfile.read(tmp_path / target, dtype="float32", always_2d=True)
    info = soundfile.info(tmp_path / target)
    assert (rate_hz, output.shape) == (16000, samples.shape)
    assert info.subtype == (subtype if soundfile.check_format(info.format, subtype) else "PCM_16")
    tolerance = {"FLOAT": 0, "PCM_24": 2.0**-23, "PCM_16": 2.0**-15}[info.subtype]
    np.testing.assert_allclose(output, 0.5 * samples, rtol=0, atol=tolerance)
    assert (report.samples, report.output_path) == (16_037, tmp_path / target)
    assert report.audio_s == 16_037 / 16000
    assert 0 < report.real_time_factor < 1
    assert listing(tmp_path) == sorted([source, target])


async def test_skipped_frames_are_silent_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = write_noise(tmp_path / "in.wav", 40 * HOP, subtype="FLOAT")[:, 0]
    clock = HeldTime().stand_in(monkeypatch, live_stream, scheduled, scheduler)
    go_on = threading.Event()
    model = GainModel(step_s=0.02, spend=clock.pass_by, go_on=go_on)  # half as fast as it has to be
    async with serving({"gain": model}) as server, StreamClient(server.address) as client:
        processing = asyncio.create_task(
            process_file(
                client, "gain", tmp_path / "in.wav", tmp_path / "out.wav", frame_budget_s=0.1, late_policy="skip"
            )
        )
        await until(lambda: bool(model.order) and model.order[0].completed >= 19)  # all that there is room for
        go_on.set()
        report = await processing
    output, _ = soundfile.read(tmp_path / "out.wav", dtype="float32")
    hops, expected = output.reshape(40, HOP), 0.5 * samples.reshape(40, HOP)
    silent = (hops == 0).all(axis=1)
    assert 5 <= silent.sum() == report.skipped_frame_count <= 35
    np.testing.assert_array_equal(hops[~silent], expected[~silent])
    assert report.bypassed_frame_count == 0


async def test_values_events_and_times_are_gathered(tmp_path: Path) -> None:
    sound = np.concatenate([np.zeros(1600), np.full(1600, 0.75), np.zeros(1600)])
    soundfile.write(tmp_path / "in.wav", sound, 16000, subtype="FLOAT")
    seen: list[int] = []
    async with serving({"gain": GainModel()}) as server, StreamClient(server.address) as client:
        report = await process_file(
            client,
            "gain",
            str(tmp_path / "in.wav"),
            progress=True,
            on_result=lambda result, latencies: seen.append(result.frame_count),
        )
    np.testing.assert_array_equal(report.values["peak"], np.repeat(np.array([0, 0.75, 0], np.float32), [10, 10, 11]))
    assert [(event.kind, event.time_seconds) for event in report.events] == [("speech_start", 0.1), ("speech_end", 0.2)]
    assert sum(seen) == 31
    assert len(report.latencies_s) == 30  # the flush's frame has none
    assert (report.latencies_s > 0).all()
    assert (report.compute_times_s > 0).all()
    assert report.output_path is None


@pytest.mark.parametrize("hops", [1, 2, 5])
async def test_a_window_longer_than_a_hop_delays_every_frame(tmp_path: Path, hops: int) -> None:
    write_noise(tmp_path / "in.wav", 10 * HOP)
    model = GainModel(first_frame_samples=hops * HOP)
    async with serving({"gain": model}) as server, StreamClient(server.address) as client:
        report = await process_file(client, "gain", tmp_path / "in.wav", tmp_path / "out.wav", chunk_s=0.01)
    assert report.info.first_frame_samples == hops * HOP
    assert len(report.values["peak"]) == 11
    assert len(report.latencies_s) == 10 - (hops - 1)  # the windows that the file itself completed


async def test_real_time_pace_takes_the_files_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_noise(tmp_path / "in.wav", 8_000)
    clock = HeldTime().stand_in(monkeypatch, file_module, latency)
    sent = received = 0

    async def sleep(seconds: float) -> None:
        """Let time pass when all is there that was asked for: nothing piles up."""
        nonlocal sent
        await until(lambda: received == sent)
        clock.pass_by(seconds)
        sent += 2

    def receive(result: StreamResult, latencies_s: list[float]) -> None:
        nonlocal received
        received += result.frame_count

    paced = partial(at_real_time, clock=clock.monotonic, sleep=sleep)
    monkeypatch.setattr(file_module, "at_real_time", paced)
    async with serving({"gain": GainModel()}) as server, StreamClient(server.address) as client:
        report = await process_file(
            client,
            "gain",
            tmp_path / "in.wav",
            tmp_path / "out.wav",
            pace="realtime",
            chunk_s=2 * HOP / 16000,
            on_result=receive,
        )
    assert report.wall_s == pytest.approx(0.5)
    assert report.real_time_factor == pytest.approx(1)
    assert report.latencies_s.tolist() == [0.0] * (8_000 // HOP)


async def test_an_empty_file(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.wav", np.zeros(0), 16000)
    async with serving({"gain": GainModel()}) as server, StreamClient(server.address) as client:
        report = await process_file(client, "gain", tmp_path / "in.wav", tmp_path / "out.wav")
    assert soundfile.info(tmp_path / "out.wav").frames == 0
    assert (report.samples, report.real_time_factor, len(report.latencies_s)) == (0, 0.0, 0)


async def test_errors_leave_no_output_file(tmp_path: Path) -> None:
    write_noise(tmp_path / "in.wav", 1600)
    shutil.copy(__file__, tmp_path / "noise.wav")
    soundfile.write(tmp_path / "rate.wav", np.zeros(100), 11025)
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), 16000, subtype="FLOAT")
    models = {"gain": GainModel(), "rows": RowSumModel()}
    cases: list[tuple[str, str, str, type[Exception], str]] = [
        ("gain", "missing.wav", "out.wav", SignalError, "missing.wav"),
        ("gain", "noise.wav", "out.wav", SignalError, "noise.wav"),
        ("gain", "in.wav", "out.xyz", SignalError, "wav and .flac would work"),
        ("gain", "in.wav", "no/folder/out.wav", SignalError, "out.wav"),
        ("gain", "rate.wav", "out.wav", ServerError, "11025"),
        ("gain", "nan.wav", "out.wav", ServerError, "finite"),
        ("none", "in.wav", "out.wav", ServerError, "NOT_FOUND"),
        ("rows", "in.wav", "out.wav", ServerError, "'features'"),
    ]
    before = listing(tmp_path)
    async with serving(models) as server, StreamClient(server.address) as client:
        for model, source, target, kind, words in cases:
            with pytest.raises(kind, match=words):
                await process_file(client, model, tmp_path / source, tmp_path / target)
    assert listing(tmp_path) == before


async def test_a_model_without_audio_has_nothing_to_write(tmp_path: Path) -> None:
    class Detector(GainModel):
        def describe(self):  # noqa: ANN202 - the fake's description, less its audio
            from dataclasses import replace

            return replace(super().describe(), returns_audio=False)

    write_noise(tmp_path / "in.wav", 1600)
    async with serving({"detector": Detector()}) as server, StreamClient(server.address) as client:
        with pytest.raises(WavetileError, match="gives no audio"):
            await process_file(client, "detector", tmp_path / "in.wav", tmp_path / "out.wav")


async def test_no_server_is_a_clear_error() -> None:
    async with StreamClient("127.0.0.1:1", timeout_s=5.0) as client:
        with pytest.raises(ServerError, match="UNAVAILABLE") as caught:
            await client.list_models()
        assert caught.value.code == "UNAVAILABLE"
        with pytest.raises(ServerError, match="UNAVAILABLE"):
            await client.stream("gain").__aenter__()
