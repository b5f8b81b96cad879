"""Sessions of images: what they say of memory beforehand holds, and no other session's planning keeps them waiting."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import wavetile
from tests.patience import PATIENCE_S
from tests.plan.networks import parse, signal
from wavetile.engine.errors import SignalError
from wavetile.engine.models import streaming
from wavetile.engine.models.model import Model
from wavetile.engine.plan.streaming import StreamPlan
from wavetile.engine.session import ImageFormat, TileStream
from wavetile.engine.session.images import IMAGE_ORDERS

DEEP = parse(
    "(float[1,1,H,W] x) => (float[1,1,H,W] y) { a = Conv<pads=[3,3,3,3]>(x, k) b = MaxPool<kernel_shape=[2,2], "
    "strides=[2,2]>(a) c = Conv<pads=[3,3,3,3]>(b, l) y = ConvTranspose<strides=[2,2]>(c, m) }",
    constants={"k": signal((8, 1, 7, 7), 1), "l": signal((8, 8, 7, 7), 2), "m": signal((8, 1, 2, 2), 3)},
)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    onnx.save(DEEP, tmp_path / "deep.onnx")
    return wavetile.load(tmp_path / "deep.onnx")


@pytest.mark.parametrize(
    ("height", "width", "tile"), [(120, 90, 32), (16, 200, 16), (8, 8, 32), (200, 40, 32), (64, 64, 64)]
)
def test_tiles_keep_what_was_said(model: Model, height: int, width: int, tile: int) -> None:
    image = model.tiles(height, width, tile=tile)
    kept = 0
    while (place := image.next_tile) is not None:
        image.put(*place, np.zeros(image.tile_shape(*place), np.float32))
        kept = max(kept, image.kept_bytes)
    # The strips of an image that is no higher than its first rectangle are counted, and not kept.
    assert kept <= TileStream.needed_bytes(model.streams.tile_plan(tile), height, width, tile)
    if height > 2 * tile:
        assert kept >= 0.8 * TileStream.needed_bytes(model.streams.tile_plan(tile), height, width, tile)


def test_rows_that_wait_for_a_step_are_counted(model: Model) -> None:
    """With steps as high as the image nothing would be computed before its end, and all of it kept."""
    short, long = (
        model.images(ImageFormat(0, 100, order="rows", tile_pixels=step)).kept_bytes for step in (0, 1_000_000)
    )
    assert long > 1_000_000 * 100 * 4 > 100 * short
    assert model.images(ImageFormat(50, 100, order="rows", tile_pixels=1_000_000)).kept_bytes < 100 * short
    with pytest.raises(SignalError, match=r"would keep \d+ bytes for such an image in order 'rows'; 1000000 are"):
        model.images(ImageFormat(0, 100, order="rows", tile_pixels=1_000_000), max_bytes=1_000_000)


@pytest.mark.parametrize(
    "form",
    [
        ImageFormat(1200, 1200, order="raster", tile_pixels=600),
        ImageFormat(700, 700, order="any", tile_pixels=600),
        ImageFormat(0, 600, order="rows", tile_pixels=600),
        ImageFormat(600, 600),
    ],
    ids=lambda form: form.order,
)
def test_parts_that_take_too_much_memory_to_compute_are_refused(model: Model, form: ImageFormat) -> None:
    """Eight channels of 600 x 600 are 11.5 MB, where the image itself has 1.4 MB."""
    with pytest.raises(SignalError, match=r"would need \d{8} bytes .*; 10000000 are allowed, so that smaller parts"):
        model.images(form, max_bytes=10_000_000)
    model.images(form, max_bytes=100_000_000)


def test_an_image_in_more_tiles_than_anybody_looks_after_is_refused(model: Model) -> None:
    with pytest.raises(SignalError, match=r"has 5000 x 1 tiles of 2; in any order at most 4096 along an axis would"):
        model.images(ImageFormat(10_000, 2, order="any", tile_pixels=2))


def test_images_of_a_session_share_what_is_worked_out_of_their_tiles(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = model.images(ImageFormat(32, 32, order="any", tile_pixels=16))
    compiled: list[Any] = []
    compile_graph = StreamPlan.compile
    monkeypatch.setattr(StreamPlan, "compile", lambda plan, graph: compiled.append(graph) or compile_graph(plan, graph))
    counts = []
    for _ in range(2):
        for y in (0, 16):
            for x in (0, 16):
                session.put(0, y, x, np.zeros((1, 1, 16, 16), np.float32))
        counts.append(len(compiled))
    assert counts == [4, 4]


@pytest.mark.parametrize("order", ["raster", "any", "rows"])
def test_the_next_image_begins_while_another_stream_is_planned(
    model: Model, monkeypatch: pytest.MonkeyPatch, order: Any
) -> None:
    session = model.images(ImageFormat(16, 16, order=order, tile_pixels=16))
    begun, go_on = threading.Event(), threading.Event()

    def planned(*_: object, **__: object) -> Any:
        begun.set()
        assert go_on.wait(PATIENCE_S)
        raise SignalError("it was planned for nothing")

    monkeypatch.setattr(streaming, "prove_stream", planned)
    with ThreadPoolExecutor(2) as pool:
        try:
            other = pool.submit(model.images, ImageFormat(0, 99, order="rows"))
            assert begun.wait(PATIENCE_S)
            for index in range(2):
                result = pool.submit(session.put, 0, 0, 0, np.zeros((1, 1, 16, 16), np.float32)).result(PATIENCE_S)
                assert (result.image_index, result.finished_share) == (index, 1.0)
        finally:
            go_on.set()
        with pytest.raises(SignalError, match="for nothing"):
            other.result(PATIENCE_S)


def test_an_image_smaller_than_a_window_has_no_output_in_any_order(tmp_path: Path) -> None:
    network = parse(
        "(float[1,1,H,W] x) => (float[1,1,P,Q] y) { y = Conv<strides=[2,2]>(x, k) }",
        constants={"k": signal((1, 1, 2, 2), 3)},
    )
    onnx.save(network, tmp_path / "strided.onnx")
    model = wavetile.load(tmp_path / "strided.onnx")
    for order in IMAGE_ORDERS[:4]:
        result = model.images(ImageFormat(1, 1, order=order)).put(0, 0, 0, np.ones((1, 1, 1, 1), np.float32))
        assert sum(region.values.size for region in result.regions["y"]) == 0
        assert result.finished_share == 1.0
