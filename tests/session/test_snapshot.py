"""Snapshots: a stream that goes on from one gives the bits of the stream that it was taken of."""

from __future__ import annotations

import struct
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.session.programs import HOP, RATE_HZ, feature_spec, overlap_spec
from tests.session.test_stream import FEATURES, PEAKS, SPECS, assert_same_bits, collect, noise, run
from wavetile.engine.errors import SnapshotError, StreamClosedError
from wavetile.engine.plan import StatePool
from wavetile.engine.session import Executor, Output, Stream, StreamSpec
from wavetile.engine.session.kept_session import Copied, KeptSession
from wavetile.engine.session.record import Record, pack
from wavetile.engine.session.resample_resumable import ResumableResampler
from wavetile.engine.session.resumable_session import ResumableSession
from wavetile.engine.session.snapshot import Snapshot, take

LONG = overlap_spec(frame=480, hop=160)
"""Frames that seconds of signal have not too many of."""
CUTS = st.lists(st.integers(0, 30), max_size=4)
SIZES = st.lists(st.just(HOP) | st.integers(1, 4000), min_size=1, max_size=6)
SECONDS_SIZES = st.lists(st.integers(160, 9000), min_size=1, max_size=6)


def run_in_parts(spec: StreamSpec, signal: np.ndarray, sizes: list[int], cuts: set[int], **options: Any) -> Output:
    """Stream a signal in chunks; behind each chunk whose number is in `cuts`, go on in another stream."""
    outputs, position, index = [], 0, 0
    stream = Stream(spec, **options, resumable=True)
    while position < len(signal):
        if index in cuts:
            snapshot = stream.snapshot()
            stream.process(signal[position : position + 100])  # what it does from here on is nobody's
            stream.close()
            stream = Stream.resume(spec, snapshot)
        size = sizes[index % len(sizes)]
        outputs.append(stream.process(signal[position : position + size]))
        position, index = position + size, index + 1
    outputs.append(stream.flush())
    return collect(outputs)


@settings(deadline=None, max_examples=20)
@given(
    start=st.sampled_from(list(SPECS)),
    channels=st.sampled_from([1, 2, 3]),
    samples=st.integers(0, 20_000),
    sizes=SIZES,
    cuts=CUTS,
)
def test_at_the_models_rate_any_cut_keeps_every_bit(
    start: str, channels: int, samples: int, sizes: list[int], cuts: list[int]
) -> None:
    signal = noise(samples, channels)
    expected = run(SPECS[start], signal, [1000], channels=channels)
    assert_same_bits(run_in_parts(SPECS[start], signal, sizes, set(cuts), channels=channels), expected)


@settings(deadline=None, max_examples=20)
@given(
    rate_hz=st.sampled_from([8000, 11025, 16001, 22050, 44100, 44101, 48000]),
    channels=st.sampled_from([1, 2]),
    seconds=st.floats(0.01, 2.8),
    sizes=SECONDS_SIZES,
    cuts=CUTS,
)
def test_with_resampling_any_cut_keeps_every_bit(
    rate_hz: int, channels: int, seconds: float, sizes: list[int], cuts: list[int]
) -> None:
    signal = noise(int(seconds * rate_hz), channels)
    options = {"sample_rate_hz": rate_hz, "channels": channels}
    expected = run(LONG, signal, [len(signal)], **options, resumable=True)
    cut = run_in_parts(LONG, signal, sizes, set(cuts), **options)
    assert_same_bits(cut, expected)
    plain = run(LONG, signal, [1000], **options)
    assert cut.samples is not None
    assert plain.samples is not None
    assert cut.samples.shape == plain.samples.shape
    np.testing.assert_allclose(cut.samples, plain.samples, atol=1e-5)  # another cut of the same filter


@pytest.mark.parametrize("rate_hz", [1001, 16001, 44101, 767_999])
def test_streams_at_any_rate_go_on_for_ever(rate_hz: int) -> None:
    signal = noise(int(3.2 * rate_hz))
    options = {"sample_rate_hz": rate_hz}
    resumable = run(LONG, signal, [rate_hz // 7], **options, resumable=True)
    plain = run(LONG, signal, [rate_hz // 7], **options)
    assert resumable.samples is not None
    assert plain.samples is not None
    np.testing.assert_allclose(resumable.samples, plain.samples, atol=1e-5)


def test_a_stream_that_makes_no_progress_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with Stream(SPECS["silence"]) as stream:
        monkeypatch.setattr(ResumableSession, "free_samples", 0)
        with pytest.raises(RuntimeError, match="too small for its stream"):
            stream.process(noise(40_000))


def kept(pool: StatePool, **options: Any) -> KeptSession:
    return KeptSession(LONG, pool, interval_frames=16, **options)


def test_sessions_that_open_together_are_kept_in_turns_and_each_at_its_interval() -> None:
    spec = replace(LONG)
    pool = StatePool(spec.program, 16)
    executor = Executor(spec, 16, pool)
    sessions = [KeptSession(spec, pool, interval_frames=16) for _ in range(16)]
    for session in sessions:
        session.feed(noise(480 - 160))
    turns: list[list[int]] = []
    for _ in range(64):
        for session in sessions:
            session.feed(noise(160))
        executor.step(sessions)
        for session in sessions:
            session.drain()
        turns.append([index for index, session in enumerate(sessions) if session.taken])
        for session in sessions:
            session.taken.clear()
    assert max(map(len, turns)) <= 2
    assert "digest" not in vars(spec)  # which takes long: for who packs what was taken
    for index in range(16):
        frames = [frame for frame, taken in enumerate(turns) if index in taken]
        assert len(frames) == 4
        assert set(np.diff(frames)) == {16}


@pytest.mark.parametrize("options", [{}, {"channels": 2}, {"sample_rate_hz": 44100}, {"bypass": True}], ids=str)
def test_no_snapshot_is_larger_than_is_said(options: dict[str, Any]) -> None:
    spec = replace(LONG, values={})
    pool = StatePool(spec.program, 2)
    executor = Executor(spec, 2, pool)
    with closing(KeptSession(spec, pool, interval_frames=16, **options)) as session:
        sizes = []
        for _ in range(9):
            session.feed(noise(session.free_samples, session.channels))
            sizes.append(len(session.now()().data))
            while session.ready > 1:
                executor.step([session])
                session.drain()
        assert max(sizes) <= session.most_snapshot_bytes < 2 * max(sizes)


@pytest.mark.parametrize("rate_hz", [RATE_HZ, 44100])
def test_what_was_copied_is_packed_later_and_stays_as_it_was(rate_hz: int) -> None:
    """Also over the seams of resamplers, which move their histories."""
    pool = StatePool(LONG.program, 2)
    executor = Executor(LONG, 1, pool)
    signal = noise(4 * rate_hz)
    with closing(kept(pool, sample_rate_hz=rate_hz)) as session:
        at_once: list[bytes] = []
        copies: list[Copied] = []
        for part in np.array_split(signal, 400):
            session.feed(part)
            while session.ready:
                executor.step([session])
                session.drain()
            copies.append(session.now())
            at_once.append(take(session))
        assert [copied().data for copied in copies[::7]] == at_once[::7]


@settings(deadline=None, max_examples=20)
@given(sizes=SECONDS_SIZES, cuts=CUTS, rate_hz=st.sampled_from([RATE_HZ, 48000]))
def test_events_and_averaged_channels_go_on(sizes: list[int], cuts: list[int], rate_hz: int) -> None:
    signal = 2.5 * noise(9000, 2)
    options = {"sample_rate_hz": rate_hz, "channels": 2}
    expected = run(PEAKS, signal, [777], **options, resumable=True)
    output = run_in_parts(PEAKS, signal, sizes, set(cuts), **options)
    assert output.events == expected.events
    np.testing.assert_array_equal(output.values["peak"], expected.values["peak"])


@settings(deadline=None, max_examples=20)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5), cuts=CUTS)
def test_feature_streams_go_on(sizes: list[int], cuts: list[int]) -> None:
    frames = noise(50, 3)
    expected = run(FEATURES, frames, [50])
    np.testing.assert_array_equal(
        run_in_parts(FEATURES, frames, sizes, set(cuts)).values["total"], expected.values["total"]
    )


def test_a_snapshot_changes_nothing_and_can_be_used_twice() -> None:
    signal = noise(5000)
    with Stream(SPECS["silence"]) as stream:
        first = stream.process(signal[:1001])
        snapshot = stream.snapshot()
        assert snapshot == stream.snapshot()
        outputs = [collect([first, stream.process(signal[1001:]), stream.flush()])]
    for _ in range(2):
        with Stream.resume(SPECS["silence"], snapshot) as resumed:
            outputs.append(collect([first, resumed.process(signal[1001:]), resumed.flush()]))
    expected = run(SPECS["silence"], signal, [500])
    for output in outputs:
        assert_same_bits(output, expected)


def test_the_snapshot_of_another_stream_is_refused() -> None:
    with Stream(SPECS["silence"]) as stream:
        snapshot = stream.snapshot()
    with pytest.raises(SnapshotError, match="of model 'overlap' does not fit 'features'"):
        Stream.resume(feature_spec(), snapshot)
    others = [
        overlap_spec("first_frame"),
        overlap_spec(frame=128),
        replace(overlap_spec(), made_by=lambda: "other code"),
    ]
    weights = overlap_spec().program.weights.copy()
    weights[0] ^= 1
    others.append(replace(overlap_spec(), program=replace(overlap_spec().program, weights=weights)))
    for other in others:
        with pytest.raises(SnapshotError, match="another version of model 'overlap'"):
            Stream.resume(other, snapshot)
    Stream.resume(overlap_spec(), snapshot).close()  # compiled anew, it is the same


def test_a_stream_that_can_not_be_resumed_says_so() -> None:
    plain = Stream(SPECS["silence"], sample_rate_hz=48000)
    with pytest.raises(SnapshotError, match=r"48000 Hz .* was not opened to be resumed; .*resumable=True"):
        plain.snapshot()
    with Stream(SPECS["silence"]) as stream:
        stream.flush()
        with pytest.raises(SnapshotError, match="flushed"):
            stream.snapshot()
    with pytest.raises(StreamClosedError):
        stream.snapshot()


def _snapshot() -> bytes:
    with Stream(PEAKS, sample_rate_hz=48000, resumable=True) as stream:
        stream.process(noise(700))
        return stream.snapshot()


SNAPSHOT = _snapshot()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_snapshots_are_refused(data: st.DataObject) -> None:
    snapshot = bytearray(SNAPSHOT)
    kind = data.draw(st.sampled_from(["cut", "change", "extend"]))
    place = data.draw(st.integers(0, len(snapshot) - 1))
    if kind == "cut":
        snapshot = snapshot[:place]
    elif kind == "extend":
        snapshot += b"x"
    else:
        snapshot[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SnapshotError):
        Stream.resume(PEAKS, bytes(snapshot))


def test_an_array_whose_shape_can_not_be_is_refused() -> None:
    data = pack({"taps": np.zeros((0, 4), np.float32)})
    assert Record.read(data).array("taps").shape == (0, 4)
    with pytest.raises(SnapshotError, match=r"shape \(0, 18446744073709551615\), which can not be"):
        Record.read(data[:-8] + b"\xff" * 8)


def test_a_record_says_what_it_holds() -> None:
    fields = {
        "none": None,
        "yes": True,
        "number": -(2**63),
        "real": 0.1,
        "text": "ä",
        "data": b"\0\1",
        "array": np.arange(6, dtype=np.float32).reshape(2, 3),
    }
    record = Record.read(pack(fields))
    assert (record.flag("yes"), record.number("number"), record.real("real")) == (True, -(2**63), 0.1)
    assert (record.text("text"), record.data("data"), record.has("none")) == ("ä", b"\0\1", False)
    np.testing.assert_array_equal(record.array("array"), fields["array"])
    with pytest.raises(SnapshotError, match="'number' of a snapshot is int, not str"):
        record.text("number")
    with pytest.raises(SnapshotError, match="'absent' of a snapshot is NoneType"):
        record.number("absent")
    with pytest.raises(SnapshotError, match="do not begin as one"):
        Record.read(b"not a snapshot at all")
    with pytest.raises(SnapshotError, match="layout 9"):
        Record.read(struct.pack("<5sBI", b"WTREC", 9, 0))


@pytest.mark.parametrize(("from_hz", "to_hz"), [(48000, 16000), (16000, 44100), (16001, 16000), (1000, 768_000)])
def test_a_restored_resampler_gives_the_same_bits(from_hz: int, to_hz: int) -> None:
    signal = noise(int(2.6 * from_hz))
    whole = ResumableResampler(from_hz, to_hz, 1)
    expected = np.concatenate([whole.process(signal), whole.flush()])
    for cut in np.random.default_rng(from_hz).integers(0, len(signal), 6).tolist():
        first, second = (ResumableResampler(from_hz, to_hz, 1) for _ in range(2))
        before = [first.process(part) for part in np.array_split(signal[:cut], 7)]
        second.restore(Record.read(pack(first.save())))
        output = np.concatenate([*before, second.process(signal[cut:]), second.flush()])
        np.testing.assert_array_equal(output, expected)


def test_bypassed_frames_go_on_with_their_fades() -> None:
    spec = replace(LONG, values={})
    signal = noise(160 * 40, 2)

    def run_with_bypass(cut: int | None) -> np.ndarray:
        pool = StatePool(spec.program, 4)
        executor = Executor(spec, 2, pool)
        session = ResumableSession(spec, pool, channels=2, bypass=True)
        outputs = []
        for frame, start in enumerate(range(0, len(signal), 160)):
            if frame == cut:
                snapshot = Snapshot.read(take(session))
                session.close()
                session = ResumableSession(spec, pool, channels=2, bypass=True)
                snapshot.restore(session)
            session.feed(signal[start : start + 160])
            if frame % 9 in (3, 4):
                session.bypass()
            else:
                executor.step([session])
            outputs.append(session.drain().samples)
        return np.concatenate(outputs)

    expected = run_with_bypass(None)
    for cut in range(1, 40):
        np.testing.assert_array_equal(run_with_bypass(cut), expected)
