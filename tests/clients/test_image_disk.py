"""Disks that are full and places where nothing can be written: an error by name, and what was finished stays."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from tests.clients.image_regions import ENDINGS
from wavetile.clients.images import check_output, create_image, open_image
from wavetile.engine.errors import SignalError

pytest.importorskip("tifffile", reason="the extra `images` is not installed")

FULL = "can not be written: No space left on device"
MAPPED = [ending for ending in ENDINGS if "zarr" not in ending]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system does not reserve places in files")
@pytest.mark.parametrize("ending", MAPPED)
def test_a_full_disk_is_an_error_and_not_the_end_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """Writing through a map of a file that the disk can not hold is a bus error."""
    reserve, reserved = os.posix_fallocate, []

    def fallocate(descriptor: int, start: int, size: int) -> None:
        if reserved:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        reserve(descriptor, start, size)
        reserved.append((start, size))

    monkeypatch.setattr(os, "posix_fallocate", fallocate)
    path = tmp_path / f"mask{ending}"
    with (  # noqa: PT012 - the disk must fill in the middle
        pytest.raises(SignalError, match=FULL) as caught,
        create_image(path, (20, 12, 1)) as sink,
    ):
        sink.write(np.ones((10, 12, 1), np.float32))
        sink.write(np.ones((10, 12, 1), np.float32), 10)
    growing = tmp_path / f"mask.partial{ending.removesuffix('.gz')}"
    assert caught.value.__notes__ == [f"what was finished is in {growing}"]
    assert reserved[0][1] >= 10 * 12 * 4
    with open_image(growing) as source:
        assert source.read().sum() == 120


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_reserved_is_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """A region in the last rows: its own bytes, up to the end of the file and no farther."""
    reserved = []
    monkeypatch.setattr(os, "posix_fallocate", lambda _, start, size: reserved.append((start, size)), raising=False)
    path = tmp_path / f"mask{ending}"
    with create_image(path, (20, 12, 1)) as sink:
        sink.write(np.ones((19, 12, 1), np.float32))
        sink.write(np.full((1, 5, 1), 7, np.float32), 19)
        sink.write(np.full((1, 7, 1), 8, np.float32), 19, 5)
        size = sink.partial.stat().st_size
    if ending in MAPPED:
        assert [length for _, length in reserved] == [19 * 12 * 4, 5 * 4, 7 * 4]
        assert reserved[0][0] + 20 * 12 * 4 == reserved[2][0] + 7 * 4 <= size
    else:
        assert not reserved


@pytest.mark.parametrize("ending", [*ENDINGS, ".png"])
def test_a_disk_that_is_full_at_the_end_is_told_with_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / f"mask{ending}"
    with pytest.raises(SignalError, match=FULL) as caught, create_image(path, (8, 8, 1)) as sink:  # noqa: PT012
        sink.write(np.ones((8, 8, 1), np.float32))
        monkeypatch.setattr("shutil.copyfileobj", full)
        monkeypatch.setattr(Path, "replace", full)
    (note,) = caught.value.__notes__
    assert note == ("nothing was kept" if ending == ".png" else f"what was finished is in {sink.partial}")
    assert [one.name for one in tmp_path.iterdir()] == ([] if ending == ".png" else [sink.partial.name])


@pytest.mark.parametrize("ending", [*ENDINGS, ".png"])
def test_places_where_nothing_can_be_written_are_told(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"folder{ending}").mkdir()
    with pytest.raises(SignalError, match=r"is a folder; another name would work|is there already and is no Zarr"):
        create_image(tmp_path / f"folder{ending}", (8, 8, 1))
    if "zarr" not in ending:
        with pytest.raises(SignalError, match="is a folder"):
            check_output(tmp_path / f"folder{ending}")
    nowhere = Path("/proc/self/fdinfo")  # a folder in which nobody may write
    if not nowhere.is_dir():
        pytest.skip("this system has no folder in which nobody may write")
    with (
        pytest.raises(SignalError, match=r"mask.*: can not be written: "),
        create_image(nowhere / f"mask{ending}", (8, 8, 1)) as sink,
    ):
        sink.write(np.ones((8, 8, 1), np.float32))


@pytest.mark.parametrize(("wide", "narrow"), [("uint16", "uint8"), ("int64", "int32"), ("float32", "uint8")])
def test_pixels_that_would_wrap_are_refused(tmp_path: Path, wide: str, narrow: str) -> None:
    with create_image(tmp_path / "mask.npy", (8, 8, 1), np.dtype(narrow)) as sink:
        with pytest.raises(SignalError, match=f"pixels of type {wide} for an image of {narrow}"):
            sink.write(np.full((8, 8, 1), 300, np.dtype(wide)))
        sink.write(np.zeros((8, 8, 1), np.uint8))
