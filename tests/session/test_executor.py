"""Sessions that are computed together: each gets what it would get alone, and slots come and go with sessions."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable

import numpy as np
import pytest

from tests.session.programs import FRAME, HOP, feature_spec, overlap_spec
from wavetile.engine.errors import SignalError, StreamClosedError, WavetileError
from wavetile.engine.plan import StatePool
from wavetile.engine.session import Executor, Session, Stream, StreamSpec

SPEC = overlap_spec()


def noise(samples: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    shape = samples if channels == 1 else (samples, channels)
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)


def finish(session: Session, step: Callable[[], None]) -> np.ndarray:
    """Step until nothing is ready and return the samples."""
    while session.ready:
        step()
    samples = session.drain().samples
    assert samples is not None
    return samples


@pytest.mark.parametrize("max_lanes", [3, 4, 64])
def test_sessions_together_get_what_each_gets_alone(max_lanes: int) -> None:
    channels = [1, 2, 1, 3, 1]
    pool = StatePool(SPEC.program, sum(channels))
    executor = Executor(SPEC, max_lanes, pool)
    sessions = [Session(SPEC, pool, channels=count) for count in channels]
    signals = [noise(20 * HOP, count, seed) for seed, count in enumerate(channels)]
    for session, signal in zip(sessions, signals, strict=True):
        session.feed(signal)
    for length in [1, 5, 3, 2] * 10:
        executor.step([session for session in sessions[:length] if session.ready])
    for session, signal in zip(sessions, signals, strict=True):
        streamed = finish(session, lambda session=session: executor.step([session]))
        with Stream(SPEC, channels=session.channels) as stream:
            np.testing.assert_array_equal(streamed, stream.process(signal).samples)


def test_after_the_warm_up_the_first_batch_of_a_size_leaves_nothing_behind() -> None:
    """Python's allocator sees no block more after the first batch of each size, nor of each mix of channels."""
    pool = StatePool(SPEC.program, 16)
    mixes = [[1] * size for size in range(1, 17)] + [[2] * 8, [3, 1, 2, 1], [8, 8], [16]]
    for warm in (False, True):
        executor = Executor(SPEC, 16, pool)
        if warm:
            executor.warm_up()
            assert pool.free == 16
        left = 0
        for channels in mixes:
            sessions = [Session(SPEC, pool, channels=count) for count in channels]
            for session in sessions:
                session.feed(noise(3 * HOP, session.channels))
                Executor(SPEC, session.lanes, pool).step([session])  # what a session makes of its own first step
                session.drain()
            gc.collect()
            blocks = sys.getallocatedblocks()
            executor.step(sessions)
            for session in sessions:
                session.drain()
            gc.collect()
            left = max(left, sys.getallocatedblocks() - blocks)
            for session in sessions:
                session.close()
        assert (left <= 2) == warm


def test_a_warm_up_leaves_sessions_as_they_are() -> None:
    pool = StatePool(SPEC.program, 4)
    session = Session(SPEC, pool)
    session.feed(noise(9 * HOP))
    executor = Executor(SPEC, 3, pool)
    executor.step([session])
    executor.warm_up()
    whole = np.concatenate([session.drain().samples, finish(session, lambda: executor.step([session]))])  # type: ignore[list-item]
    with Stream(SPEC) as stream:
        np.testing.assert_array_equal(whole, stream.process(noise(9 * HOP)).samples)
    with pytest.raises(WavetileError, match="slots"):
        Executor(SPEC, 4, pool).warm_up()
    assert pool.free == 3


def test_session_with_more_channels_than_lanes_is_refused() -> None:
    pool = StatePool(SPEC.program, 3)
    executor = Executor(SPEC, 2, pool)
    session = Session(SPEC, pool, channels=3)
    session.feed(noise(HOP, 3))
    with pytest.raises(ValueError, match="3 lanes"):
        executor.step([session])


def test_slots_return_when_sessions_close() -> None:
    pool = StatePool(SPEC.program, 3)
    first = Session(SPEC, pool, channels=2)
    with pytest.raises(WavetileError, match="slots"):
        Session(SPEC, pool, channels=2)
    assert pool.free == 1
    first.close()
    first.close()
    assert pool.free == 3
    with pytest.raises(StreamClosedError):
        first.feed(noise(10, 2))


def test_a_slot_starts_fresh_for_the_next_session() -> None:
    pool = StatePool(SPEC.program, 1)
    executor = Executor(SPEC, 1, pool)
    for _ in range(2):
        session = Session(SPEC, pool)
        session.feed(noise(5 * HOP))
        while session.ready:
            executor.step([session])
        np.testing.assert_array_equal(session.drain().values["count"][:, 0], [1, 2, 3, 4, 5])
        session.close()


@pytest.mark.parametrize(
    ("spec", "rate_hz", "samples"),
    [
        (SPEC, None, HOP),
        (overlap_spec("first_frame"), None, FRAME),
        (SPEC, 48000, 3 * HOP),
        (overlap_spec("first_frame"), 44100, 265),  # 96 at 16 kHz are 264.6
        (feature_spec(), None, 1),
    ],
)
def test_the_first_window_needs_first_frame_samples(spec: StreamSpec, rate_hz: int | None, samples: int) -> None:
    session = Session(spec, StatePool(spec.program, 1), sample_rate_hz=rate_hz)
    assert session.first_frame_samples == samples
    if rate_hz is None:  # else the resampler holds some back
        shape = (spec.feature_count,) if spec.feature_count else ()
        session.feed(np.zeros((samples - 1, *shape), np.float32))
        assert session.ready == 0
        session.feed(np.zeros((1, *shape), np.float32))
        assert session.ready == 1


@pytest.mark.parametrize("rate_hz", [None, 8000, 48000])
def test_feed_takes_free_samples_and_no_more(rate_hz: int | None) -> None:
    pool = StatePool(SPEC.program, 1)
    session = Session(SPEC, pool, sample_rate_hz=rate_hz)
    room = session.free_samples
    with pytest.raises(SignalError, match="longer than"):
        session.feed(np.zeros(room + 1, np.float32))
    assert session.free_samples == room
    session.feed(np.zeros(room, np.float32))
    assert session.free_samples == 0
    assert session.ready > 0
    session.flush()  # its padding fits a full ring


@pytest.mark.parametrize("rate_hz", [None, 1000, 8000, 44100, 768_000])
def test_feeder_and_executor_in_two_threads(rate_hz: int | None) -> None:
    pool = StatePool(SPEC.program, 1)
    executor = Executor(SPEC, 1, pool)
    session = Session(SPEC, pool, sample_rate_hz=rate_hz)
    signal = noise(session.sample_rate_hz)
    ended = threading.Event()
    blocks: list[np.ndarray] = []

    def compute() -> None:
        while not ended.is_set() or session.ready:
            if session.ready:
                executor.step([session])
                samples = session.drain().samples
                assert samples is not None
                blocks.append(samples)

    thread = threading.Thread(target=compute)
    thread.start()
    position = 0
    while position < len(signal):
        room = session.free_samples
        session.feed(signal[position : position + room])
        position += room
    ended.set()
    thread.join()
    session.flush()
    blocks.append(finish(session, lambda: executor.step([session])))
    with Stream(SPEC, sample_rate_hz=rate_hz) as stream:
        expected = [stream.process(signal).samples, stream.flush().samples]
    np.testing.assert_array_equal(np.concatenate(blocks), np.concatenate(expected))  # type: ignore[arg-type]
