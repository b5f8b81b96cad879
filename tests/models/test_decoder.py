"""Speech events: the same as Silero's own iterator gives for the same probabilities.

The expected events were recorded from `VADIterator` of the wheel silero-vad 6.2.3 (silero_vad/utils_vad.py), its model
replaced by a list of probabilities, one for each chunk of 512 samples at 16 kHz.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.models import reference_loops
from wavetile.engine.models.card import VoiceActivity
from wavetile.engine.models.decoder import VoiceActivityDecoder
from wavetile.engine.session import Event

DEFAULTS = {"threshold": 0.5, "negative_threshold": 0.35, "min_silence_ms": 100, "speech_pad_ms": 30}

# fmt: off
# data/vad/test.wav, probabilities from onnxruntime: (start, end) of each stretch of speech; the last goes on.
RECORDING = [
    (32, 32736), (42528, 75232), (79392, 110048), (149024, 213472), (216608, 241632), (245280, 253920),
    (260640, 286688), (293920, 313824), (325152, 521696), (523296, 569824), (571936, 602080), (607264, 623072),
    (637984, 692704), (697888, 714208), (720416, 749024), (781344, 799712), (817184, 867808), (871456, 918496),
    (920096, 953312), (957984, None),
]
# fmt: on


def decode(probabilities: np.ndarray, stream_rate_hz: int = 16000, **options: Any) -> list[Event]:
    """Events of these probabilities, for frames of 512 samples at 16 kHz."""
    card = VoiceActivity(value="probability", **{**DEFAULTS, **options})
    decoder = VoiceActivityDecoder(card, 16000, 512, stream_rate_hz)
    frames = (decoder.decode({"probability": np.array([p], np.float32)}) for p in probabilities)
    return [event for event in frames if event is not None]


def stretches(events: list[Event]) -> list[tuple[int, int | None]]:
    """(start, end) of each stretch of speech; events must alternate."""
    starts, ends = events[::2], events[1::2]
    assert {event.kind for event in starts} <= {"speech_start"}
    assert {event.kind for event in ends} <= {"speech_end"}
    samples: list[int | None] = [event.sample for event in ends]
    return list(zip([event.sample for event in starts], samples + [None] * (len(starts) - len(ends)), strict=True))


def test_events_of_a_recording(models: Path, data: Path) -> None:
    signal, rate_hz = soundfile.read(data / "vad" / "test.wav", dtype="float32")
    assert rate_hz == 16000
    probabilities = reference_loops.silero_vad(models, signal)
    assert stretches(decode(probabilities)) == RECORDING


# fmt: off
TRAJECTORIES = [
    (
        "0.5 + 0.5 sin(0.11 k) sin(0.37 k + 1)", {},
        [(0, 4064), (7200, 17888), (20000, 38880), (42016, 52192), (54816, 64992), (68128, 78304), (80928, 91616),
         (94240, 104928), (107040, 113120), (115744, 125920), (129056, 138720), (141856, None)],
    ),
    (
        "0.5 + 0.5 sin(0.11 k) sin(0.37 k + 1)",
        {"threshold": 0.6, "negative_threshold": 0.45, "min_silence_ms": 200, "speech_pad_ms": 0},
        [(1024, 3584), (7680, 12288), (20992, 25088), (33792, 37888), (47104, 51200), (55808, 64000), (68608, 77312),
         (81920, 86016), (94720, 98816), (108032, 112128), (120832, 124928), (130048, 138240), (142848, None)],
    ),
    (
        "0.5 + 0.5 sin(0.05 k) cos(0.013 k k)",
        {"threshold": 0.6, "negative_threshold": 0.45, "min_silence_ms": 64, "speech_pad_ms": 100},
        [(960, 7744), (8640, 14400), (13760, 19008), (17344, 22080), (20416, 32320), (33216, 60992), (64960, 96832),
         (98752, 106048), (104384, 109632), (108480, 113728), (114112, 122944), (131520, 137280), (136640, 141888),
         (140736, 145472), (143808, None)],
    ),
]
# fmt: on


def trajectory(formula: str) -> np.ndarray:
    k = np.arange(300)
    if "k k" in formula:
        return (0.5 + 0.5 * np.sin(0.05 * k) * np.cos(0.013 * k * k)).astype(np.float32)
    return (0.5 + 0.5 * np.sin(0.11 * k) * np.sin(0.37 * k + 1)).astype(np.float32)


@pytest.mark.parametrize(("formula", "options", "expected"), TRAJECTORIES)
def test_events_of_made_up_probabilities(
    formula: str, options: dict[str, Any], expected: list[tuple[int, int | None]]
) -> None:
    assert stretches(decode(trajectory(formula), **options)) == expected


def test_speech_starts_at_the_threshold_itself() -> None:
    (event,) = decode(np.array([0.49, 0.5]))
    assert event == Event("speech_start", 512 - 480, 32 / 16000, 0.5)


def test_speech_goes_on_between_the_thresholds() -> None:
    assert [event.kind for event in decode(np.array([0.9] + [0.4] * 50))] == ["speech_start"]


def test_short_silence_is_bridged() -> None:
    assert len(decode(np.array([0.9, 0.1, 0.1, 0.1, 0.9, 0.9]))) == 1
    assert len(decode(np.array([0.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]))) == 2


def test_event_carries_the_probability_that_decided_it() -> None:
    probabilities = np.array([0.75, 0.25, 0.25, 0.25, 0.25, 0.125])
    assert [event.probability for event in decode(probabilities)] == [0.75, 0.125]


@pytest.mark.parametrize("rate_hz", [8000, 48000, 44100])
def test_samples_count_at_the_rate_of_the_stream(rate_hz: int) -> None:
    probabilities = trajectory("0.5 + 0.5 sin(0.11 k) sin(0.37 k + 1)")
    events = decode(probabilities, rate_hz)
    for event, own in zip(events, decode(probabilities), strict=True):
        assert event.sample == own.sample * rate_hz // 16000
        assert event.seconds == pytest.approx(own.seconds, abs=1 / rate_hz)
