"""The parts of the clients that need no socket: pace, latencies, the playback buffer, encodings."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from wavetile.clients import StreamClient
from wavetile.clients.encoding import decode_audio, encode_audio
from wavetile.clients.latency import LatencyTracker
from wavetile.clients.pace import at_real_time
from wavetile.clients.playback import PlaybackBuffer
from wavetile.engine.errors import SignalError


class Clock:
    """Time that passes only in sleeps, each of which takes a little longer than asked for."""

    def __init__(self, overshoot_s: float) -> None:
        self.now_s = 100.0
        self._overshoot_s = overshoot_s

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now_s += seconds + self._overshoot_s


async def chunks(*sizes: int) -> AsyncIterator[np.ndarray]:
    for size in sizes:
        yield np.zeros(size, np.float32)


async def test_pace_does_not_drift() -> None:
    clock = Clock(overshoot_s=0.004)
    times = [clock.now_s async for _ in at_real_time(chunks(*[160] * 500), 16000, clock=clock, sleep=clock.sleep)]
    due = 100.0 + 0.01 * np.arange(1, 501)
    np.testing.assert_allclose(times, due + 0.004, atol=1e-9)


async def test_pace_catches_up_after_a_stall() -> None:
    clock = Clock(overshoot_s=0.0)
    times = []
    async for _ in at_real_time(chunks(*[160] * 5), 16000, clock=clock, sleep=clock.sleep):
        times.append(round(clock.now_s - 100.0, 6))
        if len(times) == 1:
            clock.now_s += 0.035
    assert times == [0.01, 0.045, 0.045, 0.045, 0.05]


def test_latency_counts_from_the_chunk_that_completed_the_frame() -> None:
    tracker = LatencyTracker(first_frame_samples=100, hop_samples=100)
    tracker.sent(60, 1.0)
    tracker.sent(60, 2.0)  # completes frame 0
    tracker.sent(180, 3.0)  # completes frames 1 and 2
    assert tracker.received(0, 1, 2.5) == [0.5]
    assert tracker.received(1, 2, 3.25) == [0.25, 0.25]
    assert tracker.received(3, 2, 9.0) == []  # only the flush completed these


def test_latency_of_windows_longer_than_a_hop() -> None:
    tracker = LatencyTracker(first_frame_samples=320, hop_samples=160)
    for number in range(3):
        tracker.sent(320, float(number))
    # Frames end at 320, 480, 640, 800, 960 samples: chunks 0, 1, 1, 2, 2. The next was completed by no chunk.
    assert tracker.received(0, 1, 10.0) == [10.0]
    assert tracker.received(1, 4, 10.0) == [9.0, 9.0, 8.0, 8.0]
    assert tracker.received(5, 1, 10.0) == []


def test_latency_of_frames_of_fractional_length() -> None:
    tracker = LatencyTracker(first_frame_samples=706, hop_samples=256 * 44100 / 16000)  # 705.6
    for number in range(3):
        tracker.sent(705, float(number))
    assert tracker.received(0, 1, 10.0) == [9.0]
    assert tracker.received(1, 1, 10.0) == [8.0]


def test_a_frame_that_ends_with_a_chunk_is_not_taken_for_one_of_the_next() -> None:
    tracker = LatencyTracker(first_frame_samples=706, hop_samples=705.6)
    for number in range(5):
        tracker.sent(882, float(number))  # frame 4 ends with 5 x 705.6 = 4 x 882 samples
    assert tracker.received(4, 1, 10.0) == [7.0]


async def test_chunks_are_noted_as_they_pass() -> None:
    tracker = LatencyTracker(first_frame_samples=3, hop_samples=3)
    before_s = time.monotonic()
    assert [len(chunk) async for chunk in tracker.watch(chunks(2, 0, 2))] == [2, 0, 2]
    (latency_s,) = tracker.received(0, 2, time.monotonic())
    assert 0 <= latency_s <= time.monotonic() - before_s


def test_playback_waits_for_its_target_and_is_silent_when_empty() -> None:
    buffer = PlaybackBuffer(target_samples=4, capacity_samples=10)
    buffer.write(np.array([1, 2, 3], np.float32))
    assert buffer.read(2).ravel().tolist() == [0, 0]
    buffer.write(np.array([4, 5], np.float32))
    assert buffer.read(3).ravel().tolist() == [1, 2, 3]
    assert buffer.read(4).ravel().tolist() == [4, 5, 0, 0]
    assert buffer.underruns == 1
    buffer.write(np.array([6], np.float32))
    assert buffer.read(1).ravel().tolist() == [0]  # filling up again
    buffer.write(np.array([7, 8, 9], np.float32))
    assert buffer.read(4).ravel().tolist() == [6, 7, 8, 9]


def test_playback_drops_the_oldest_beyond_its_capacity() -> None:
    buffer = PlaybackBuffer(target_samples=0, capacity_samples=4, channels=2)
    rows = np.arange(20, dtype=np.float32).reshape(10, 2)
    buffer.write(rows[:3])
    buffer.write(rows[3:6])
    assert len(buffer) == 4
    assert buffer.dropped_samples == 2
    np.testing.assert_array_equal(buffer.read(4), rows[2:6])
    buffer.write(rows)
    np.testing.assert_array_equal(buffer.read(4), rows[6:])
    assert buffer.dropped_samples == 8


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le"])
def test_int16_samples_survive_both_encodings(encoding: str) -> None:
    samples = np.arange(-32768, 32768).astype(np.int16)
    back = decode_audio(encode_audio(samples, encoding, 1), encoding, 1)
    np.testing.assert_array_equal(back * 32768, samples)


@pytest.mark.parametrize(
    ("samples", "channels", "words"),
    [
        (np.zeros((5, 2), np.float32), 1, r"\[5, 2\]; a stream of 1 channel"),
        (np.zeros(5, np.float32), 2, r"takes \[samples, 2\]"),
        (np.zeros((2, 5), np.float32), 2, r"shape \[2, 5\]"),
        (np.zeros(5, np.int32), 1, "int32"),
        (np.zeros(5, bool), 1, "bool"),
    ],
)
def test_samples_of_another_shape_or_type_are_refused(samples: np.ndarray, channels: int, words: str) -> None:
    with pytest.raises(SignalError, match=words):
        encode_audio(samples, "pcm_f32le", channels)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"frame_budget_s": float("nan")}, "frame_budget_s is nan; seconds, such as 0.1, would work"),
        ({"frame_budget_s": float("inf")}, "frame_budget_s is inf"),
        ({"frame_budget_s": 0}, "frame_budget_s is 0; .* or None for a hop"),
        ({"frame_budget_s": 1e12}, "frame_budget_s is 1000000000000.0"),
        ({"sample_rate_hz": 44_100.5}, "sample_rate_hz is 44100.5; a whole number of up to 2147483647 would work"),
        ({"sample_rate_hz": 2**31}, "sample_rate_hz is 2147483648"),
        ({"channels": -1}, "channels is -1"),
        ({"channels": True}, "channels is True"),
    ],
    ids=str,
)
async def test_numbers_that_no_stream_has_are_refused_before_anything_is_sent(
    wrong: dict[str, Any], words: str
) -> None:
    async with StreamClient("127.0.0.1:1") as client:
        with pytest.raises(SignalError, match=words):
            async with client.stream("gtcrn", **wrong):
                pass
