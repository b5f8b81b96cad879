"""The cache: where it is on each platform, and that its files are whole."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from wavetile.kernels.cache import CACHE_VARIABLE, cache_folder, write_whole


@pytest.mark.parametrize(
    ("platform", "variables", "below_home"),
    [
        ("linux", {}, ".cache/wavetile"),
        ("linux", {"XDG_CACHE_HOME": "{home}/elsewhere"}, "elsewhere/wavetile"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, ".cache/wavetile"),
        ("darwin", {"XDG_CACHE_HOME": "{home}/elsewhere"}, "Library/Caches/wavetile"),
        ("win32", {"LOCALAPPDATA": "{home}/local"}, "local/wavetile"),
        ("win32", {"LOCALAPPDATA": ""}, "AppData/Local/wavetile"),
    ],
)
def test_the_platforms_cache_folder(
    platform: str, variables: dict[str, str], below_home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (CACHE_VARIABLE, "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(home=tmp_path))
    assert cache_folder() == tmp_path / below_home


def test_a_file_is_there_wholly_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder" / "file.json"
    write_whole(path, b"old")

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:1])
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="no space left"):
        write_whole(path, b"new")
    assert [(one.name, one.read_bytes()) for one in path.parent.iterdir()] == [("file.json", b"old")]
