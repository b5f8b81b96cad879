"""The model card: a TOML file that says what a model is, where its networks are, and how a signal runs through them.

    name, title, task, licence, attribution, budget_ms
    [signal]            audio, feature frames or images, and how the signal is cut into frames
    [networks.NAME]     an ONNX file with its sha256 and source; constant inputs, carried state,
                        how its weights are kept, and what
                        its convolutions round their operands to on a device
    [stream]            the steps from a frame to what the stream gives back
    [decoder]           what makes events of the values

The cards in `cards/` are examples. Unknown keys, wrong types and values out of range are refused by name.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from ..errors import CardError, ModelError
from ..pixels import PercentileRange, PixelNormalisation, StandardScore
from .operators import OPERATORS
from .table import Table

CARDS_FOLDER = Path(__file__).parent / "cards"
WeightStorage = Literal["float32", "float16"]
WEIGHT_STORAGES = get_args(WeightStorage)
ProductOperands = Literal["float32", "tf32", "float16", "bfloat16"]
PRODUCT_OPERANDS = get_args(ProductOperands)
TASKS = ("denoise", "segment", "voice_activity")


@dataclass(frozen=True, slots=True)
class AudioSignal:
    """Audio cut into frames of `frame_samples`, each `hop_samples` after the one before."""

    sample_rate_hz: int
    frame_samples: int
    hop_samples: int
    start: Literal["silence", "first_frame"]
    """The first frame: zeros up to its last hop, or the first `frame_samples` of the signal."""
    kind: Literal["audio"] = "audio"


@dataclass(frozen=True, slots=True)
class FeatureSignal:
    """Frames of `feature_count` numbers that somebody else has computed."""

    feature_count: int
    kind: Literal["features"] = "features"


@dataclass(frozen=True, slots=True)
class ImageSignal:
    """Images, whole or in parts."""

    pixels: PixelNormalisation | None = None
    """How an image's numbers become the network's; None: the card does not say."""
    kind: Literal["image"] = "image"


@dataclass(frozen=True, slots=True)
class NetworkCard:
    """One ONNX file and how it is bound."""

    name: str
    file: str
    """Path below a folder of WAVETILE_MODELS."""
    sha256: str
    source: str | None
    """Where it can be fetched (see `catalogue`); None: it has to be in a folder of WAVETILE_MODELS."""
    archive_sha256: str | None
    shapes: Mapping[str, tuple[int, ...]]
    """Input -> its shape in one step, where the file leaves it open."""
    constants: Mapping[str, int | float | bool]
    """Input -> the value that it always has."""
    states: Mapping[str, str]
    """Input -> the output that it is fed with in the next step; zeros in the first."""
    lift: Mapping[str, int]
    """Input -> its streaming axis, along which the file hides the state of recurrent layers."""
    weights: WeightStorage = "float32"
    """How products and recurrent layers keep their weights; float16 halves what a frame reads, and rounds them."""
    products: ProductOperands = "float32"
    """What its convolutions round their operands to on the back end "cuda", whose tensor cores multiply such numbers;
    "float32", and every other back end, rounds nothing."""


@dataclass(frozen=True, slots=True)
class OperatorStep:
    """A signal operator: `values` are the values that it reads, by parameter."""

    operator: str
    values: Mapping[str, str]
    options: Mapping[str, Any]
    output: str


@dataclass(frozen=True, slots=True)
class NetworkStep:
    """A network: its inputs <- values, its outputs -> values, by ONNX name."""

    network: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class VoiceActivity:
    """Speech start and end events from a speech probability; see `decoder`."""

    value: str
    threshold: float
    negative_threshold: float
    min_silence_ms: float
    speech_pad_ms: float


@dataclass(frozen=True, slots=True)
class Card:
    """A model card. `folder` is what relative local sources are below."""

    name: str
    title: str
    task: str
    licence: str
    """SPDX identifier of the weights' licence."""
    attribution: str
    budget_ms: float
    """A frame's results are due this long after its last sample."""
    signal: AudioSignal | FeatureSignal | ImageSignal
    networks: Mapping[str, NetworkCard]
    steps: tuple[OperatorStep | NetworkStep, ...] = ()
    audio: str | None = None
    """The value that is enhanced audio, `hop_samples` a step."""
    values: tuple[str, ...] = ()
    """The values that are given out as they are, frame by frame."""
    decoder: VoiceActivity | None = None
    folder: Path = field(default=CARDS_FOLDER)


def card_names() -> tuple[str, ...]:
    """Names of the cards that come with wavetile, sorted."""
    return tuple(sorted(path.stem for path in CARDS_FOLDER.glob("*.toml")))


def find_card(name: str) -> Card:
    """Read a card that comes with wavetile.

    Raises:
        ModelError: there is none of that name.
    """
    if name not in card_names():
        raise ModelError(
            f"there is no model {name!r}; the models are {', '.join(card_names())}, "
            "and a path to an .onnx file or to a card's .toml file works too"
        )
    return read_card(CARDS_FOLDER / f"{name}.toml")


def read_card(path: Path) -> Card:
    """Read and check a card.

    Raises:
        CardError: it can not be read, or something in it is wrong; the message names the key.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CardError(f"card {path}: {error}") from None
    return parse_card(content, folder=path.parent, where=path.name)


def parse_card(content: Mapping[str, Any], *, folder: Path = CARDS_FOLDER, where: str = "card") -> Card:
    """Check a card's content, as `tomllib` gives it. Raises CardError, which names the key."""
    root = Table(content, where)
    name = root.text("name")
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", name):
        raise CardError(f"{where}: name is {name!r}; small letters, digits and _ would work")
    signal = _signal(Table(root.table("signal"), f"{where}: [signal]"))
    networks = {
        key: _network(key, Table(table, f"{where}: [networks.{key}]")) for key, table in root.table("networks").items()
    }
    stream = Table(root.table("stream", {}), f"{where}: [stream]")
    decoder = Table(root.table("decoder"), f"{where}: [decoder]") if root.has("decoder") else None
    card = Card(
        name=name,
        title=root.text("title"),
        task=root.text("task", options=TASKS),
        licence=root.text("licence"),
        attribution=root.text("attribution"),
        budget_ms=root.number("budget_ms", least=0.001),
        signal=signal,
        networks=networks,
        steps=_steps(stream),
        audio=stream.text("audio", None),
        values=tuple(stream.list("values", str, "text", [])),
        decoder=_decoder(decoder) if decoder else None,
        folder=folder,
    )
    root.finish()
    stream.finish()
    _check_dataflow(card, where)
    return card


def _signal(table: Table) -> AudioSignal | FeatureSignal | ImageSignal:
    kind = table.text("kind", options=("audio", "features", "image"))
    signal: AudioSignal | FeatureSignal | ImageSignal
    if kind == "audio":
        hop = table.integer("hop_samples")
        signal = AudioSignal(
            sample_rate_hz=table.integer("sample_rate_hz", least=1000),
            frame_samples=table.integer("frame_samples", hop, least=hop),
            hop_samples=hop,
            start=table.text("start", "silence", options=("silence", "first_frame")),  # type: ignore[arg-type]
        )
    elif kind == "features":
        signal = FeatureSignal(table.integer("feature_count"))
    else:
        signal = ImageSignal(
            _pixels(Table(table.table("pixels"), f"{table.where} pixels")) if table.has("pixels") else None
        )
    table.finish()
    return signal


def _pixels(table: Table) -> PixelNormalisation:
    rule = table.text("rule", options=("percentiles", "standard_score"))
    normalisation: PixelNormalisation = StandardScore()
    if rule == "percentiles":
        low = table.number("low", least=0, most=100)
        normalisation = PercentileRange(low, table.number("high", least=low, most=100))
    table.finish()
    return normalisation


def _network(name: str, table: Table) -> NetworkCard:
    card = NetworkCard(
        name=name,
        file=table.text("file"),
        sha256=_sha256(table, "sha256"),
        source=table.text("source", None),
        archive_sha256=_sha256(table, "archive_sha256") if table.has("archive_sha256") else None,
        shapes=table.shapes("shapes"),
        constants=table.numbers("constants"),
        states=table.texts("states"),
        lift=table.integers("lift"),
        weights=table.text("weights", "float32", options=WEIGHT_STORAGES),  # type: ignore[arg-type]
        products=table.text("products", "float32", options=PRODUCT_OPERANDS),  # type: ignore[arg-type]
    )
    table.finish()
    return card


def _sha256(table: Table, key: str) -> str:
    digest = table.text(key)
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise CardError(f"{table.where}: {key} is {digest!r}; 64 digits of 0-9 and a-f would work")
    return digest


def _steps(stream: Table) -> tuple[OperatorStep | NetworkStep, ...]:
    steps: list[OperatorStep | NetworkStep] = []
    for index, content in enumerate(stream.list("steps", dict, "table", [])):
        table = Table(content, f"{stream.where} steps[{index}]")
        if table.has("network"):
            steps.append(NetworkStep(table.text("network"), table.texts("inputs"), table.texts("outputs")))
        else:
            operator = table.text("operator", options=OPERATORS)
            signature = OPERATORS[operator]
            values = {key: table.text(key) for key in signature.values}
            options = {key: read(table, key) for key, read in signature.options.items()}
            steps.append(OperatorStep(operator, values, options, table.text("output")))
        table.finish()
    return tuple(steps)


def _decoder(table: Table) -> VoiceActivity:
    table.text("kind", options=("voice_activity",))
    threshold = table.number("threshold", least=0, most=1)
    decoder = VoiceActivity(
        value=table.text("value"),
        threshold=threshold,
        negative_threshold=table.number("negative_threshold", max(0.0, threshold - 0.15), least=0, most=threshold),
        min_silence_ms=table.number("min_silence_ms", least=0),
        speech_pad_ms=table.number("speech_pad_ms", least=0),
    )
    table.finish()
    return decoder


def _check_dataflow(card: Card, where: str) -> None:
    """Every value is made once, before it is read, and every network runs exactly once."""
    if isinstance(card.signal, ImageSignal):
        if card.steps or card.audio or card.values or card.decoder:
            raise CardError(
                f"{where}: an image model runs whole images through its network; [stream] and [decoder] must go"
            )
        if len(card.networks) != 1:
            raise CardError(f"{where}: an image model has one network, not {len(card.networks)}")
        return
    known = ["frame" if isinstance(card.signal, AudioSignal) else "features"]
    used: list[str] = []
    for index, step in enumerate(card.steps):
        here = f"{where}: [stream] steps[{index}]"
        if isinstance(step, NetworkStep):
            if step.network not in card.networks or step.network in used:
                raise CardError(
                    f"{here}: network is {step.network!r}; each of {', '.join(card.networks)} runs exactly once"
                )
            used.append(step.network)
        reads = step.inputs if isinstance(step, NetworkStep) else step.values
        for key, value in reads.items():
            _check_known(f"{here}: {key}", value, known)
        for value in step.outputs.values() if isinstance(step, NetworkStep) else (step.output,):
            if value in known:
                raise CardError(f"{here}: there is a value {value!r} already; choose another name")
            known.append(value)
    if unused := [name for name in card.networks if name not in used]:
        raise CardError(f"{where}: [stream] has no step for network {', '.join(unused)}")
    if not card.audio and not card.values:
        raise CardError(f"{where}: [stream] gives nothing back; name its audio or its values")
    if card.audio and not isinstance(card.signal, AudioSignal):
        raise CardError(f"{where}: [stream] audio needs a signal of kind 'audio'")
    for key, value in [("audio", card.audio), *(("values", value) for value in card.values)]:
        if value is not None:
            _check_known(f"{where}: [stream] {key}", value, known)
    if card.decoder and card.decoder.value not in card.values:
        raise CardError(f"{where}: [decoder] value is {card.decoder.value!r}, which is not among [stream] values")


def _check_known(what: str, value: str, known: list[str]) -> None:
    if value not in known:
        raise CardError(f"{what} is {value!r}, which no step before makes; there are {', '.join(known)}")
