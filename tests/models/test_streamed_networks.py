"""Every network that is at hand streams with the whole signal's numbers, or is refused with the reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import wavetile
from tests.models.networks import onnx_outputs
from wavetile.engine.errors import UnsupportedError
from wavetile.engine.graph import load_network
from wavetile.engine.models.axes import AxisChoice
from wavetile.engine.models.streaming import NetworkStreams
from wavetile.engine.plan import Target

TOLERANCE = 1e-4
"""Largest difference from the whole by onnxruntime, relative to the largest number of an output."""

MOST_WORK = 1.02
"""Multiply-adds of all tiles, relative to those of the whole image."""


@dataclass(frozen=True)
class Streamed:
    """A network along one axis, or an image in tiles."""

    path: str
    shapes: Mapping[str, tuple[int, ...]]
    """Of the whole signal."""
    axes: tuple[AxisChoice] | tuple[AxisChoice, AxisChoice]
    sizes: Mapping[str, int] = field(default_factory=dict)
    step: int | None = None
    """Elements of a step, or pixels of a tile."""
    chunks: tuple[int, ...] = (1, 2, 7, 0, 20)
    level: float = 1.0

    @property
    def name(self) -> str:
        return f"{self.path.partition('.')[0]}-{'tiles' if len(self.axes) == 2 else 'axis'}"


FRAMES = 120

STREAMED = (
    Streamed("deepfilternet3/enc.onnx", {"feat_erb": (1, 1, FRAMES, 32), "feat_spec": (1, 2, FRAMES, 96)}, ("S",)),
    Streamed(
        "deepfilternet3/erb_dec.onnx",
        {
            "emb": (1, FRAMES, 512),
            "e3": (1, 64, FRAMES, 8),
            "e2": (1, 64, FRAMES, 8),
            "e1": (1, 64, FRAMES, 16),
            "e0": (1, 64, FRAMES, 32),
        },
        ("time",),
    ),
    Streamed("deepfilternet3/df_dec.onnx", {"emb": (1, FRAMES, 512), "c0": (1, 64, FRAMES, 96)}, ("S",), step=3),
    Streamed("nsnet2/nsnet2-20ms-baseline.onnx", {"input": (1, FRAMES, 161)}, ("time",)),
    Streamed(
        "swift_f0/model.onnx",
        {"input_audio": (1, 16_100)},
        ("audio_length",),
        step=1024,
        chunks=(160, 1, 4000),
        level=0.1,
    ),
    Streamed("retina_unet/retina_unet_flip1.onnx", {"patch": (1, 1, 72, 64)}, ("H",), {"W": 64}, 8),
    Streamed("retina_unet/retina_unet_flip1.onnx", {"patch": (1, 1, 136, 112)}, ({"patch": 2}, {"patch": 3}), step=32),
    Streamed("retina_wnet/lwnet_wnet_drive.onnx", {"image": (1, 3, 100, 64)}, ("H",), {"W": 64}, 16),
    Streamed("retina_wnet/lwnet_wnet_drive.onnx", {"image": (1, 3, 132, 104)}, ({"image": 2}, {"image": 3}), step=64),
    Streamed("meshnet3d/meshnet_model5_gw_ae.onnx", {"vol": (1, 1, 70, 24, 20)}, ("D",), {"H": 24, "W": 20}),
    Streamed("meshnet3d/meshnet_model11_gw_ae.onnx", {"vol": (1, 1, 50, 24, 20)}, ("D",), {"H": 24, "W": 20}),
    Streamed("meshnet3d/meshnet_model5_gw_ae.onnx", {"vol": (1, 1, 4, 80, 96)}, ({"vol": 3}, {"vol": 4}), {"D": 4}, 32),
    Streamed("nuclei_unet/weights.onnx", {"input.1": (1, 1, 512, 512)}, ({"input.1": 2},), step=64, chunks=(64,)),
    Streamed("nuclei_unet/weights.onnx", {"input.1": (1, 1, 512, 512)}, ({"input.1": 2}, {"input.1": 3}), step=128),
    Streamed("crepe/crepe_tiny.onnx", {"frame": (4, 1024)}, ({"frame": 0},), chunks=(1, 3)),
    Streamed(
        "ddc_onset/ddc_onset.onnx", {"logmel": (5, 3, 15, 80), "difficulty": (5, 5)}, ({"logmel": 0, "difficulty": 0},)
    ),
    Streamed("mitosis/mitosis_patch.onnx", {"img": (3, 64, 64, 3)}, ({"img": 0},)),
    Streamed("wakeword/embedding_model.onnx", {"input_1": (3, 76, 32, 1)}, ({"input_1": 0},)),
)
"""The last four see one window each: what streams is the row of windows."""

STATE = "inputs that do not arrive along {}: {}.* a step already"
FIXED = "takes no other length along 'axis 0'.* Model.windows on windows of that length.*Reshape '{}"
WHOLE = "{}: {}.*what works: Model.run on the whole signal, or Model.windows on windows of it"


def _state(names: str, axis: str = "'axis 0'") -> str:
    return STATE.format(axis, ", ".join(repr(name) for name in names.split()))


REFUSED: tuple[tuple[str, AxisChoice, str], ...] = (
    ("basic_pitch/nmp.onnx", {"serving_default_input_2:0": 1}, FIXED.format(".*flatten_audio_ch")),
    ("beatnet/beatnet_1_stream.onnx", "T", _state("h c", "'T'")),
    ("crema_chord/crema_chord.onnx", "T", WHOLE.format("GRU 'GRU_10'", "direction is 'bidirectional'")),
    ("crepe/crepe_tiny.onnx", {"frame": 1}, WHOLE.format("Reshape '.*'", "of the 1024 elements .* a single group")),
    ("ddc_onset/ddc_onset.onnx", {"logmel": 2}, _state("difficulty")),
    (
        "ddc_onset/ddc_onset.onnx",
        {"logmel": 2, "difficulty": 1},
        "takes no other length along 'axis 0'.* Model.windows on windows of that length.* Gemm '/dense0/Gemm' can not",
    ),
    (
        "deepbet3d/deepbet_model.onnx",
        {"vol": 2},
        WHOLE.format("InstanceNormalization '/init/1/.*'", "it normalises along"),
    ),
    ("dnsmos/model_v8.onnx", {"input_1": 1}, WHOLE.format("ReduceMax '.*'", "it sums or searches along")),
    ("dnsmos/sig_bak_ovr.onnx", {"input_1": 1}, FIXED.format("mos_estimator_logpow")),
    ("dtln/model_1.onnx", {"input_2": 1}, _state("input_3")),
    ("dtln/model_2.onnx", {"input_4": 1}, _state("input_5")),
    ("fastenhancer/fastenhancer_b.onnx", {"wav_in": 1}, _state("cache_in_0 cache_in_1 cache_in_2 cache_in_3")),
    ("fastenhancer/fastenhancer_b.spec.onnx", {"spec_in": 2}, _state("cache_in_0 cache_in_1 cache_in_2")),
    ("fastenhancer/fastenhancer_s.spec.onnx", {"spec_in": 2}, _state("cache_in_0 cache_in_1 cache_in_2")),
    ("fastenhancer/fastenhancer_t.onnx", {"wav_in": 1}, _state("cache_in_0 cache_in_1 cache_in_2 cache_in_3")),
    ("gpvad/gpvad_sre.onnx", {"logmel": 1}, WHOLE.format("GRU '/m/gru/GRU'", "direction is 'bidirectional'")),
    ("gtcrn/gtcrn.onnx", {"mix": 2}, _state("conv_cache tra_cache inter_cache")),
    ("gtcrn/gtcrn_simple.onnx", {"mix": 2}, _state("conv_cache tra_cache inter_cache")),
    ("hush/df_dec.onnx", "S", _state("h_df_dec_in", "'S'")),
    ("hush/enc.onnx", "S", _state("h_enc_in", "'S'")),
    ("hush/erb_dec.onnx", "S", _state("h_erb_dec_in", "'S'")),
    ("mitosis/mitosis_patch.onnx", {"img": 1}, WHOLE.format("Conv 'Conv_1'", "its padding .auto_pad SAME. depends")),
    ("ml_kws/kws_CRNN_S.onnx", {"Mfcc:0": 1}, FIXED.format("Conv2D")),
    ("ml_kws/kws_DS_CNN_S.onnx", {"Mfcc:0": 1}, FIXED.format("MobileNet/conv_1")),
    ("ml_kws/kws_GRU_S.onnx", {"Mfcc:0": 1}, FIXED.format("transpose")),
    ("nam/nam_wavenet_stream.onnx", "T", _state(" ".join(f"c{number}" for number in range(20)), "'T'")),
    ("resemblyzer/resemblyzer_stream.onnx", "T", _state("h c", "'T'")),
    ("rnnoise_v0/rnnoise_v0_core.onnx", {"feat": 0}, _state("h_vad h_noise h_den")),
    ("silero_vad/silero_vad_16k_op15.onnx", "sequence", _state("state sr", "'sequence'")),
    ("silero_vad/silero_vad_openvino_16k.onnx", {"input": 1}, _state("state")),
    ("sononet/sononet16.onnx", {"image": 2}, WHOLE.format("ReduceMean '/ReduceMean'", "it sums or searches along")),
    ("sononet/sononet_smallnet.onnx", {"image": 2}, WHOLE.format("ReduceMean '/ReduceMean'", "it sums or searches")),
    ("ul_unas/ulunas_stream_simple.onnx", {"mix": 2}, _state("conv_cache tfa_cache inter_cache")),
    (
        "wakeword/Alice.onnx",
        {"serving_default_onnx_tf__tf_Flatten_0_d8d788da:0": 2},
        WHOLE.format("Reshape 'flatten/.*'", "it interleaves the steps of"),
    ),
    (
        "wakeword/embedding_model.onnx",
        {"input_1": 1},
        WHOLE.format("Reshape 'model/conv2d/.*'", "of the 76 elements .* a single group"),
    ),
    ("wakeword/melspectrogram.onnx", {"input": 1}, WHOLE.format("ReduceMax '.*'", "it sums or searches along")),
    (
        "yamnet/tfl_yamnet_audio_classifier_with_metadata.onnx",
        {"waveform_binary": 0},
        WHOLE.format(
            "Slice 'stft/frame/StridedSlice'", "it cuts a part that depends on the length, or that has an end"
        ),
    ),
)
"""Network, axis, and what the message says."""


def test_no_network_is_forgotten(models: Path) -> None:
    judged = {one.path for one in STREAMED} | {path for path, _, _ in REFUSED}
    assert judged == {str(path.relative_to(models)) for path in models.glob("*/*.onnx")}


@pytest.mark.parametrize(("path", "axis", "words"), REFUSED, ids=[path for path, _, _ in REFUSED])
def test_what_can_not_stream_is_refused_with_the_node_the_reason_and_what_works(
    models: Path, path: str, axis: AxisChoice, words: str
) -> None:
    with pytest.raises(UnsupportedError) as caught:
        NetworkStreams(load_network(models / path), Target()).plan([axis], [None])
    assert re.search(words, str(caught.value))


@pytest.mark.parametrize("one", STREAMED, ids=lambda one: one.name)
def test_streamed_networks_give_the_numbers_of_the_whole(models: Path, one: Streamed) -> None:
    signals, whole = judged(models / one.path, one)
    model = wavetile.load(models / one.path)
    made = chunked(model, one, signals) if len(one.axes) == 1 else tiled(model, one, *signals.values())
    for name, expected in whole.items():
        assert made[name].shape == expected.shape
        assert np.abs(made[name] - expected).max() <= TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize(
    ("path", "lengths"),
    [
        ("deepfilternet3/df_dec.onnx", (1, 2, 4)),
        ("swift_f0/model.onnx", (300, 1024, 3071, 3073)),
        ("retina_unet/retina_unet_flip1.onnx", (4, 20, 24)),
        ("meshnet3d/meshnet_model5_gw_ae.onnx", (1, 2, 46)),
    ],
)
def test_signals_that_end_before_the_first_output_could_leave(
    models: Path, path: str, lengths: tuple[int, ...]
) -> None:
    one = next(each for each in STREAMED if each.path == path)
    model = wavetile.load(models / path)
    plan, _ = model.streams.plan([one.axes[0]], [one.step], one.sizes)
    for length in lengths:
        cropped = {}
        for name, shape in one.shapes.items():
            dim = plan.bindings.dims[name][0] or 0
            cropped[name] = (*shape[:dim], length, *shape[dim + 1 :])
        short = replace(one, shapes=cropped, chunks=(1 + length // 3,))
        signals, whole = judged(models / path, short)
        for name, made in chunked(model, short, signals).items():
            assert made.shape == whole[name].shape
            assert np.abs(made - whole[name]).max(initial=0) <= TOLERANCE * np.abs(whole[name]).max(initial=0)


def judged(path: Path, one: Streamed) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A random signal, and what onnxruntime makes of it at once."""
    rng = np.random.default_rng(8)
    signals = {name: one.level * rng.standard_normal(shape, np.float32) for name, shape in one.shapes.items()}
    names = list(load_network(path).outputs)
    return signals, dict(zip(names, onnx_outputs(path, names, signals), strict=True))


def chunked(model: wavetile.Model, one: Streamed, signals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All that a stream gives for chunks of many lengths."""
    stream = model.stream(axis=one.axes[0], step=one.step, sizes=one.sizes)
    plan, _ = model.streams.plan([one.axes[0]], [one.step], one.sizes)
    dims = {name: growing[0] or 0 for name, growing in plan.bindings.dims.items()}
    length = {signal.shape[dims[name]] for name, signal in signals.items()}
    start, parts = 0, []
    while start < max(length):
        stop = start + one.chunks[len(parts) % len(one.chunks)]
        parts.append(stream.process({name: cut(signal, dims[name], start, stop) for name, signal in signals.items()}))
        start = stop
    parts.append(stream.flush())
    return {name: np.concatenate([part[name] for part in parts], dims[name]) for name in parts[0]}


def tiled(model: wavetile.Model, one: Streamed, image: np.ndarray) -> dict[str, np.ndarray]:
    """An image put together from the regions that its tiles complete."""
    tile = one.step or 0
    assert len(one.axes) == 2
    plan, certificate = model.streams.plan(one.axes, (tile, tile), one.sizes)
    assert certificate.multiply_adds[0] <= MOST_WORK * certificate.multiply_adds[1]
    down, across = plan.bindings.dims[next(iter(one.shapes))]
    assert down is not None
    assert across is not None
    tiles = model.tiles(image.shape[down], image.shape[across], tile=tile, axes=one.axes, sizes=one.sizes)
    result: dict[str, np.ndarray] = {}
    while tiles.next_tile is not None:
        y, x = tiles.next_tile
        for name, regions in tiles.put(y, x, cut(cut(image, down, y, y + tile), across, x, x + tile)).items():
            for region in regions:
                rows, columns = region.values.shape[down], region.values.shape[across]
                if name not in result:
                    shape = list(region.values.shape)
                    shape[down], shape[across] = image.shape[down], image.shape[across]
                    result[name] = np.full(shape, np.nan, np.float32)
                place = cut(cut(result[name], down, region.y, region.y + rows), across, region.x, region.x + columns)
                assert np.isnan(place).all(), "a pixel came out twice"
                place[...] = region.values
    return result


def cut(array: np.ndarray, dim: int, start: int, stop: int) -> np.ndarray:
    return array[(slice(None),) * dim + (slice(start, stop),)]


@pytest.mark.parametrize(
    ("path", "shape", "sizes", "moments"),
    [
        ("retina_unet/retina_unet_flip1.onnx", (1, 1, 96, 64), {"W": 64}, (20, 24, 25, 27, 44, 64)),
        ("retina_wnet/lwnet_wnet_drive.onnx", (1, 3, 160, 64), {"W": 64}, (44, 45, 47)),
        ("meshnet3d/meshnet_model5_gw_ae.onnx", (1, 1, 72, 24, 24), {"H": 24, "W": 24}, (46, 47, 64)),
        ("meshnet3d/meshnet_model11_gw_ae.onnx", (1, 1, 48, 24, 24), {"H": 24, "W": 24}, (24, 25, 26, 40)),
        ("nuclei_unet/weights.onnx", (1, 1, 512, 512), {}, (64, 134)),
    ],
    ids=lambda value: value.partition("/")[0] if isinstance(value, str) else "",
)
def test_the_lag_is_what_the_receptive_field_allows(
    models: Path, path: str, shape: tuple[int, ...], sizes: Mapping[str, int], moments: tuple[int, ...]
) -> None:
    """A row leaves once no other rows to come would change it: found out by changing them, without a plan."""
    network = load_network(models / path)
    ((name, _),) = network.inputs.items()
    plan, certificate = NetworkStreams(network, Target()).plan([{name: 2}], [None], sizes)
    (output,) = network.outputs
    for arrived in moments:
        assert plan.axes[0].moment(arrived).counts[output] == settled_rows(models / path, name, shape, arrived)
    (axis,) = certificate.axes
    steady = axis.first + axis.step
    assert steady - axis.delay[output] == plan.axes[0].moment(steady).counts[output]


def settled_rows(path: Path, name: str, shape: tuple[int, ...], arrived: int) -> int:
    """Rows of the output that stay the same, whatever follows the rows that have arrived."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(arrived)
    signal = rng.standard_normal(shape, np.float32)
    other = signal.copy()
    other[:, :, arrived:] = 3 * rng.standard_normal(other[:, :, arrived:].shape, np.float32)
    results = [np.asarray(session.run(None, {name: each})[0]) for each in (signal, other)]
    differing = (results[0] != results[1]).any(axis=tuple(dim for dim in range(len(shape)) if dim != 2))
    return int(differing.argmax())
