"""`wavetile.load`, `Model.run` and `Model.stream` on small networks, against onnxruntime."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import wavetile
from tests.models.networks import (
    gru_over_frames,
    largest,
    leaky_integrator,
    onnx_outputs,
    row_taker,
    running_mean,
    shape_teller,
    with_constant_outputs,
    write_card,
)
from wavetile.engine.errors import BackendError, CardError, ModelError, SignalError, UnsupportedError, WeightsError
from wavetile.engine.models.catalogue import sha256_of
from wavetile.engine.models.evaluator import MAX_PROGRAMS

FEATURE_SIGNAL = 'kind = "features"\nfeature_count = 3'
FEATURE_STREAM = 'steps = [{ network = "net", inputs = { x = "features" }, outputs = { y = "y" } }]\nvalues = ["y"]'

STEPPED = 'shapes = { x = [1, 3] }\nstates = { h = "h_out" }'


def arrays(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal((rows, 3)).astype(np.float32) for name in ("x", "h")}


@pytest.fixture
def integrator(tmp_path: Path) -> Path:
    return leaky_integrator(tmp_path / "leaky.onnx")


@pytest.fixture
def integrator_card(tmp_path: Path, integrator: Path) -> Path:
    return write_card(tmp_path / "leaky.toml", integrator, STEPPED, signal=FEATURE_SIGNAL, stream=FEATURE_STREAM)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_run_takes_any_shape_of_free_axes(integrator: Path, backend: str) -> None:
    model = wavetile.load(integrator, backend=backend)
    for rows in (1, 4, 1, 7):
        inputs = arrays(rows, rows)
        outputs = model.run(inputs)
        for name, expected in zip(("y", "h_out"), onnx_outputs(integrator, ["y", "h_out"], inputs), strict=True):
            np.testing.assert_allclose(outputs[name], expected, rtol=1e-5, atol=1e-6)


def test_run_returns_fresh_arrays(integrator: Path) -> None:
    model = wavetile.load(integrator, backend="reference")
    first = model.run(arrays(2))
    kept = first["y"].copy()
    model.run(arrays(2, seed=1))
    np.testing.assert_array_equal(first["y"], kept)


def test_output_of_rank_zero_is_an_array(tmp_path: Path) -> None:
    y = wavetile.load(largest(tmp_path / "largest.onnx"), backend="reference").run(
        {"x": np.array([1, 5, 3], np.float32)}
    )["y"]
    assert isinstance(y, np.ndarray)
    assert (y.shape, y.dtype, y) == ((), np.float32, 5)


def test_integer_and_boolean_inputs_are_bound_by_value(tmp_path: Path) -> None:
    model = wavetile.load(row_taker(tmp_path / "rows.onnx"), backend="reference")
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    for first in (0, 2, 3):
        for loud in (False, True):
            outputs = model.run({"x": x, "first": np.array([first]), "loud": np.array(loud)})
            np.testing.assert_array_equal(outputs["y"], x[first:] * (10 if loud else 1))


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_constant_outputs_keep_their_type_and_value(tmp_path: Path, backend: str) -> None:
    path = with_constant_outputs(tmp_path / "mixed.onnx")
    model = wavetile.load(path, backend=backend)
    names = ["count", "y", "shape", "flag", "exact"]
    for rows, off in ((2, False), (5, True)):
        inputs = {"x": arrays(rows)["x"], "off": np.array(off)}
        outputs = model.run(inputs)
        assert list(outputs) == names
        for name, expected in zip(names, onnx_outputs(path, names, inputs), strict=True):
            assert outputs[name].dtype == expected.dtype
            np.testing.assert_array_equal(outputs[name], expected)
    outputs["shape"][:] = 0
    assert model.run(inputs)["shape"].tolist() == [5, 3]


def test_network_of_constant_outputs_needs_no_program(tmp_path: Path) -> None:
    path = shape_teller(tmp_path / "shape.onnx")
    model = wavetile.load(path)
    assert model.run({"x": np.zeros((4, 3), np.float32)})["shape"].tolist() == [4, 3]
    assert model.describe().instruction_count == 0


def test_programs_are_kept_up_to_a_limit(integrator: Path) -> None:
    model = wavetile.load(integrator, backend="reference")
    evaluator = model._evaluators["leaky"]
    shapes = {"x": (1, 3), "h": (1, 3)}
    program = evaluator.program(shapes)
    model.run(arrays(1))
    assert evaluator.program(shapes) is program
    for rows in range(2, MAX_PROGRAMS + 2):
        model.run(arrays(rows))
    assert evaluator.program(shapes) is not program


@pytest.mark.parametrize("threads", [1, 3])
def test_run_is_safe_from_several_threads(integrator: Path, threads: int) -> None:
    model = wavetile.load(integrator, backend="cpu", threads=threads)
    expected = {(rows, seed): model.run(arrays(rows, seed)) for rows in (1, 3) for seed in range(4)}
    failures: list[str] = []

    def work(seed: int) -> None:
        for turn in range(50):
            rows = 1 + 2 * (turn % 2)
            outputs = model.run(arrays(rows, seed))
            if not np.array_equal(outputs["y"], expected[rows, seed]["y"]):
                failures.append(f"seed {seed}, turn {turn}")

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": arrays(1)["x"]}, r"input 'h' of network 'leaky' is missing; it is float32\[batch, 3\]"),
        ({**arrays(1), "z": np.zeros(1)}, "no input 'z'; its inputs are 'x' float32"),
        ({**arrays(1), "x": np.zeros((1, 3))}, "array of float64.*astype"),
        ({**arrays(1), "x": np.zeros((1, 4), np.float32)}, r"the shape \[1, 4\] does not fit"),
        ({**arrays(1), "x": np.zeros(3, np.float32)}, r"the shape \[3\] does not fit"),
    ],
)
def test_wrong_inputs_are_named(integrator: Path, inputs: dict[str, np.ndarray], message: str) -> None:
    model = wavetile.load(integrator, backend="reference")
    with pytest.raises(SignalError, match=message):
        model.run(inputs)


def test_contradicting_shapes_are_named(integrator: Path) -> None:
    model = wavetile.load(integrator, backend="reference")
    with pytest.raises(ModelError, match="'batch'"):
        model.run({"x": arrays(1)["x"], "h": arrays(2)["h"]})


def test_bare_network_does_not_stream(integrator: Path) -> None:
    model = wavetile.load(integrator, backend="reference")
    assert model.card is None
    with pytest.raises(ModelError, match="card"):
        model.stream()
    description = model.describe()
    assert (description.kind, description.operators["MatMul"], description.licence) == ("network", 1, "")
    assert [(t.name, t.dtype, t.shape) for t in description.inputs] == [
        ("x", "float32", ("batch", "3")),
        ("h", "float32", ("batch", "3")),
    ]


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_stream_carries_explicit_state(integrator_card: Path, integrator: Path, backend: str) -> None:
    model = wavetile.load(integrator_card, backend=backend)
    frames = arrays(20)["x"]
    state, expected = np.zeros((1, 3), np.float32), []
    for frame in frames:
        y, state = onnx_outputs(integrator, ["y", "h_out"], {"x": frame[None], "h": state})
        expected.append(y[0])
    with model.stream() as stream:
        np.testing.assert_allclose(stream.process(frames).values["y"], expected, rtol=1e-5, atol=1e-5)
    description = model.describe()
    assert (description.kind, description.feature_count, description.value_names) == ("features", 3, ("y",))
    assert description.multiply_adds == 9
    assert description.state_bytes >= 12


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("hiding", [gru_over_frames, running_mean])
def test_stream_lifts_hidden_state(tmp_path: Path, hiding: Callable[..., Path], backend: str) -> None:
    network = hiding(tmp_path / "hidden.onnx", features=3)
    entries = "shapes = { x = [1, 1, 3] }\nlift = { x = 1 }"
    card = write_card(tmp_path / "hidden.toml", network, entries, signal=FEATURE_SIGNAL, stream=FEATURE_STREAM)
    frames = arrays(30)["x"]
    (expected,) = onnx_outputs(network, ["y"], {"x": frames[None]})
    with wavetile.load(card, backend=backend).stream() as stream:
        np.testing.assert_allclose(stream.process(frames).values["y"], expected[0], atol=1e-5)


def test_backward_state_can_not_be_lifted(tmp_path: Path) -> None:
    network = gru_over_frames(tmp_path / "gru.onnx", features=3, direction="bidirectional")
    entries = "shapes = { x = [1, 1, 3] }\nlift = { x = 1 }"
    card = write_card(tmp_path / "gru.toml", network, entries, signal=FEATURE_SIGNAL, stream=FEATURE_STREAM)
    with pytest.raises(UnsupportedError, match=r"'gru'.*bidirectional"):
        wavetile.load(card, backend="reference").stream()


@pytest.mark.parametrize(
    ("entries", "stream", "message"),
    [
        ("shapes = { x = [1, 3] }", FEATURE_STREAM, "nothing feeds input 'h'"),
        ('shapes = { x = [1, 3] }\nstates = { g = "h_out" }', FEATURE_STREAM, "states has g = 'h_out'"),
        ('shapes = { x = [1, 3] }\nstates = { h = "gone" }', FEATURE_STREAM, "states has h = 'gone'"),
        (
            'shapes = { x = [1, 3] }\nstates = { h = "h_out" }',
            FEATURE_STREAM.replace("{ y =", "{ z ="),
            "no output 'z'; it has y",
        ),
        (
            'shapes = { x = [1, 3] }\nstates = { h = "h_out" }',
            FEATURE_STREAM.replace("{ x =", "{ q ="),
            "nothing feeds input 'x'",
        ),
        (
            'shapes = { x = [2, 3] }\nstates = { h = "h_out" }',
            FEATURE_STREAM,
            r"has shape \[1, 3\] where \[2, 3\] is needed",
        ),
        ("shapes = { x = [1, 3], h = [1, 3] }\nlift = { x = 4 }", FEATURE_STREAM, "no axis 4"),
    ],
)
def test_card_that_does_not_fit_its_network(
    tmp_path: Path, integrator: Path, entries: str, stream: str, message: str
) -> None:
    card = write_card(tmp_path / "odd.toml", integrator, entries, signal=FEATURE_SIGNAL, stream=stream)
    with pytest.raises(CardError, match=message):
        wavetile.load(card, backend="reference").stream()


def test_audio_must_be_one_hop(tmp_path: Path, integrator: Path) -> None:
    card = write_card(
        tmp_path / "odd.toml",
        integrator,
        'shapes = { x = [1, 3] }\nstates = { h = "h_out" }',
        signal='kind = "audio"\nsample_rate_hz = 16000\nframe_samples = 3\nhop_samples = 2',
        stream='steps = [{ network = "net", inputs = { x = "frame" }, outputs = { y = "y" } }]\naudio = "y"',
    )
    with pytest.raises(CardError, match="2 samples, one hop"):
        wavetile.load(card, backend="reference").stream()


def test_image_model_says_that_it_runs_whole_images(tmp_path: Path, integrator: Path) -> None:
    card = write_card(tmp_path / "whole.toml", integrator, "", signal='kind = "image"', stream="")
    model = wavetile.load(card, backend="reference")
    with pytest.raises(ModelError, match="run"):
        model.stream()
    np.testing.assert_array_equal(model.run(arrays(2))["y"], model.run(arrays(2))["h_out"])
    assert model.describe().kind == "image"


def test_sessions_share_executors(integrator_card: Path) -> None:
    model = wavetile.load(integrator_card, backend="reference")
    executors = [model.executor(), model.executor()]
    sessions = [model.open_session() for _ in range(3)]
    frames = [arrays(6, seed)["x"] for seed in range(3)]
    for session, block in zip(sessions, frames, strict=True):
        session.feed(block)
    for turn in range(6):
        executors[turn % 2].step(sessions)
    for session, block in zip(sessions, frames, strict=True):
        with model.stream() as stream:
            np.testing.assert_array_equal(session.drain().values["y"], stream.process(block).values["y"])
        session.close()


@pytest.mark.parametrize("options", [{"backend": "cuda"}, {"backend": "gpu"}, {"threads": 0}, {"threads": True}])
def test_unusable_back_ends_are_refused(integrator: Path, options: dict[str, object]) -> None:
    with pytest.raises(BackendError, match=str(next(iter(options.values())))):
        wavetile.load(integrator, **options)  # type: ignore[arg-type]


def test_weights_that_are_nowhere(tmp_path: Path, integrator_card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAVETILE_MODELS", str(tmp_path / "empty"))
    monkeypatch.setenv("WAVETILE_CACHE", str(tmp_path / "cache"))
    card = integrator_card.read_text("utf-8")
    integrator_card.write_text(card.replace('source = "leaky.onnx"\n', "").replace('"leaky.onnx"', '"x/leaky.onnx"'))
    with pytest.raises(WeightsError, match=r"x/leaky\.onnx below a folder and set WAVETILE_MODELS"):
        wavetile.load(integrator_card)


def test_weights_that_are_not_the_cards(integrator_card: Path, integrator: Path) -> None:
    integrator.write_bytes(integrator.read_bytes() + b"\0")
    with pytest.raises(WeightsError, match="sha256"):
        wavetile.load(integrator_card)


def test_model_says_what_it_is(integrator_card: Path) -> None:
    model = wavetile.load(integrator_card, backend="reference")
    assert repr(model) == "<Model 'leaky': A test; inputs x, h; back end reference>"
    with model.stream() as stream:
        assert repr(stream) == "<Stream of 'leaky': feature frames>"


@pytest.mark.parametrize("start", ["silence", "first_frame"])
@pytest.mark.parametrize("frames", [1, 7])
def test_stream_is_late_by_all_that_its_operators_hold_back(tmp_path: Path, start: str, frames: int) -> None:
    window = '{{ operator = "window", input = "{}", shape = "vorbis", output = "{}" }}'
    steps = [
        window.format("frame", "windowed"),
        f'{{ operator = "delay", input = "windowed", frames = {frames}, output = "delayed" }}',
        window.format("delayed", "again"),
        '{ operator = "overlap_add", input = "again", output = "late" }',
        '{ network = "net", inputs = { x = "frame" }, outputs = { y = "y" } }',
    ]
    card = write_card(
        tmp_path / "late.toml",
        leaky_integrator(tmp_path / "leaky.onnx", features=32),
        'shapes = { x = [1, 32] }\nstates = { h = "h_out" }',
        signal=f'kind = "audio"\nsample_rate_hz = 8000\nframe_samples = 32\nhop_samples = 16\nstart = "{start}"',
        stream=f'steps = [{", ".join(steps)}]\naudio = "late"',
    )
    signal = np.random.default_rng(2).standard_normal(1000).astype(np.float32)
    with wavetile.load(card, backend="reference").stream() as stream:
        assert stream.delay_samples == 16 + 16 * frames
        audio = np.concatenate([stream.process(signal).samples, stream.flush().samples])  # type: ignore[list-item]
    first = 16 if start == "first_frame" else 0  # the window fades the first hop in where no frame lies before it
    assert len(audio) == 1000 + stream.delay_samples
    np.testing.assert_allclose(audio[stream.delay_samples + first :], signal[first:], atol=1e-5)


def test_networks_of_a_model_may_share_names(tmp_path: Path, integrator_card: Path) -> None:
    one, two = leaky_integrator(tmp_path / "one.onnx"), leaky_integrator(tmp_path / "two.onnx")
    second = f'[networks.other]\nfile = "two.onnx"\nsha256 = "{sha256_of(two)}"\nsource = "two.onnx"\n{STEPPED}'
    stream = (
        'steps = [{ network = "net", inputs = { x = "features" }, outputs = { y = "y" } }, '
        '{ network = "other", inputs = { x = "y" }, outputs = { y = "z" } }]\nvalues = ["z"]'
    )
    card = write_card(tmp_path / "both.toml", one, f"{STEPPED}\n{second}", signal=FEATURE_SIGNAL, stream=stream)
    model = wavetile.load(card, backend="reference")
    assert set(model.inputs) == {"net/x", "net/h", "other/x", "other/h"}
    with pytest.raises(SignalError, match="several networks"):
        model.run(arrays(1))
    frames = arrays(4)["x"]
    with wavetile.load(integrator_card, backend="reference").stream() as single:
        between = single.process(frames).values["y"]
        single.reset()
        expected = single.process(between).values["y"]
    with model.stream() as both:
        np.testing.assert_allclose(both.process(frames).values["z"], expected, rtol=1e-6)
