"""Streams: the timeline, chunks of any length, channels, rates, feature frames, and input that is refused."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.session.programs import FRAME, HOP, RATE_HZ, feature_spec, overlap_spec, peak_spec
from wavetile.engine.errors import SignalError, StreamClosedError
from wavetile.engine.session import Output, Stream, StreamSpec

DELAY = FRAME - HOP
SPECS = {start: overlap_spec(start) for start in ("silence", "first_frame")}
PEAKS = peak_spec()
FEATURES = feature_spec()
CHUNKINGS = st.lists(st.just(HOP) | st.integers(1, RATE_HZ), min_size=1, max_size=8)


def noise(samples: int, channels: int = 1) -> np.ndarray:
    """A signal, `[samples]` or `[samples, channels]`, well within full scale."""
    shape = samples if channels == 1 else (samples, channels)
    return np.random.default_rng(samples).uniform(-0.5, 0.5, shape).astype(np.float32)


def collect(outputs: list[Output]) -> Output:
    """Join consecutive outputs."""
    first = outputs[0]
    samples = None if first.samples is None else np.concatenate([o.samples for o in outputs if o.samples is not None])
    values = {name: np.concatenate([output.values[name] for output in outputs]) for name in first.values}
    return Output(samples, values, tuple(event for output in outputs for event in output.events))


def run(spec: StreamSpec, signal: np.ndarray, sizes: list[int], **options: Any) -> Output:
    """Stream a whole signal in chunks of these sizes, over and over."""
    outputs, position, index = [], 0, 0
    with Stream(spec, **options) as stream:
        while position < len(signal):
            size = sizes[index % len(sizes)]
            outputs.append(stream.process(signal[position : position + size]))
            position, index = position + size, index + 1
        outputs.append(stream.flush())
    return collect(outputs)


@functools.cache
def run_at_once(start: str, samples: int, channels: int = 1, rate_hz: int | None = None) -> Output:
    """Noise as one chunk."""
    options: dict[str, Any] = {} if rate_hz is None else {"sample_rate_hz": rate_hz, "channels": channels}
    return run(SPECS[start], noise(samples, channels), [samples], **options)


def assert_same_bits(output: Output, expected: Output) -> None:
    np.testing.assert_array_equal(output.samples, expected.samples)
    for name, value in expected.values.items():
        np.testing.assert_array_equal(output.values[name], value)
    assert output.events == expected.events


@pytest.mark.parametrize("start", SPECS)
@pytest.mark.parametrize("samples", [0, 1, HOP - 1, HOP, HOP + 1, FRAME, 1000])
def test_output_sample_t_is_input_sample_t_minus_delay(start: str, samples: int) -> None:
    signal = noise(samples)
    output = run(SPECS[start], signal, [100])
    assert output.samples is not None
    assert len(output.samples) == samples + DELAY
    # Frames that begin before the signal's first frame are missing there, so it fades in over one frame.
    settled = 0 if start == "silence" else DELAY
    np.testing.assert_allclose(output.samples[DELAY + settled :], signal[settled:], atol=1e-6)
    if start == "first_frame":
        assert not output.samples[:DELAY].any()


def test_every_frame_has_its_values_and_its_own_state() -> None:
    signal = noise(10 * HOP)
    output = run(SPECS["silence"], signal, [7])
    frames = len(output.values["peak"])
    padded = np.concatenate([np.zeros(DELAY, np.float32), signal, np.zeros(FRAME, np.float32)])
    peaks = [padded[step * HOP : step * HOP + FRAME].max() for step in range(frames)]
    assert frames == 10 + DELAY // HOP
    np.testing.assert_array_equal(output.values["peak"], peaks)
    np.testing.assert_array_equal(output.values["count"], np.repeat(np.arange(1, frames + 1), 2).reshape(-1, 2))


@settings(deadline=None, max_examples=25)
@given(sizes=CHUNKINGS, start=st.sampled_from(list(SPECS)))
def test_chunking_changes_no_bit(sizes: list[int], start: str) -> None:
    signal = noise(RATE_HZ // 4 + 13)
    assert_same_bits(run(SPECS[start], signal, sizes), run_at_once(start, len(signal)))


@settings(deadline=None, max_examples=15)
@given(
    sizes=CHUNKINGS,
    rate_hz=st.sampled_from([8000, 22050, 44100, 48000]),
    channels=st.integers(1, 2),
    start=st.sampled_from(list(SPECS)),
)
def test_chunking_changes_no_bit_at_other_rates(sizes: list[int], rate_hz: int, channels: int, start: str) -> None:
    signal = noise(rate_hz // 5 + 3, channels)
    options: dict[str, Any] = {"sample_rate_hz": rate_hz, "channels": channels}
    whole = run_at_once(start, len(signal), channels, rate_hz)
    assert_same_bits(run(SPECS[start], signal, sizes, **options), whole)
    assert whole.samples is not None
    assert len(whole.samples) == len(signal) + Stream(SPECS[start], **options).delay_samples


@pytest.mark.parametrize("rate_hz", [8000, 44100, 48000])
def test_resampled_output_keeps_the_timeline(rate_hz: int) -> None:
    time = np.arange(rate_hz) / rate_hz
    signal = (0.5 * np.sin(2 * np.pi * 440 * time) * np.hanning(rate_hz)).astype(np.float32)
    output = run(SPECS["silence"], signal, [480], sample_rate_hz=rate_hz).samples
    assert output is not None
    delay_seconds = DELAY / RATE_HZ
    late = np.arange(len(output)) / rate_hz - delay_seconds
    expected = np.interp(late, time, signal, left=0, right=0)
    # A delay that is no whole number of samples is rounded for delay_samples alone, never in the samples.
    np.testing.assert_allclose(output, expected, atol=4e-3)


def test_channels_are_processed_apart() -> None:
    signal = noise(500, 3)
    output = run(SPECS["silence"], signal, [41], channels=3)
    for channel in range(3):
        alone = run(SPECS["silence"], np.ascontiguousarray(signal[:, channel]), [500])
        np.testing.assert_array_equal(output.samples[:, channel], alone.samples)  # type: ignore[index]
        np.testing.assert_array_equal(output.values["peak"][:, channel], alone.values["peak"])
        np.testing.assert_array_equal(output.values["count"][:, channel], alone.values["count"])


def test_one_channel_may_come_as_a_column() -> None:
    signal = noise(300)
    assert_same_bits(run(SPECS["silence"], signal[:, None], [50]), run(SPECS["silence"], signal, [50]))


def test_int16_is_float32_at_full_scale_32768() -> None:
    signal = np.random.default_rng(3).integers(-32768, 32768, 700).astype(np.int16)
    as_float = signal.astype(np.float32) / 32768
    assert_same_bits(run(SPECS["silence"], signal, [64]), run(SPECS["silence"], as_float, [64]))


def test_downmix_averages_channels_and_events_count_at_the_stream_rate() -> None:
    signal = np.zeros((20 * HOP, 2), np.float32)
    signal[10 * HOP + 5] = [1.0, 0.85]
    signal[3 * HOP] = [1.0, 0.0]
    output = run(PEAKS, signal, [33], channels=2)
    assert output.samples is None
    assert len(output.values["peak"]) == 20
    np.testing.assert_allclose(output.values["peak"].max(), 0.925, rtol=1e-6)
    assert [event.sample for event in output.events] == [11 * HOP, 12 * HOP, 13 * HOP]
    assert output.events[0].seconds == 11 * HOP / RATE_HZ


def test_feature_frames() -> None:
    frames = noise(50, 3)
    output = run(FEATURES, frames, [7])
    np.testing.assert_allclose(output.values["total"], np.cumsum(frames, axis=0), rtol=1e-5, atol=1e-6)
    with Stream(FEATURES) as stream:
        assert (stream.sample_rate_hz, stream.hop_samples, stream.delay_samples) == (0, 1, 0)


def test_short_chunk_gives_empty_results_of_the_right_shape() -> None:
    with Stream(SPECS["silence"]) as stream:
        output = stream.process(np.zeros(1, np.float32))
    assert output.samples is not None
    assert output.samples.shape == (0,)
    assert output.values["peak"].shape == (0,)
    assert output.values["count"].shape == (0, 2)


def test_reset_starts_a_new_signal() -> None:
    first, second = noise(777), noise(555)
    with Stream(SPECS["first_frame"], sample_rate_hz=48000) as stream:
        stream.process(first)
        stream.reset()
        once = collect([stream.process(second), stream.flush()])
        stream.reset()
        again = collect([stream.process(second), stream.flush()])
    assert_same_bits(again, once)
    assert_same_bits(once, run(SPECS["first_frame"], second, [555], sample_rate_hz=48000))


def bad(position: int, value: float, shape: int | tuple[int, int] = 100) -> np.ndarray:
    """A chunk with one value that can not be used at flat `position`."""
    chunk = np.zeros(shape, np.float32)
    chunk.reshape(-1)[position] = value
    return chunk


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (bad(17, np.nan), "nan at sample 17"),
        (bad(99, np.inf), "inf at sample 99"),
        (bad(0, -np.inf), "-inf at sample 0"),
        (bad(5, 1e19), r"1e\+19 at sample 5; finite values from -1048576 to 1048576 would work"),
        (bad(6, -1048577), r"-1\.048577e\+06 at sample 6"),
        (np.zeros(10), "chunk of float64.*astype"),
        (np.zeros(10, np.int32), "chunk of int32"),
        (np.zeros((10, 2), np.float32), r"shape \[10, 2\].*1 channel;"),
        (np.zeros((1, 10), np.float32), r"shape \[1, 10\]"),
        (np.zeros((), np.float32), r"shape \[\]"),
        ([0.0, 1.0], "not list"),
        (b"\0\0", "not bytes"),
    ],
)
def test_bad_chunk_is_refused_and_nothing_of_it_taken(chunk: np.ndarray, message: str) -> None:
    signal = noise(400)
    with Stream(SPECS["silence"]) as stream:
        outputs = [stream.process(signal[:150])]
        with pytest.raises(SignalError, match=message):
            stream.process(chunk)
        outputs += [stream.process(signal[150:]), stream.flush()]
    assert_same_bits(collect(outputs), run(SPECS["silence"], signal, [400]))


def test_nan_in_a_channel_is_named() -> None:
    with Stream(SPECS["silence"], channels=2) as stream, pytest.raises(SignalError, match="sample 20, column 1"):
        stream.process(bad(41, np.nan, (50, 2)))


def test_a_hop_with_a_huge_sample_is_refused_on_the_short_way_too() -> None:
    spec = SPECS["silence"]
    with Stream(spec) as stream:
        stream.process(noise(spec.first_frame_samples))
        for value in (1e19, np.nextafter(np.float32(2**20), np.float32(np.inf))):
            with pytest.raises(SignalError, match="full scale"):
                stream.process(bad(3, value, spec.hop_samples))


def test_the_loudest_samples_are_fine_in_long_chunks_too() -> None:
    signal = np.full(200, -(2**20), np.float32)
    assert run(SPECS["silence"], signal, [200]).samples is not None


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (np.zeros((5, 4), np.float32), r"\[frames, 3\]"),
        (np.zeros(3, np.float32), r"\[frames, 3\]"),
        (np.zeros((5, 3), np.int16), "int16"),
        (bad(7, np.nan, (5, 3)), "frame 2, column 1"),
        (bad(7, 2.0**51, (5, 3)), r"frame 2, column 1; finite values from -1\.1259e\+15"),
    ],
)
def test_bad_feature_frames_are_refused(chunk: np.ndarray, message: str) -> None:
    with Stream(FEATURES) as stream, pytest.raises(SignalError, match=message):
        stream.process(chunk)


@pytest.mark.parametrize("options", [{"sample_rate_hz": 0}, {"sample_rate_hz": -1}, {"sample_rate_hz": 768_001}])
def test_bad_rates_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SignalError, match="sample rate"):
        Stream(SPECS["silence"], **options)


@pytest.mark.parametrize("channels", [0, -1, 65, 1.0, True, None])
def test_bad_channel_counts_are_refused(channels: object) -> None:
    with pytest.raises(SignalError, match="channels"):
        Stream(SPECS["silence"], channels=channels)  # type: ignore[arg-type]


def test_feature_streams_have_no_rate_and_one_channel() -> None:
    with pytest.raises(SignalError, match="no sample rate"):
        Stream(FEATURES, sample_rate_hz=16000)
    with pytest.raises(SignalError, match="2 channels"):
        Stream(FEATURES, channels=2)


def test_flushed_stream_takes_no_more_until_reset() -> None:
    with Stream(SPECS["silence"]) as stream:
        stream.flush()
        with pytest.raises(SignalError, match="reset"):
            stream.process(noise(10))
        with pytest.raises(SignalError, match="reset"):
            stream.flush()
        stream.reset()
        stream.process(noise(10))


def test_closed_stream_says_so() -> None:
    with Stream(SPECS["silence"]) as stream:
        pass
    stream.close()
    assert stream.closed
    for use in (lambda: stream.process(noise(10)), stream.flush, stream.reset):
        with pytest.raises(StreamClosedError, match="overlap"):
            use()
