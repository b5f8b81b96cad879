"""Image files that are broken off, can not be read or can not be written: what is left, and what is said."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.clients.image_regions import ENDINGS, HEIGHT, WIDTH, pixels_of, write_in_regions
from wavetile.clients.images import Box, create_image, open_image
from wavetile.engine.errors import SignalError, WavetileError

pytest.importorskip("tifffile", reason="the extra `images` is not installed")
import tifffile
import zarr
from PIL import Image


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_finished_can_be_seen_and_is_kept(tmp_path: Path, ending: str) -> None:
    pixels = pixels_of((HEIGHT, WIDTH, 1)) + 1
    path = tmp_path / f"mask{ending}"
    growing = tmp_path / f"mask.partial{ending.removesuffix('.gz')}"
    if ending == ".ome.zarr":
        growing = tmp_path / "mask.ome.partial.zarr"
    with (  # noqa: PT012 - the error must come in the middle
        pytest.raises(RuntimeError, match="the server is gone") as caught,
        create_image(path, pixels.shape) as sink,
    ):
        sink.write(pixels[:30, :40], 0, 0)
        with open_image(growing) as source:
            assert np.array_equal(source.read(Box(0, 0, 30, 40)), pixels[:30, :40])
            assert not source.read(Box(30, 0, 30, 40)).any()
        raise RuntimeError("the server is gone")
    assert caught.value.__notes__ == [f"what was finished is in {growing}"]
    assert not path.exists()
    with open_image(growing) as source:
        assert np.array_equal(source.read(Box(0, 0, 30, 40)), pixels[:30, :40])


@pytest.mark.parametrize("ending", [*ENDINGS, ".png"])
def test_nothing_is_left_of_what_had_not_begun(tmp_path: Path, ending: str) -> None:
    with pytest.raises(RuntimeError), create_image(tmp_path / f"mask{ending}", (8, 8, 1)):
        raise RuntimeError("the server is gone")
    assert not list(tmp_path.iterdir())


def test_missing_pixels_are_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(
            WavetileError, match=r"mask\.tif: 32 pixels are missing or were written twice; what was finished"
        ),
        create_image(tmp_path / "mask.tif", (8, 8, 1)) as sink,
    ):
        sink.write(np.ones((4, 8, 1), np.float32))
    assert [one.name for one in tmp_path.iterdir()] == ["mask.partial.tif"]


def test_a_tiff_above_4_gb_is_a_bigtiff(tmp_path: Path) -> None:
    side = 70_000  # 4.9 GB, of which a page is written
    with (
        pytest.raises(WavetileError, match="pixels are missing"),
        create_image(tmp_path / "slide.tif", (side, side, 1), np.uint8) as sink,
    ):
        sink.write(np.full((16, 16, 1), 7, np.uint8), side - 16, side - 16)
    growing = tmp_path / "slide.partial.tif"
    assert growing.stat().st_blocks * 512 < 2 * 16 * side  # the rows in which something is, and the header
    with open_image(growing) as source:
        assert source.shape == (side, side, 1)
        assert np.array_equal(np.unique(source.read(Box(side - 16, side - 16, 16, 16))), [7])
    growing.unlink()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.tif", "there is no such file"),
        ("text.tif", "text.tif: "),
        ("text.png", "cannot identify image file"),
        ("text.nii", "text.nii: "),
        ("text.nii.gz", "text.nii.gz: "),
        ("text.npy", "text.npy: "),
        ("text.bmp", r"no image has the ending '\.bmp'; \.npy"),
        ("empty.zarr", "empty.zarr: "),
        ("group.zarr", "without OME-NGFF's multiscales"),
        ("complex.npy", "its values are complex64; whole or floating-point numbers would work"),
        ("one.npy", r"an image of shape \[4\]; \[height, width\]"),
        ("batch.npy", r"an image of shape \[2, 1, 4, 4\]"),
        ("two.tif", r"axes ZCYXC|axes"),
        ("palette.png", "palette"),
        ("lzw.tif", "imagecodecs"),
        ("times.tif", "has 3 time points"),
    ],
)
def test_what_can_not_be_read_is_said(tmp_path: Path, name: str, reason: str) -> None:
    if name.startswith("text"):
        (tmp_path / name).write_text("no image")
    (tmp_path / "empty.zarr").mkdir()
    zarr.create_group(tmp_path / "group.zarr")
    np.save(tmp_path / "complex.npy", np.zeros((4, 4), np.complex64))
    np.save(tmp_path / "one.npy", np.zeros(4))
    np.save(tmp_path / "batch.npy", np.zeros((2, 1, 4, 4)))
    tifffile.imwrite(
        tmp_path / "two.tif", np.zeros((2, 16, 16, 3), np.uint8), photometric="rgb", metadata={"axes": "CYXS"}
    )
    tifffile.imwrite(
        tmp_path / "times.tif", np.zeros((3, 16, 16), np.uint8), photometric="minisblack", metadata={"axes": "TYX"}
    )
    Image.fromarray(np.zeros((4, 4), np.uint8)).convert("P").save(tmp_path / "palette.png")
    if name == "lzw.tif":
        if importlib.util.find_spec("imagecodecs") is not None:
            pytest.skip("imagecodecs is installed: it decodes this")
        Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / "lzw.tif", compression="tiff_lzw")
    with pytest.raises(SignalError, match=reason):
        open_image(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "reason"),
    [
        ("mask.jpg", (8, 8, 1), np.uint8, r"an image is written as \.npy"),
        ("mask", (8, 8, 1), np.uint8, "not without an ending"),
        ("nowhere/mask.tif", (8, 8, 1), np.uint8, "there is no folder"),
        ("mask.tif", (8, 8), np.uint8, r"\[height, width, channels\] would work"),
        ("mask.npy", (8, 8, 1), np.complex64, "complex64"),
        ("mask.png", (8, 8, 2), np.uint8, r"PNG holds no image of \[8, 8, 2\]"),
        ("mask.png", (8, 8, 1), np.int32, "not int32"),
        ("mask.nii", (8, 8, 1), np.float16, "float32 would work"),
        ("taken.zarr", (8, 8, 1), np.uint8, "is there already and is no Zarr"),
    ],
)
def test_what_can_not_be_written_is_said(
    tmp_path: Path, name: str, shape: tuple[int, ...], dtype: type, reason: str
) -> None:
    (tmp_path / "taken.zarr").mkdir()
    (tmp_path / "taken.zarr" / "letters.txt").write_text("mine")
    with pytest.raises(SignalError, match=reason):
        create_image(tmp_path / name, shape, dtype)
    assert [one.name for one in tmp_path.iterdir()] == ["taken.zarr"]


def test_regions_outside_are_refused(tmp_path: Path) -> None:
    write_in_regions(tmp_path / "image.tif", pixels_of((8, 9, 1)))
    with open_image(tmp_path / "image.tif") as source:
        for box in (Box(0, 0, 9, 9), Box(-1, 0, 2, 2), Box(0, 0, 0, 2), Box(0, 0, 2, 2, z=1)):
            with pytest.raises(SignalError, match=r"pixels .* of an image of 8 x 9 x 1"):
                source.read(box)
    with create_image(tmp_path / "mask.tif", (8, 9, 1), np.uint8) as sink:
        for pixels, y, reason in (
            (np.zeros((2, 2, 1), np.uint8), 7, "pixels 0:1 x 7:9 x 0:2 for an image of 8 x 9 x 1"),
            (np.zeros((2, 2, 2), np.uint8), 0, "pixels of shape"),
            (np.zeros((2, 2), np.uint8), 0, "pixels of shape"),
            (np.zeros((2, 2, 1), np.float32), 0, "pixels of type float32 for an image of uint8"),
        ):
            with pytest.raises(SignalError, match=reason):
                sink.write(pixels, y)
        sink.write(np.zeros((8, 9, 1), np.uint8))


def test_a_missing_library_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_in_regions(tmp_path / "image.tif", pixels_of((8, 9, 1)))
    monkeypatch.setitem(sys.modules, "tifffile", None)
    for use in (lambda: open_image(tmp_path / "image.tif"), lambda: create_image(tmp_path / "mask.tif", (8, 8, 1))):
        with pytest.raises(
            SignalError, match=r"needs tifffile, which is not installed: pip install 'wavetile\[images\]'"
        ):
            use()
