"""Each signal operator of the card language against NumPy in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from wavetile.engine.errors import CardError
from wavetile.engine.graph import fuse
from wavetile.engine.models.composer import Composer
from wavetile.engine.models.operators import OPERATORS
from wavetile.engine.models.table import Table
from wavetile.engine.plan import Workspace, compile_graph

FRAME, HOP = 48, 16
RATE_HZ = 16000
BINS = FRAME // 2 + 1


def apply(
    operator: str,
    inputs: list[np.ndarray],
    *,
    shapes: list[tuple[int, ...]] | None = None,
    backend: str = "reference",
    **options: Any,
) -> Workspace:
    """A workspace of one operator, its inputs filled. Options that a card may leave out have their defaults."""
    composer = Composer("test", frame_samples=FRAME, hop_samples=HOP, sample_rate_hz=RATE_HZ)
    shapes = shapes or [array.shape for array in inputs]
    names = [composer.input(f"input_{index}", shape) for index, shape in enumerate(shapes)]
    table = Table(options, "test")
    read = {key: take(table, key) for key, take in OPERATORS[operator].options.items()}
    table.finish()
    output = OPERATORS[operator].lower(composer, *names, **read)
    composer.graph.outputs = [output, *(state.output for state in composer.graph.states)]
    workspace = Workspace(compile_graph(fuse(composer.graph)), backend)
    for name, array in zip(names, inputs, strict=True):
        workspace.input(name)[0] = array.reshape(workspace.input(name)[0].shape)
    return workspace


def result(workspace: Workspace) -> np.ndarray:
    workspace.run(1)
    return workspace.output(next(iter(workspace.program.outputs)))[0].copy()


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def as_complex(spectrum: np.ndarray) -> np.ndarray:
    return spectrum[..., 0].astype(np.float64) + 1j * spectrum[..., 1]


HANN = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
CASES: list[tuple[str, list[np.ndarray], dict[str, Any], Callable[..., np.ndarray]]] = [
    ("window", [normal(1, FRAME)], {"shape": "hann"}, lambda x: x * HANN),
    ("window", [normal(1, FRAME)], {"shape": "sqrt_hann"}, lambda x: x * np.sqrt(HANN)),
    (
        "real_fft",
        [normal(1, FRAME)],
        {},
        lambda x: np.stack([np.fft.rfft(x.astype(np.float64)).real, np.fft.rfft(x.astype(np.float64)).imag], axis=-1),
    ),
    (
        "real_fft",
        [normal(1, FRAME)],
        {"norm": "forward"},
        lambda x: np.stack([(f := np.fft.rfft(x.astype(np.float64), norm="forward")).real, f.imag], axis=-1),
    ),
    ("magnitude", [normal(1, BINS, 2)], {}, lambda x: np.abs(as_complex(x))),
    (
        "log_power",
        [normal(1, BINS, 2) * np.logspace(-8, 2, BINS, dtype=np.float32)[:, None]],
        {"floor": 1e-12},
        lambda x: np.log10(np.maximum(np.abs(as_complex(x)) ** 2, 1e-12)),
    ),
    ("clip", [normal(1, BINS)], {"min": -0.25, "max": 0.5}, lambda x: np.clip(x, -0.25, 0.5)),
    ("gain", [normal(1, BINS, 2), normal(1, BINS)], {}, lambda x, g: x * g[..., None]),
    ("inverse_real_fft", [normal(1, BINS, 2)], {}, lambda x: np.fft.irfft(as_complex(x), FRAME)),
    (
        "inverse_real_fft",
        [normal(1, BINS, 2) / FRAME],
        {"norm": "forward"},
        lambda x: np.fft.irfft(as_complex(x), FRAME, norm="forward"),
    ),
    ("decibels", [normal(1, 8) ** 2], {"offset": 1e-3}, lambda x: 10 * np.log10(x.astype(np.float64) + 1e-3)),
    ("low_bins", [normal(1, BINS, 2)], {"count": 5}, lambda x: x[:, :5]),
    ("low_bins", [normal(1, BINS)], {"count": BINS}, lambda x: x),
    (
        "replace_low_bins",
        [normal(1, BINS, 2), normal(1, 5, 2) + 7],
        {},
        lambda x, low: np.concatenate([low, x[:, 5:]], axis=1),
    ),
    ("planes", [normal(1, BINS, 2)], {}, lambda x: np.stack([x[..., 0], x[..., 1]], axis=1)),
]


@pytest.mark.parametrize(("operator", "inputs", "options", "expected"), CASES, ids=[case[0] for case in CASES])
def test_operator(
    operator: str, inputs: list[np.ndarray], options: dict[str, Any], expected: Callable[..., np.ndarray]
) -> None:
    np.testing.assert_allclose(result(apply(operator, inputs, **options)), expected(*inputs), rtol=1e-5, atol=2e-5)


def test_values_of_other_shapes_are_reshaped() -> None:
    # GTCRN gives [1, bins, 1, 2] where a spectrum is [1, bins, 2].
    spectrum = normal(1, BINS, 2)
    workspace = apply("magnitude", [spectrum], shapes=[(1, BINS, 1, 2)])
    np.testing.assert_allclose(result(workspace), np.abs(as_complex(spectrum)), rtol=1e-5)


def test_overlap_add_sums_frames_a_hop_apart() -> None:
    frames = normal(6, FRAME)
    expected = np.zeros(6 * HOP + FRAME)
    for index, frame in enumerate(frames):
        expected[index * HOP : index * HOP + FRAME] += frame
    workspace = apply("overlap_add", [frames[:1]])
    blocks = []
    for frame in frames:
        workspace.input("input_0")[0] = frame
        blocks.append(result(workspace)[0])
    np.testing.assert_allclose(np.concatenate(blocks), expected[: 6 * HOP], atol=1e-6)


@pytest.mark.parametrize("shape", ["sqrt_hann", "vorbis"])
def test_squared_window_adds_up_to_one_at_half_a_frame(shape: str) -> None:
    window = result(apply("window", [np.ones((1, FRAME), np.float32)], shape=shape))[0].astype(np.float64) ** 2
    np.testing.assert_allclose(window[: FRAME // 2] + window[FRAME // 2 :], 1, atol=1e-6)


@pytest.mark.parametrize("operator", ["window", "real_fft", "magnitude", "overlap_add", "inverse_real_fft"])
def test_wrong_number_of_elements_is_refused(operator: str) -> None:
    options: dict[str, Any] = {"shape": "hann"} if operator == "window" else {}
    with pytest.raises(CardError, match=r"has shape \[1, 7\] where"):
        apply(operator, [normal(1, 7)], **options)


def test_clip_with_crossed_limits_is_refused() -> None:
    with pytest.raises(CardError, match="above max"):
        apply("clip", [normal(1, 7)], min=1.0, max=0.0)
