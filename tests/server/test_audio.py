"""Audio streams over a real connection: order, chunkings, encodings, channels, many at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from wavetile.clients import StreamClient

from .fakes import HOP, GainModel
from .running import audio_of, exchange, in_chunks, process, serving


def noise(samples: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    shape = (samples,) if channels == 1 else (samples, channels)
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def expected(samples: np.ndarray) -> np.ndarray:
    """What the fake makes of it: one hop of silence, then half of everything."""
    return np.concatenate([np.zeros((HOP, *samples.shape[1:]), np.float32), 0.5 * samples])


@pytest.mark.parametrize("sizes", [(1,), (160,), (7, 500, 1, 159), (0, 161), (100_000,)])
async def test_output_does_not_depend_on_the_chunking(sizes: tuple[int, ...]) -> None:
    samples = noise(2_011 if sizes == (1,) else 16_011)
    async with serving({"gain": GainModel()}) as server, StreamClient(server.address) as client:
        results = await process(client, samples, *sizes)
    np.testing.assert_array_equal(audio_of(results), expected(samples))


async def test_results_are_numbered_without_gaps() -> None:
    samples = noise(8_000)
    async with serving({"gain": GainModel()}) as server, StreamClient(server.address) as client:
        results = await process(client, samples, 333)
    assert [result.sequence_number for result in results] == list(range(len(results)))
    frames = samples_out = 0
    for result in results:
        assert result.first_frame_index == frames
        assert result.first_sample_index == samples_out
        assert len(result.values["peak"]) == result.frame_count
        assert result.queue_time_ns >= 0
        assert result.compute_time_ns > 0
        frames += result.frame_count
        samples_out += len(audio_of([result]))
    assert frames == 8_000 // HOP + 1  # the flush adds one
    assert samples_out == 8_000 + HOP
    peaks = np.concatenate([result.values["peak"] for result in results])
    np.testing.assert_array_equal(peaks[:-1], np.abs(samples).reshape(-1, HOP).max(axis=1))


async def test_the_stream_says_its_shape_first() -> None:
    async with serving({"gain": GainModel()}) as server, StreamClient(server.address) as client:
        async with client.stream("gain", channels=2) as stream:
            info = stream.info
        async with client.stream("gain", sample_rate_hz=48000) as stream:
            assert stream.info.sample_rate_hz == 48000
    assert (info.model, info.kind, info.returns_audio, info.value_names) == ("gain", "audio", True, ("peak",))
    assert (info.sample_rate_hz, info.model_sample_rate_hz, info.channels) == (16000, 16000, 2)
    assert (info.hop_samples, info.delay_samples, info.first_frame_samples) == (HOP, HOP, HOP)
    assert len(info.stream_id) == 16


async def test_events_carry_sample_time_and_probability() -> None:
    samples = np.concatenate([np.zeros(1600), np.full(1600, 0.75), np.zeros(1600)]).astype(np.float32)
    async with serving({"gain": GainModel()}) as server, StreamClient(server.address) as client:
        results = await process(client, samples, 160)
    events = [event for result in results for event in result.events]
    assert [(event.kind, event.sample_index, event.time_seconds) for event in events] == [
        ("speech_start", 1600, 0.1),
        ("speech_end", 3200, 0.2),
    ]
    assert [event.probability for event in events] == [0.75, 0.0]


@pytest.mark.parametrize("channels", [1, 2, 5])
async def test_int16_is_exact_and_clips(channels: int) -> None:
    samples = np.random.default_rng(1).integers(-32768, 32768, (4_000, channels)).astype(np.int16)
    samples[0] = -32768
    async with serving({"gain": GainModel()}) as server, StreamClient(server.address) as client:
        results = await process(client, samples, 123, encoding="pcm_s16le", channels=channels)
    got = audio_of(results).reshape(-1, channels)[HOP:] * 32768
    np.testing.assert_array_equal(got, np.rint(0.5 * samples))  # ties to even


@pytest.mark.parametrize("sizes", [(160,), (1, 77)])
async def test_interleaved_stereo_keeps_its_channels_apart(sizes: tuple[int, ...]) -> None:
    samples = noise(3_000, channels=2)
    async with serving({"gain": GainModel()}) as server, StreamClient(server.address) as client:
        results = await process(client, samples, *sizes, channels=2)
    np.testing.assert_array_equal(audio_of(results), expected(samples))


async def test_an_empty_signal_gives_the_delay_alone() -> None:
    async with serving({"gain": GainModel()}) as server, StreamClient(server.address) as client:
        results = await process(client, noise(0), 1)
    np.testing.assert_array_equal(audio_of(results), np.zeros(HOP, np.float32))


@pytest.mark.parametrize("threads", [1, 3])
async def test_many_streams_at_once_each_get_their_own(threads: int) -> None:
    model = GainModel(step_s=0.0005)

    async def one(client: StreamClient, seed: int) -> None:
        samples = noise(3_200, seed=seed)
        sizes = np.random.default_rng(seed).integers(1, 700, 8).tolist()
        async with client.stream("gain") as stream:
            results = await exchange(stream, samples, *sizes)
        np.testing.assert_array_equal(audio_of(results), expected(samples))
        assert [result.sequence_number for result in results] == list(range(len(results)))

    async with serving({"gain": model}, threads=threads) as server, StreamClient(server.address) as client:
        await asyncio.gather(*(one(client, seed) for seed in range(64)))
        assert server.live_streams == 0
    assert model.open_sessions == 0
    assert max(model.batch_sizes) > 1
    assert max(model.batch_sizes) <= model.max_lanes


async def test_two_models_run_side_by_side() -> None:
    one, other = GainModel(), GainModel()
    samples = noise(1_600)
    async with (
        serving({"gain": one, "other": other}) as server,
        StreamClient(server.address) as client,
        client.stream("gain") as first,
        client.stream("other") as second,
    ):
        results = await asyncio.gather(exchange(first, samples, 100), exchange(second, 2 * samples, 70))
    np.testing.assert_array_equal(audio_of(results[0]), expected(samples))
    np.testing.assert_array_equal(audio_of(results[1]), expected(2 * samples))
    assert one.batch_sizes
    assert other.batch_sizes


async def test_a_slow_reader_gets_several_frames_in_a_result() -> None:
    samples = noise(160 * 20)
    async with serving({"gain": GainModel()}) as server, StreamClient(server.address) as client:
        results = await process(client, samples, len(samples))
    assert sum(result.frame_count for result in results) == 21
    np.testing.assert_array_equal(audio_of(results), expected(samples))


async def test_a_chunk_longer_than_the_ring_passes() -> None:
    model = GainModel(capacity_hops=2)
    samples = noise(160 * 50 + 3)
    async with serving({"gain": model}) as server, StreamClient(server.address) as client:
        results = await process(client, samples, len(samples))
    np.testing.assert_array_equal(audio_of(results), expected(samples))


async def test_an_error_of_the_source_reaches_the_caller() -> None:
    async def broken() -> AsyncIterator[np.ndarray]:
        async for chunk in in_chunks(noise(800), 160):
            yield chunk
        raise OSError("the disk is gone")

    async with (
        serving({"gain": GainModel()}) as server,
        StreamClient(server.address) as client,
        client.stream("gain") as stream,
    ):
        with pytest.raises(OSError, match="the disk is gone"):
            _ = [result async for result in stream.exchange(broken())]
