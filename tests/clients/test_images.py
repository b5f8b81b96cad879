"""Image files: what is written in regions is read back in regions, in every format, with its place in space."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.clients.image_regions import ENDINGS, HEIGHT, WIDTH, pixels_of, write_in_regions
from wavetile.clients.images import Box, create_image, open_image
from wavetile.clients.images.nifti import NiftiSource
from wavetile.clients.images.ome_zarr import ZarrSource
from wavetile.clients.images.tiff import TiffSource
from wavetile.engine.errors import SignalError

pytest.importorskip("tifffile", reason="the extra `images` is not installed")
import nibabel
import tifffile
import zarr
from PIL import Image


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(
    "shape", [(HEIGHT, WIDTH, 1), (HEIGHT, WIDTH, 3), (5, HEIGHT, WIDTH, 1), (3, 20, 30, 2)], ids=str
)
def test_regions_round_trip(tmp_path: Path, ending: str, dtype: type, shape: tuple[int, ...]) -> None:
    pixels = pixels_of(shape, dtype)
    path = tmp_path / f"image{ending}"
    write_in_regions(path, pixels)
    with open_image(path) as source:
        assert (source.shape, source.dtype) == (shape, dtype)
        assert source.axes == ("depth", "height", "width", "channels")[-len(shape) :]
        assert np.array_equal(source.read(), pixels)
        box = Box(y=7, x=11, height=9, width=13, z=1, depth=2) if source.is_volume else Box(7, 11, 9, 13)
        part = source.read(box)
        assert part.dtype == dtype
        assert np.array_equal(part, pixels[1:3, 7:16, 11:24] if source.is_volume else pixels[7:16, 11:24])
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_takes_probabilities_and_bytes(tmp_path: Path, channels: int) -> None:
    numbers = pixels_of((10, 12, channels), np.uint8)
    write_in_regions(tmp_path / "bytes.png", numbers)
    write_in_regions(tmp_path / "probabilities.png", (numbers / 255).astype(np.float32))
    for name in ("bytes.png", "probabilities.png"):
        with open_image(tmp_path / name) as source:
            assert np.array_equal(source.read(), numbers)
    with (
        pytest.raises(SignalError, match=r"PNG takes values from 0 to 1, not -1 to 0; \.tif or \.npy would work"),
        create_image(tmp_path / "wrong.png", (10, 12, 1)) as sink,
    ):
        sink.write(np.linspace(-1, 0, 120, dtype=np.float32).reshape(10, 12, 1))
    assert not list(tmp_path.glob("wrong*"))


def test_a_bilevel_image_is_of_bytes(tmp_path: Path) -> None:
    truth = pixels_of((20, 24)) % 3 == 0
    Image.fromarray(truth).save(tmp_path / "truth.png")
    tifffile.imwrite(tmp_path / "truth.tif", truth)
    for name in ("truth.png", "truth.tif"):
        with open_image(tmp_path / name) as source:
            assert source.dtype == np.uint8
            assert np.array_equal(source.read()[..., 0], truth)


@pytest.mark.parametrize(
    ("axes", "shape", "how"),
    [
        ("YX", (300, 500), {"tile": (64, 128)}),
        ("YXS", (300, 500, 3), {"tile": (64, 128), "photometric": "rgb"}),
        ("SYX", (3, 300, 500), {"rowsperstrip": 64, "photometric": "rgb", "planarconfig": "separate"}),
        ("CYX", (3, 300, 500), {"tile": (64, 128), "photometric": "minisblack"}),
        ("ZYX", (3, 300, 500), {"rowsperstrip": 64, "photometric": "minisblack"}),
        ("ZCYX", (4, 2, 300, 500), {"tile": (64, 128), "photometric": "minisblack"}),
        ("QYX", (3, 300, 500), {"tile": (64, 128), "photometric": "minisblack"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiffs_of_other_writers(
    tmp_path: Path, axes: str, shape: tuple[int, ...], how: dict[str, object], byteorder: str, compression: str | None
) -> None:
    written = pixels_of(shape, np.uint16)
    path = tmp_path / "image.tif"
    metadata = None if axes == "QYX" else {"axes": axes}
    tifffile.imwrite(path, written, compression=compression, byteorder=byteorder, metadata=metadata, **how)  # type: ignore[arg-type]
    order = [axes.replace("S", "C").replace("Q", "Z").find(letter) for letter in "ZYXC"]
    expected = written.transpose([index for index in order if index >= 0])
    if order[3] < 0:
        expected = expected[..., None]
    with open_image(path) as source:
        assert source.shape == expected.shape
        assert np.array_equal(source.read(), expected)
        box = Box(y=50, x=100, height=100, width=60, z=1, depth=2) if source.is_volume else Box(50, 100, 100, 60)
        assert np.array_equal(
            source.read(box), expected[..., 50:150, 100:160, :][1:3] if source.is_volume else expected[50:150, 100:160]
        )


@pytest.mark.parametrize("side", [100, 128, 300])
def test_segments_of_a_compressed_tiff_are_decoded_once(tmp_path: Path, side: int) -> None:
    pixels = pixels_of((1000, 800), np.uint16)
    tifffile.imwrite(tmp_path / "image.tif", pixels, tile=(128, 128), compression="zlib")
    with open_image(tmp_path / "image.tif") as source:
        assert isinstance(source, TiffSource)
        before = source.decoded_segments
        source.read(Box(y=130, x=130, height=100, width=100))
        assert source.decoded_segments == before + 1
    with open_image(tmp_path / "image.tif") as source:
        assert isinstance(source, TiffSource)
        for y in range(0, 1000, side):
            for x in range(0, 800, side):
                tile = source.read(Box(y, x, min(side, 1000 - y), min(side, 800 - x)))
                assert np.array_equal(tile[..., 0], pixels[y : y + side, x : x + side])
        assert source.decoded_segments == 8 * 7


def test_slices_of_a_compressed_nifti_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = pixels_of((6, 40, 50, 1))
    write_in_regions(tmp_path / "volume.nii.gz", pixels)
    with open_image(tmp_path / "volume.nii.gz") as source:
        assert isinstance(source, NiftiSource)
        decoded = []
        select = source._select
        monkeypatch.setattr(source, "_select", lambda box: (decoded.append(box), select(box))[1])
        for z in range(0, 6, 2):
            for y in range(0, 40, 20):
                for x in range(0, 50, 20):
                    box = Box(y, x, 20, min(20, 50 - x), z, 2)
                    assert np.array_equal(source.read(box), pixels[box.slices])
        assert decoded == [Box(0, 0, 40, 50, z) for z in range(6)]


def test_a_nifti_keeps_its_place_in_space(tmp_path: Path) -> None:
    affine = np.array([[0, -2.0, 0, 10], [1.5, 0, 0, -20], [0, 0, 3, 5], [0, 0, 0, 1]])
    stored = pixels_of((9, 8, 6), np.int16)  # columns, rows, slices
    image = nibabel.Nifti1Image(stored, affine)
    image.header.set_slope_inter(0.5, -3)
    image.to_filename(tmp_path / "scan.nii.gz")
    with open_image(tmp_path / "scan.nii.gz") as source:
        assert (source.shape, source.dtype) == ((6, 8, 9, 1), np.float32)
        expected = np.asarray(nibabel.load(tmp_path / "scan.nii.gz").dataobj)  # type: ignore[attr-defined]
        assert np.array_equal(source.read()[..., 0], expected.transpose(2, 1, 0))
        assert source.geometry.spacing_mm == (3.0, 2.0, 1.5)
        write_in_regions(tmp_path / "mask.nii", np.ones((6, 8, 9, 1), np.uint8), like=source)
        write_in_regions(tmp_path / "coarse.nii.gz", np.ones((3, 4, 9, 1), np.uint8), like=source)
    assert np.array_equal(nibabel.load(tmp_path / "mask.nii").affine, affine)  # type: ignore[attr-defined]
    coarse = nibabel.load(tmp_path / "coarse.nii.gz")
    # Of the source's columns 0 and 1 the coarse one's centre lies between; the corners of the field stay.
    corner = np.array([-0.5, -0.5, -0.5, 1])
    assert np.allclose(coarse.affine @ corner, affine @ corner)  # type: ignore[attr-defined]
    assert np.allclose(coarse.affine[:3, :3], affine[:3, :3] * [1, 2, 2])  # type: ignore[attr-defined]


def test_the_size_of_pixels_goes_from_format_to_format(tmp_path: Path) -> None:
    slide = pixels_of((40, 60), np.uint8)
    per_cm = (10 / 0.0005, 10 / 0.00025)  # of pixels 0.5 um wide and 0.25 um high
    tifffile.imwrite(tmp_path / "slide.tif", slide, resolution=per_cm, resolutionunit="CENTIMETER")
    with open_image(tmp_path / "slide.tif") as source:
        assert source.geometry.spacing_mm == pytest.approx((0.00025, 0.00025, 0.0005))
        write_in_regions(tmp_path / "mask.tif", slide[..., None], like=source)
        write_in_regions(tmp_path / "mask.ome.zarr", slide[..., None], like=source)
        write_in_regions(tmp_path / "half.nii", slide[::2, ::2, None], like=source)
    for name in ("mask.tif", "mask.ome.zarr"):
        with open_image(tmp_path / name) as again:
            assert again.geometry.spacing_mm == pytest.approx((0.00025, 0.00025, 0.0005)), name
    with open_image(tmp_path / "half.nii") as half:
        assert half.geometry.spacing_mm == pytest.approx((0.00025, 0.0005, 0.001))
    stack = pixels_of((3, 40, 60), np.uint8)
    metadata = {"axes": "ZYX", "spacing": 2.0, "unit": "um"}
    tifffile.imwrite(tmp_path / "stack.tif", stack, imagej=True, resolution=(2, 4), metadata=metadata)
    with open_image(tmp_path / "stack.tif") as source:
        assert source.geometry.spacing_mm == pytest.approx((0.002, 0.00025, 0.0005))
    tifffile.imwrite(tmp_path / "unknown.tif", slide)
    with open_image(tmp_path / "unknown.tif") as source:
        assert source.geometry.spacing_mm is None


def test_ome_zarr_has_the_metadata_of_its_specification(tmp_path: Path) -> None:
    path = tmp_path / "mask.ome.zarr"
    write_in_regions(path, pixels_of((4, HEIGHT, WIDTH, 2)))
    group = json.loads((path / "zarr.json").read_text())
    assert (group["zarr_format"], group["node_type"]) == (3, "group")
    ome = group["attributes"]["ome"]
    assert ome["version"] == "0.5"
    (image,) = ome["multiscales"]
    space = [{"name": name, "type": "space"} for name in "zyx"]
    assert image["axes"] == [{"name": "c", "type": "channel"}, *space]
    (level,) = image["datasets"]
    assert level == {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0, 1.0, 1.0, 1.0]}]}
    array = zarr.open_array(path / "0", mode="r")
    assert array.shape == (2, 4, HEIGHT, WIDTH)
    assert array.chunks == (1, 1, 32, 32)
    assert array.metadata.to_dict()["dimension_names"] == ("c", "z", "y", "x")
    write_in_regions(path, np.zeros((8, 8, 1), np.uint8))  # a finished image takes the place of the one before
    with open_image(path) as source:
        assert source.shape == (8, 8, 1)


def test_ome_zarr_of_other_writers(tmp_path: Path) -> None:
    pixels = pixels_of((2, 3, 4, 40, 50), np.uint16)
    group = zarr.create_group(tmp_path / "old.zarr", zarr_format=2)
    group.create_array("full", shape=pixels.shape, chunks=(1, 1, 2, 16, 16), dtype=pixels.dtype)[:] = pixels
    scale = {"type": "scale", "scale": [1, 1, 2, 0.5, 0.25]}
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}, *axes],
            "datasets": [{"path": "full", "coordinateTransformations": [scale]}],
        }
    ]
    with pytest.raises(SignalError, match=r"has 2 time points; open_image\(path, time=0\) takes the first"):
        open_image(tmp_path / "old.zarr")
    with open_image(tmp_path / "old.zarr", time=1) as source:
        assert source.shape == (4, 40, 50, 3)
        assert source.geometry.spacing_mm == pytest.approx((0.002, 0.0005, 0.00025))
        assert np.array_equal(source.read(), pixels[1].transpose(1, 2, 3, 0))
    zarr.create_array(tmp_path / "named.zarr", data=pixels[0], chunks=(1, 2, 16, 16), dimension_names=list("czyx"))
    with open_image(tmp_path / "named.zarr") as source:
        assert np.array_equal(source.read(), pixels[0].transpose(1, 2, 3, 0))
    zarr.create_array(tmp_path / "bare.zarr", data=pixels[0, 0], chunks=(1, 16, 16))
    with pytest.raises(SignalError, match="without names of its axes"):
        open_image(tmp_path / "bare.zarr")


def test_chunks_deeper_than_a_slice_are_decoded_once(tmp_path: Path) -> None:
    pixels = pixels_of((8, 40, 50), np.uint16)
    zarr.create_array(tmp_path / "deep.zarr", data=pixels, chunks=(4, 16, 16), dimension_names=list("zyx"))
    with open_image(tmp_path / "deep.zarr") as source:
        for z in range(8):
            for y in range(0, 40, 20):
                for x in range(0, 50, 25):
                    box = Box(y, x, 20, 25, z)
                    assert np.array_equal(source.read(box)[..., 0], pixels[box.slices])
        assert isinstance(source, ZarrSource)
        assert source.decoded_chunks == 2 * 3 * 4


@pytest.mark.parametrize("shape", [(70, 90, 2), (17, 70, 90, 1)], ids=str)
def test_a_continued_image_is_mirrored(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pixels = pixels_of(shape, np.uint16)
    write_in_regions(tmp_path / "image.tif", pixels)
    *sizes, channels = shape
    padded = [-(-size // 32) * 32 for size in sizes]
    edges = [(0, new - old) for old, new in zip(sizes, padded, strict=True)]
    expected = np.pad(pixels, [*edges, (0, 0)], mode="symmetric")
    with open_image(tmp_path / "image.tif", multiple=32) as source:
        assert source.shape == expected.shape
        assert np.array_equal(source.read(), expected)
        z = 15 if source.is_volume else 0
        depth = 9 if source.is_volume else 1
        for box in (Box(40, 80, 50, 16, z, depth), Box(71, 3, 20, 90, z, depth), Box(90, 91, 6, 5)):
            assert np.array_equal(source.read(box), expected[box.slices if source.is_volume else box.slices[1:]])
        halves = (*(size // 2 for size in padded), channels)
        assert source.fitted(halves)[0] == (*(-(-size // 2) for size in sizes), channels)
        assert np.array_equal(source.original.read(), pixels)
    with pytest.raises(SignalError, match="too few to be mirrored up to multiples of 256"):
        open_image(tmp_path / "image.tif", multiple=256)
