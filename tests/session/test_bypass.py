"""Bypassed frames: the input comes out in their place, aligned to the sample, and nobody hears where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.session.programs import FRAME, HOP, RATE_HZ, feature_spec, held_spec, overlap_spec, peak_spec
from wavetile.engine.errors import SignalError
from wavetile.engine.plan import StatePool
from wavetile.engine.session import Executor, Session, StreamSpec

FADE_SLOPE = np.pi / 2 / HOP
"""The steepest that a fade over a hop is."""


def audio_only(spec: StreamSpec) -> StreamSpec:
    return replace(spec, values={}, decoder=None)


def run(
    session: Session, executor: Executor, signal: np.ndarray, is_late: Callable[[int], bool]
) -> tuple[np.ndarray, list[bool]]:
    """All audio of `signal`, and of each frame whether its input went out."""
    blocks: list[np.ndarray] = []
    told: list[bool] = []

    def compute() -> None:
        while session.ready:
            if is_late(len(told)):
                session.bypass()
            else:
                executor.step([session])
            told.append(session.bypassed)
            samples = session.drain().samples
            assert samples is not None
            blocks.append(samples)

    position = 0
    while position < len(signal):
        part = signal[position : position + max(1, min(session.free_samples, 100))]
        session.feed(part)
        position += len(part)
        compute()
    session.flush()
    assert session.ready
    compute()
    return np.concatenate(blocks), told


def open_one(spec: StreamSpec, rate_hz: int | None = None, channels: int = 1) -> tuple[Session, Executor]:
    pool = StatePool(spec.program, channels)
    session = Session(spec, pool, sample_rate_hz=rate_hz, channels=channels, bypass=True)
    return session, Executor(spec, channels, pool)


def bypassed(
    spec: StreamSpec,
    signal: np.ndarray,
    is_late: Callable[[int], bool],
    rate_hz: int | None = None,
) -> np.ndarray:
    channels = signal.shape[1] if signal.ndim == 2 else 1
    return run(*open_one(spec, rate_hz, channels), signal, is_late)[0]


SPECS = {
    "overlap": audio_only(overlap_spec()),
    "whole first frame": audio_only(overlap_spec("first_frame")),
    "late by its state": held_spec(),
    "late by more than a frame": replace(audio_only(overlap_spec(frame=5 * HOP)), name="long"),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize(("rate_hz", "channels"), [(None, 1), (None, 2), (48000, 1), (44100, 3), (8000, 1)])
def test_through_a_network_that_changes_nothing_no_gap_shows(name: str, rate_hz: int | None, channels: int) -> None:
    spec = SPECS[name]
    times = np.arange(RATE_HZ // 4) / (rate_hz or RATE_HZ)
    shape = (len(times), channels) if channels > 1 else (len(times),)
    noise = np.random.default_rng(3).uniform(-0.1, 0.1, shape).astype(np.float32)
    sine = np.sin(2 * np.pi * 440 * times).astype(np.float32).reshape(-1, *(1 for _ in shape[1:]))
    signal = 0.5 * sine + noise
    whole = bypassed(spec, signal, lambda _: False, rate_hz)
    # A network that starts with the first frame adds up too few of them where the signal begins.
    begin = 10 * FRAME * (rate_hz or RATE_HZ) // RATE_HZ if spec.start == "first_frame" else 0
    late = np.random.default_rng(4).random(2000) < 0.3
    for is_late in (
        lambda frame: 60 <= frame < 80,
        lambda frame: bool(late[frame]),
        lambda frame: frame < 3,
        lambda frame: frame > 90,
        lambda _: True,
    ):
        out = bypassed(spec, signal, is_late, rate_hz)
        assert out.shape == whole.shape
        np.testing.assert_allclose(out[begin:], whole[begin:], rtol=0, atol=2e-6)


@pytest.mark.parametrize("gain", [0.5, -0.5, 0.0])
def test_a_steady_level_fades_without_a_jump(gain: float) -> None:
    spec = audio_only(overlap_spec(gain=gain))
    ones = np.ones(100 * HOP, np.float32)
    out = bypassed(spec, ones, lambda frame: 40 <= frame < 50)
    start, end = 40 * HOP, 50 * HOP
    catch_up = spec.delay_samples
    np.testing.assert_allclose(out[FRAME:start], gain, atol=1e-6)
    np.testing.assert_allclose(out[start + HOP : end + catch_up], 1.0, atol=1e-6)
    np.testing.assert_allclose(out[end + catch_up + HOP : 100 * HOP], gain, atol=1e-6)
    rises = np.diff(out[start - 1 : start + HOP + 1])
    falls = np.diff(out[end + catch_up - 1 : end + catch_up + HOP + 1])
    assert (rises >= -1e-6).all()
    assert (falls <= 1e-6).all()
    assert max(rises.max(), -falls.min()) <= (1 - gain) * FADE_SLOPE


@pytest.mark.parametrize("gain", [0.5, -0.5, 0.0, 2.0])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_sine_fades_without_a_click(gain: float, channels: int) -> None:
    spec = audio_only(overlap_spec(gain=gain))
    step = 2 * np.pi * 200 / RATE_HZ
    sine = np.sin(step * np.arange(100 * HOP)).astype(np.float32)
    signal = sine if channels == 1 else np.stack([sine, -sine], axis=1)
    out = bypassed(spec, signal, lambda frame: 40 <= frame < 50)
    undisturbed = bypassed(spec, signal, lambda _: False)
    start, end = 40 * HOP, 50 * HOP + spec.delay_samples
    np.testing.assert_array_equal(out[:start], undisturbed[:start])
    np.testing.assert_allclose(out[end + HOP :], undisturbed[end + HOP :], atol=1e-6)
    aligned = signal[start + HOP - spec.delay_samples : end - spec.delay_samples]
    np.testing.assert_array_equal(out[start + HOP : end], aligned)
    # From sample to sample it moves no faster than the louder of the two signals and the fade between them.
    loudest = max(1.0, abs(gain))
    assert np.abs(np.diff(out[FRAME : 99 * HOP], axis=0)).max() <= loudest * step + (abs(1 - gain) + 1) * FADE_SLOPE


def test_what_is_bypassed_is_told_and_the_state_stays() -> None:
    spec = overlap_spec()
    session, executor = open_one(audio_only(spec))
    states = []
    session.feed(np.ones(12 * HOP, np.float32))
    told = []
    for frame in range(12):
        if frame in (4, 5):
            session.bypass()
        else:
            executor.step([session])
        told.append(session.bypassed)
        states.append(executor._workspace._pool.read(session._held[0]))
    # The model lags two hops: so many frames more it hears and is not heard.
    assert told == [False] * 4 + [True] * 4 + [False] * 4
    assert states[5] == states[3]
    assert states[6] != states[5]


def test_a_reset_session_starts_as_a_new_one() -> None:
    spec = SPECS["late by its state"]
    session, executor = open_one(spec)
    signal = np.random.default_rng(0).uniform(-1, 1, 10 * HOP).astype(np.float32)
    first, _ = run(session, executor, signal, lambda frame: frame > 4)
    session.reset()
    again, told = run(session, executor, signal, lambda frame: frame > 4)
    np.testing.assert_array_equal(again, first)
    assert told == [False] * 5 + [True] * 6


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (
            overlap_spec(),
            "returns peak, count beside audio, which a bypassed frame has not; process or skip would",
        ),
        (peak_spec(), "returns no audio, so late frames can not be bypassed; process or skip would work"),
        (feature_spec(), "returns no audio"),
    ],
)
def test_what_can_not_be_bypassed_is_refused(spec: StreamSpec, reason: str) -> None:
    pool = StatePool(spec.program, 1)
    with pytest.raises(SignalError, match=reason):
        Session(spec, pool, bypass=True)
    assert pool.free == 1
