"""Windows that share their work, through the public face: what is chosen, what is said, and that numbers stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest

import wavetile
from tests.plan.networks import parse, signal
from wavetile.engine.errors import UnsupportedError
from wavetile.engine.models import overlaps

TOLERANCE = 1e-4
"""Largest difference from the window alone, relative to the largest number of an output."""


@dataclass(frozen=True)
class Real:
    """A network on windows."""

    path: str
    axis: Mapping[str, int]
    shape: tuple[int, ...]
    """Of a signal of some windows."""
    hop: int
    most: float
    """Multiply-adds of a window, relative to those of a window alone; measured, rounded up."""
    window: int | None = None
    level: float = 1.0

    @property
    def name(self) -> str:
        return f"{self.path.partition('.')[0]}-{self.hop}"


REAL = (
    # Convolutions without padding: all but the last reshape.
    Real("wakeword/embedding_model.onnx", {"input_1": 1}, (1, 130, 32, 1), 8, 0.14),
    Real("wakeword/melspectrogram.onnx", {"input": 1}, (1, 24_000), 1280, 0.08, window=17_280, level=0.1),
    # Padded convolutions up to a global pool; one second, and the strides' multiple beside it.
    Real("dnsmos/sig_bak_ovr.onnx", {"input_1": 1}, (1, 180_000), 16_000, 0.14, level=0.1),
    Real("dnsmos/model_v8.onnx", {"input_1": 1}, (1, 1_130, 120), 104, 0.17),
    Real("gpvad/gpvad_sre.onnx", {"logmel": 1}, (1, 200, 64), 24, 0.49),
    Real("swift_f0/model.onnx", {"input_audio": 1}, (1, 20_000), 1280, 0.41, window=16_000, level=0.1),
    # Little in front of what needs the window as a whole.
    Real("ml_kws/kws_DS_CNN_S.onnx", {"Mfcc:0": 1}, (1, 70, 10), 2, 0.57),
    Real("ml_kws/kws_CRNN_S.onnx", {"Mfcc:0": 1}, (1, 70, 10), 2, 0.91),
    Real("crepe/crepe_tiny.onnx", {"frame": 1}, (1, 2_000), 160, 0.85, level=0.1),
    Real("crema_chord/crema_chord.onnx", {"cqt": 1}, (1, 300, 216, 2), 25, 0.97, window=200),
    Real(
        "yamnet/tfl_yamnet_audio_classifier_with_metadata.onnx",
        {"waveform_binary": 0},
        (32_000,),
        7_680,
        0.94,
        level=0.1,
    ),
    Real("basic_pitch/nmp.onnx", {"serving_default_input_2:0": 1}, (1, 90_000, 1), 21_760, 0.99, level=0.1),
)


@pytest.mark.parametrize("one", REAL, ids=lambda one: one.name)
def test_real_networks_give_the_numbers_of_each_window_alone(models: Path, one: Real) -> None:
    model = wavetile.load(models / one.path)
    stream = model.windows(axis=one.axis, window=one.window, hop=one.hop, share=True)
    sharing = stream.sharing
    assert sharing.values
    assert sharing.multiply_adds is not None
    assert sharing.multiply_adds_whole is not None
    assert sharing.multiply_adds <= one.most * sharing.multiply_adds_whole
    ((name, dim),) = one.axis.items()
    rng = np.random.default_rng(3)
    x = (one.level * rng.standard_normal(one.shape)).astype(np.float32)
    cuts = [0, *sorted(rng.integers(0, one.shape[dim], 6)), one.shape[dim]]
    parts = [x.take(range(start, stop), dim) for start, stop in pairwise(cuts)]
    made = [window for part in parts for window in stream.process({name: part})]
    assert [window.start for window in made] == list(range(0, one.shape[dim] - stream.window + 1, one.hop))
    assert len(made) >= 3
    for window in made:
        alone = model.run({name: x.take(range(window.start, window.start + stream.window), dim)})
        assert window.outputs.keys() == alone.keys()
        for output, expected in alone.items():
            assert window.outputs[output].dtype == expected.dtype
            scale = max(1e-3, float(np.abs(expected).max(initial=0)))
            np.testing.assert_allclose(window.outputs[output], expected, rtol=0, atol=TOLERANCE * scale)


@pytest.mark.parametrize(
    ("path", "axis", "window", "hop", "words"),
    [
        ("ml_kws/kws_DS_CNN_S.onnx", {"Mfcc:0": 1}, None, 5, "Conv 'MobileNet/conv_1.* multiples of 2 would work"),
        (
            "yamnet/tfl_yamnet_audio_classifier_with_metadata.onnx",
            {"waveform_binary": 0},
            None,
            7_700,
            "Reshape 'stft/frame/.* a hop of 7700 .* multiples of 80 would work",
        ),
        ("swift_f0/model.onnx", {"input_audio": 1}, 16_000, 8_000, "STFT .* multiples of 256 would work"),
        ("gpvad/gpvad_sre.onnx", {"logmel": 1}, None, 100, "windows of 100 do not overlap with a hop of 100"),
        ("ml_kws/kws_GRU_S.onnx", {"Mfcc:0": 1}, None, 5, "costs as much to put together as it saves"),
    ],
)
def test_hops_that_share_nothing_are_refused_or_run_whole_with_the_reason(
    models: Path, path: str, axis: Mapping[str, int], window: int | None, hop: int, words: str
) -> None:
    model = wavetile.load(models / path)
    with pytest.raises(UnsupportedError, match=words) as caught:
        model.windows(axis=axis, window=window, hop=hop, share=True)
    sharing = model.windows(axis=axis, window=window, hop=hop).sharing
    assert sharing.values == ()
    assert sharing.limit == str(caught.value)


LONG = parse(
    "(float[1,64,T] x) => (float[1,64,U] y) { a = Conv<pads=[1,1]>(x, k) b = Relu(a) c = Conv<pads=[1,1]>(b, k) "
    "y = GlobalMaxPool(c) }",
    constants={"k": signal((64, 64, 3), 1) / 14},
)
"""24576 multiply-adds an element."""


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "network.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(("hop", "shares"), [(50, True), (250, False), (400, False)])
def test_windows_share_where_that_saves_time(tmp_path: Path, hop: int, shares: bool) -> None:
    model = wavetile.load(saved(LONG, tmp_path))
    stream = model.windows(axis="T", window=400, hop=hop)
    assert bool(stream.sharing.values) == shares
    assert shares or stream.sharing.limit
    x = signal((1, 64, 1_000), 2)
    for window in stream.process({"x": x}):
        alone = model.run({"x": x[..., window.start : window.start + 400]})
        np.testing.assert_allclose(window.outputs["y"], alone["y"], atol=1e-5)


def test_who_does_not_want_it_is_not_proven_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlaps, "Overlap", None)
    sharing = wavetile.load(saved(LONG, tmp_path)).windows(axis="T", window=400, hop=50, share=False).sharing
    assert sharing.values == ()


def test_windows_that_several_threads_compute_faster_are_not_shared(tmp_path: Path) -> None:
    # Whole windows are computed by four threads together, shared ones by one.
    sharing = wavetile.load(saved(LONG, tmp_path), threads=4).windows(axis="T", window=400, hop=50).sharing
    assert sharing.values == ()


PRODUCTS = parse(
    "(float[1,T,64] x) => (float[1,32] z) { a = MatMul(x, k) b = Relu(a) c = MatMul(b, m) "
    "y = ReduceMax<axes=[1],keepdims=0>(c) z = MatMul(y, n) }",
    constants={"k": signal((64, 64), 1) / 8, "m": signal((64, 64), 2) / 8, "n": signal((64, 32), 3) / 8},
)


@pytest.mark.parametrize("hop", [1, 8])
def test_rounded_weights_are_those_of_whole_windows(tmp_path: Path, hop: int) -> None:
    path = saved(PRODUCTS, tmp_path)
    rounded, exact = wavetile.load(path, weights="float16"), wavetile.load(path)
    stream = rounded.windows(axis="T", window=40, hop=hop, share=True)
    assert stream.sharing.values == ("c",)
    x = signal((1, 64, 64), 4)
    made = stream.process({"x": x})
    assert len(made) == 24 // hop + 1
    for window in made:
        part = {"x": x[:, window.start : window.start + 40]}
        np.testing.assert_allclose(window.outputs["z"], rounded.run(part)["z"], rtol=0, atol=1e-5)
        assert np.abs(window.outputs["z"] - exact.run(part)["z"]).max() > 1e-4


def test_layers_that_are_rounded_in_single_steps_alone_are_shared_too(tmp_path: Path) -> None:
    # A convolution of one element is a product, whose weights are kept as float16; that of a window is none. These
    # weights lie nearly halfway between two float16, so that this makes more of a difference than a proof allows.
    weights = np.sign(signal((64, 64, 1), 1)) * (1 + 0.9 * 2**-11) / 8
    network = parse(
        "(float[1,64,T] x) => (float[1,64,U] y) { a = Conv(x, k) b = Relu(a) y = GlobalMaxPool(b) }",
        constants={"k": weights.astype(np.float32)},
    )
    model = wavetile.load(saved(network, tmp_path), weights="float16")
    stream = model.windows(axis="T", window=40, hop=1, share=True)
    assert stream.sharing.values
    x = signal((1, 64, 64), 2)
    for window in stream.process({"x": x}):
        alone = model.run({"x": x[..., window.start : window.start + 40]})["y"]
        np.testing.assert_allclose(window.outputs["y"], alone, rtol=2**-11, atol=0)


def test_two_streams_of_a_model_do_not_meet(tmp_path: Path) -> None:
    model = wavetile.load(saved(LONG, tmp_path), backend="reference")
    streams = [model.windows(axis="T", window=40, hop=8, share=True) for _ in range(2)]
    signals = [signal((1, 64, 80), seed) for seed in (1, 2)]
    for start in range(0, 80, 16):
        for stream, x in zip(streams, signals, strict=True):
            for window in stream.process({"x": x[..., start : start + 16]}):
                alone = model.run({"x": x[..., window.start : window.start + 40]})
                np.testing.assert_allclose(window.outputs["y"], alone["y"], atol=1e-5)
