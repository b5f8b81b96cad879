"""Bare networks as streams through the public face: axes by name, arrays of any length, tiles in raster order."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import pytest

import wavetile
from tests.models.networks import running_mean
from tests.plan.networks import parse, run_onnxruntime, signal
from wavetile.engine.errors import ModelError, SignalError, StreamClosedError, UnsupportedError
from wavetile.engine.plan.streaming import plan
from wavetile.engine.session import Region, TileStream


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "network.onnx"
    path.write_bytes(model.SerializeToString())
    return path


DENOISER = parse(
    "(float[1,3,T] x) => (float[1,4,U] y) { a = Conv<pads=[2,1]>(x, k) b = Relu(a) "
    "c = Conv<pads=[0,3], group=4>(b, l) y = Add(b, c) }",
    constants={"k": signal((4, 3, 4), 1), "l": signal((4, 1, 4), 2)},
)
"""Looks one step ahead, then three more."""

SEGMENTER = parse(
    "(float[1,2,H,W] x) => (float[1,3,H,W] y) { a = Conv<pads=[1,1,1,1]>(x, k) "
    "b = MaxPool<kernel_shape=[2,2], strides=[2,2]>(a) c = Conv<pads=[2,2,2,2], dilations=[2,2]>(b, l) "
    "d = ConvTranspose<strides=[2,2]>(c, m) e = Relu(a) y = Concat<axis=1>(d, e) }",
    constants={"k": signal((1, 2, 3, 3), 1), "l": signal((2, 1, 3, 3), 2), "m": signal((2, 2, 2, 2), 3)},
)

OFF_THE_GRID = ((3, 0), (0, 2), (24, 0), (0, 24), (-4, 0), (0, -4))
"""Places at which no tile of 4 x 4 pixels begins, in an image of 20 x 20 or 18 x 22."""


def put_once(result: np.ndarray, region: Region) -> None:
    """Put a region where it belongs, where nothing may be yet."""
    rows, columns = region.values.shape[2:]
    place = result[:, :, region.y : region.y + rows, region.x : region.x + columns]
    assert np.isnan(place).all(), "a pixel came out twice"
    place[:] = region.values


def test_a_state_that_is_written_out_goes_from_step_to_step(tmp_path: Path) -> None:
    path = running_mean(tmp_path / "mean.onnx", features=3)
    x = signal((1, 23, 3), 3)
    (expected,) = run_onnxruntime(onnx.load(path), {"x": x})
    stream = wavetile.load(path).stream(axis="time", step=4)
    pieces = [stream.process({"x": x[:, start : start + 5]})["y"] for start in range(0, 23, 5)]
    np.testing.assert_allclose(np.concatenate([*pieces, stream.flush()["y"]], 1), expected, atol=1e-5)


def test_a_stream_along_time_gives_the_numbers_of_the_whole(tmp_path: Path) -> None:
    x = signal((1, 3, 57), 3)
    (expected,) = run_onnxruntime(DENOISER, {"x": x})
    stream = wavetile.load(saved(DENOISER, tmp_path)).stream(axis="time")
    pieces, came = [], []
    for start, stop in ((0, 1), (1, 4), (4, 4), (4, 5), (5, 30), (30, 57)):
        pieces.append(stream.process({"x": x[..., start:stop]})["y"])
        came.append(sum(piece.shape[2] for piece in pieces))
    # An output leaves with the step that completes what it sees: one step and three ahead.
    assert came == [0, 0, 0, 1, 26, 53]
    pieces.append(stream.flush()["y"])
    np.testing.assert_allclose(np.concatenate(pieces, 2), expected, atol=1e-5)
    with pytest.raises(StreamClosedError):
        stream.process({"x": x})


@pytest.mark.parametrize("length", [1, 2, 4, 5])
def test_signals_shorter_than_what_the_network_sees(tmp_path: Path, length: int) -> None:
    x = signal((1, 3, length), 3)
    (expected,) = run_onnxruntime(DENOISER, {"x": x})
    stream = wavetile.load(saved(DENOISER, tmp_path)).stream(axis="T")
    pieces = [stream.process({"x": x})["y"], stream.flush()["y"]]
    np.testing.assert_allclose(np.concatenate(pieces, 2), expected, atol=1e-5)


@pytest.mark.parametrize(("window", "hop"), [(10, 10), (10, 3), (4, 9)])
def test_windows_are_whole_signals_to_the_network(tmp_path: Path, window: int, hop: int) -> None:
    x = signal((1, 3, 50), 3)
    stream = wavetile.load(saved(DENOISER, tmp_path)).windows(axis="T", window=window, hop=hop)
    made = [one for start in range(0, 50, 7) for one in stream.process({"x": x[..., start : start + 7]})]
    assert [one.start for one in made] == list(range(0, 50 - window + 1, hop))
    for one in made:
        (expected,) = run_onnxruntime(DENOISER, {"x": x[..., one.start : one.start + window]})
        np.testing.assert_allclose(one.outputs["y"], expected, atol=1e-5)


def test_windows_that_can_not_be_are_refused(tmp_path: Path) -> None:
    model = wavetile.load(saved(DENOISER, tmp_path))
    with pytest.raises(ModelError, match=r"window=\.\.\. gives one"):
        model.windows(axis="T")
    for hop in (0, -1):
        with pytest.raises(ModelError, match=f"hop is {hop}; a whole number"):
            model.windows(axis="T", window=4, hop=hop)
    with pytest.raises(SignalError, match="float64; float32 would work"):
        model.windows(axis="T", window=4).process({"x": np.zeros((1, 3, 4))})


def test_one_long_chunk_costs_what_it_is_long(tmp_path: Path) -> None:
    stream = wavetile.load(saved(DENOISER, tmp_path)).stream(axis="T", step=1)
    x = signal((1, 3, 4_000), 3)
    (expected,) = run_onnxruntime(DENOISER, {"x": x})
    got = np.concatenate([stream.process({"x": x})["y"], stream.flush()["y"]], 2)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_plan_keeps_few_of_the_steps_that_signals_end_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MAX_STEPS", 3)
    model = wavetile.load(saved(DENOISER, tmp_path))
    for length in range(14, 20):
        x = signal((1, 3, length), 3)
        (expected,) = run_onnxruntime(DENOISER, {"x": x})
        stream = model.stream(axis="T", step=6)
        pieces = [stream.process({"x": x})["y"], stream.flush()["y"]]
        np.testing.assert_allclose(np.concatenate(pieces, 2), expected, atol=1e-5)
    made, _ = model.streams.plan(["T"], [6])
    assert len(made._steps) == 3


def test_streams_keep_weights_as_the_model_does(tmp_path: Path) -> None:
    recurrent = parse(
        "(float[T,1,8] x) => (float[T,1,1,64] y) { y, h, c = LSTM<hidden_size=64>(x, w, r) }",
        constants={"w": signal((1, 256, 8), 1) / 4, "r": signal((1, 256, 64), 2) / 8},
    )
    path, x = saved(recurrent, tmp_path), signal((20, 1, 8), 3)
    made = {}
    for weights in ("float32", "float16"):
        model = wavetile.load(path, weights=weights)
        stream = model.stream(axis="T")
        made[weights] = np.concatenate([stream.process({"x": x})["y"], stream.flush()["y"]])
        np.testing.assert_allclose(made[weights], model.run({"x": x})["y"], atol=1e-5)
    assert 1e-5 < np.abs(made["float16"] - made["float32"]).max() < 1e-2


def test_rows_leave_as_soon_as_they_can_and_know_their_place(tmp_path: Path) -> None:
    x = signal((1, 2, 22, 30), 3)
    (expected,) = run_onnxruntime(SEGMENTER, {"x": x})
    model = wavetile.load(saved(SEGMENTER, tmp_path))
    result = np.full(expected.shape, np.nan, np.float32)
    image = model.rows(30, height=22)
    for start, stop in ((0, 1), (1, 9), (9, 9), (9, 22)):
        for region in image.put(start, x[:, :, start:stop])["y"]:
            put_once(result, region)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)
    assert image.complete
    with pytest.raises(StreamClosedError):
        image.put(22, x[:, :, :1])
    with pytest.raises(SignalError, match="the next one is 0"):
        model.rows(30).put(1, x[:, :, :1])
    with pytest.raises(SignalError, match="after 0 of its 22 lines"):
        model.rows(30, height=22).finish()
    with pytest.raises(ModelError, match="multiples of 2 would work"):
        model.rows(30, height=21)


def test_what_an_image_will_keep_is_known_before_it_comes(tmp_path: Path) -> None:
    model = wavetile.load(saved(SEGMENTER, tmp_path))
    plan = model.streams.tile_plan(8)
    image = model.tiles(40, 64, tile=8)
    kept = 0
    while (place := image.next_tile) is not None:
        image.put(*place, np.zeros(image.tile_shape(*place), np.float32))
        kept = max(kept, image.kept_bytes)
    assert kept <= TileStream.needed_bytes(plan, 40, 64, 8) <= 1.1 * kept


def test_an_image_of_very_many_tiles_begins_at_once(tmp_path: Path) -> None:
    image = wavetile.load(saved(SEGMENTER, tmp_path)).tiles(2**30, 64, tile=8)
    image.put(0, 0, np.zeros((1, 2, 8, 8), np.float32))
    assert image.next_tile == (0, 8)
    assert image.multiply_adds > 2**30 * 64


def test_sizes_are_given_by_name_or_by_place(tmp_path: Path) -> None:
    fixed = parse(
        "(float[1,1,H,16] x) => (float[1,1,H,16] y) { y = Conv<pads=[1,1,1,1]>(x, k) }",
        constants={"k": signal((1, 1, 3, 3), 1)},
    )
    model = wavetile.load(saved(fixed, tmp_path))
    assert model.stream(axis="H", sizes={("x", 3): 24}).process({"x": signal((1, 1, 5, 24), 1)})["y"].shape[3] == 24
    with pytest.raises(ModelError, match="no dimension 4 of input 'x' is there and does not stream"):
        model.stream(axis="H", sizes={("x", 4): 24})
    with pytest.raises(ModelError, match="no dimension 2 of input 'x' is there and does not stream"):
        model.stream(axis="H", sizes={("x", 2): 24})


def test_an_empty_signal_has_an_empty_result(tmp_path: Path) -> None:
    assert wavetile.load(saved(DENOISER, tmp_path)).stream(axis="T").flush()["y"].shape == (1, 4, 0)


@pytest.mark.parametrize(("height", "width", "tile"), [(40, 64, 16), (16, 16, 16), (12, 70, 8), (6, 6, 32)])
def test_tiles_give_the_numbers_of_the_whole_image(tmp_path: Path, height: int, width: int, tile: int) -> None:
    x = signal((1, 2, height, width), 3)
    (expected,) = run_onnxruntime(SEGMENTER, {"x": x})
    image = wavetile.load(saved(SEGMENTER, tmp_path)).tiles(height, width, tile=tile)
    result = np.full(expected.shape, np.nan, np.float32)
    while image.next_tile is not None:
        y, x0 = image.next_tile
        for region in image.put(y, x0, x[:, :, y : y + tile, x0 : x0 + tile])["y"]:
            put_once(result, region)
    np.testing.assert_allclose(result, expected, atol=1e-5)
    with pytest.raises(StreamClosedError):
        image.put(0, 0, x)


@pytest.mark.parametrize(("height", "width", "tile"), [(40, 64, 16), (12, 70, 8), (6, 6, 32)])
def test_tiles_in_any_order_give_the_numbers_of_the_whole_image(
    tmp_path: Path, height: int, width: int, tile: int
) -> None:
    x = signal((1, 2, height, width), 3)
    (expected,) = run_onnxruntime(SEGMENTER, {"x": x})
    model = wavetile.load(saved(SEGMENTER, tmp_path))
    image = model.tiles(height, width, tile=tile, order="any")
    result = np.full(expected.shape, np.nan, np.float32)
    places = [(y, x0) for y in range(0, height, tile) for x0 in range(0, width, tile)]
    for index in np.random.default_rng(0).permutation(len(places)):
        y, x0 = places[index]
        assert not image.complete
        for region in image.put(y, x0, x[:, :, y : y + tile, x0 : x0 + tile])["y"]:
            put_once(result, region)
    np.testing.assert_allclose(result, expected, atol=1e-5)
    assert (image.complete, image.kept_bytes) == (True, 0)
    whole = model.program({"x": x.shape})
    assert whole is not None
    assert 1 <= image.multiply_adds / whole.multiply_adds < (1.0001 if len(places) == 1 else 3)
    with pytest.raises(StreamClosedError):
        image.put(0, 0, x)


def test_a_scattered_tile_that_is_not_there_is_refused(tmp_path: Path) -> None:
    image = wavetile.load(saved(SEGMENTER, tmp_path)).tiles(20, 20, tile=4, order="any")
    tile = np.zeros((1, 2, 4, 4), np.float32)
    image.put(8, 4, tile)
    with pytest.raises(SignalError, match=r"the tile at \(8, 4\) has come"):
        image.put(8, 4, tile)
    for y, x in OFF_THE_GRID:
        with pytest.raises(SignalError, match=rf"no tile at \({y}, {x}\)"):
            image.put(y, x, tile)
    with pytest.raises(SignalError, match=r"\[1, 2, 4, 4\] would work"):
        image.put(0, 0, tile[..., :3])


@pytest.mark.parametrize("order", ["raster", "any"])
def test_only_tiles_of_the_image_have_a_shape(tmp_path: Path, order: Literal["raster", "any"]) -> None:
    image = wavetile.load(saved(SEGMENTER, tmp_path)).tiles(18, 22, tile=4, order=order)
    assert [image.tile_shape(*place) for place in ((0, 0), (16, 20))] == [(1, 2, 4, 4), (1, 2, 2, 2)]
    for y, x in OFF_THE_GRID:
        with pytest.raises(SignalError, match=rf"no tile at \({y}, {x}\); multiples of 4 below \(18, 22\) would work"):
            image.tile_shape(y, x)


def test_a_tile_that_nothing_is_made_of_is_not_kept(tmp_path: Path) -> None:
    """Windows of 2 pixels, 16 apart, whose last row is cut off."""
    model = parse(
        "(float[1,1,H,W] x) => (float[1,1,U,V] y) { a = MaxPool<kernel_shape=[2,2], strides=[16,16]>(x) "
        "y = Slice(a, first, last, rows) }",
        constants={name: np.array([value], np.int64) for name, value in (("first", 0), ("last", -1), ("rows", 2))},
    )
    x = signal((1, 1, 64, 64), 3)
    (expected,) = run_onnxruntime(model, {"x": x})
    image = wavetile.load(saved(model, tmp_path)).tiles(64, 64, tile=16, order="any")
    result = np.full(expected.shape, np.nan, np.float32)
    for y in range(48, -16, -16):
        for x0 in range(0, 64, 16):
            for region in image.put(y, x0, x[:, :, y : y + 16, x0 : x0 + 16])["y"]:
                put_once(result, region)
            assert image.kept_bytes == 0
    np.testing.assert_array_equal(result, expected)


def test_axes_of_images_are_rows_and_columns(tmp_path: Path) -> None:
    model = wavetile.load(saved(SEGMENTER, tmp_path))
    _, certificate = model.streams.plan(({"x": 2}, {"x": 3}), (4, 4))
    assert [axis.name for axis in certificate.axes] == ["rows", "columns"]
    with pytest.raises(ModelError, match="21 elements along 'rows'"):
        model.tiles(21, 20, tile=4)
    with pytest.raises(ModelError, match="21 elements along 'columns'"):
        model.tiles(20, 21, tile=4)


def test_a_window_that_becomes_the_batch_is_no_signal(tmp_path: Path) -> None:
    """Of 64 samples as declared the Reshape makes one group: its -1 stands for the batch, and not for more windows."""
    model = parse(
        "(float[1,1,64] x) => (float[1,3] y) { a = Conv<pads=[1,1]>(x, k) r = Reshape(a, s) y = MatMul(r, w) }",
        constants={"k": signal((1, 1, 3), 1), "s": np.array([-1, 64], np.int64), "w": signal((64, 3), 2)},
    )
    with pytest.raises(UnsupportedError, match=r"Reshape .* of the 64 elements .* it makes a single group along"):
        wavetile.load(saved(model, tmp_path)).stream(axis={"x": 2})
    free = parse(
        "(float[1,1,T] x) => (float[F,3] y) { a = Conv<pads=[1,1]>(x, k) r = Reshape(a, s) y = MatMul(r, w) }",
        constants={"k": signal((1, 1, 3), 1), "s": np.array([-1, 64], np.int64), "w": signal((64, 3), 2)},
    )
    assert wavetile.load(saved(free, tmp_path)).stream(axis="T").step == 64


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    model = wavetile.load(saved(SEGMENTER, tmp_path))
    with pytest.raises(ModelError, match="no input has a free dimension 'T'; x is float32"):
        model.stream(axis="T")
    with pytest.raises(ModelError, match=r"dimension 3 \(W\) is free .*sizes=\{'W'"):
        model.stream(axis="H")
    with pytest.raises(ModelError, match="tile is 5; multiples of 2 would work"):
        model.tiles(20, 20, tile=5)
    with pytest.raises(ModelError, match="do not fit"):
        model.tiles(21, 20, tile=4)
    image = model.tiles(20, 20, tile=4)
    with pytest.raises(SignalError, match=r"the next one begins at \(0, 0\)"):
        image.put(4, 0, np.zeros((1, 2, 4, 4), np.float32))
    with pytest.raises(SignalError, match=r"\[1, 2, 4, 4\] would work"):
        image.put(0, 0, np.zeros((1, 2, 4, 3), np.float32))
    stream = model.stream(axis="H", sizes={"W": 8})
    with pytest.raises(SignalError, match=r"\[1, 2, any, 8\] would work"):
        stream.process({"x": np.zeros((1, 2, 4, 9), np.float32)})
    with pytest.raises(SignalError, match="x would work"):
        stream.process({"z": np.zeros((1, 2, 4, 8), np.float32)})


def test_numbers_that_are_no_lengths_are_refused(tmp_path: Path) -> None:
    model = wavetile.load(saved(SEGMENTER, tmp_path))
    for count in (0, -4, 2.5, True):
        with pytest.raises(ModelError, match=f"height is {count}; a whole number"):
            model.tiles(count, 20)  # type: ignore[call-overload]
        with pytest.raises(ModelError, match=f"tile is {count}; a whole number"):
            model.tiles(20, 20, tile=count)  # type: ignore[call-overload]
        with pytest.raises(ModelError, match=f"step is {count}; a whole number"):
            model.stream(axis="H", step=count, sizes={"W": 8})  # type: ignore[call-overload]
        with pytest.raises(ModelError, match=rf"sizes\['W'\] is {count}; a whole number"):
            model.stream(axis="H", sizes={"W": count})  # type: ignore[dict-item]


def test_what_would_be_ignored_is_refused(tmp_path: Path) -> None:
    model = wavetile.load(saved(SEGMENTER, tmp_path))
    for size in ("w", "H"):
        with pytest.raises(ModelError, match=f"no dimension '{size}' is free and does not stream"):
            model.stream(axis="H", sizes={"W": 8, size: 8})
    with pytest.raises(ModelError, match="no dimension 'W' is free"):
        model.tiles(20, 20, tile=4, sizes={"W": 8})
    with pytest.raises(SignalError, match="no sample rate"):
        model.stream(16000, axis="H", sizes={"W": 8})  # type: ignore[call-overload]
    with pytest.raises(ModelError, match=r"with axis=\.\.\. they would work"):
        model.stream(step=4)  # type: ignore[call-overload]


@pytest.mark.parametrize("order", ["raster", "any"])
def test_a_tile_of_another_type_is_refused(tmp_path: Path, order: Literal["raster", "any"]) -> None:
    image = wavetile.load(saved(SEGMENTER, tmp_path)).tiles(20, 20, tile=4, order=order)
    with pytest.raises(SignalError, match=r"tile at \(0, 0\) is float64; float32 would work"):
        image.put(0, 0, np.zeros((1, 2, 4, 4)))


def test_an_array_without_a_name_is_refused(tmp_path: Path) -> None:
    stream = wavetile.load(saved(DENOISER, tmp_path)).stream(axis={"x": -1})
    x = np.zeros((1, 3, 4), np.float32)
    with pytest.raises(SignalError, match="one ndarray; arrays by name, x, would work"):
        stream.process(x)  # type: ignore[arg-type]
    assert stream.process({"x": x})["y"].shape == (1, 4, 0)


def test_rows_of_an_image(tmp_path: Path) -> None:
    x = signal((1, 2, 24, 10), 3)
    (expected,) = run_onnxruntime(SEGMENTER, {"x": x})
    stream = wavetile.load(saved(SEGMENTER, tmp_path)).stream(axis="H", sizes={"W": 10})
    rows = [stream.process({"x": x[:, :, y : y + 1]})["y"] for y in range(24)]
    np.testing.assert_allclose(np.concatenate([*rows, stream.flush()["y"]], 2), expected, atol=1e-5)


def test_a_network_that_needs_the_whole_image_says_why(tmp_path: Path) -> None:
    model = parse("(float[1,2,H,W] x) => (float[1,2,H,W] y) { m = ReduceMean<axes=[2,3]>(x) y = Sub(x, m) }")
    with pytest.raises(UnsupportedError, match=r"ReduceMean.*Model\.run on the whole"):
        wavetile.load(saved(model, tmp_path)).tiles(8, 8, tile=4)
