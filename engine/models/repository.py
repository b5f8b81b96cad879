"""A folder of models in versions: FOLDER/NAME/VERSION/, with a card (.toml) or a network (.onnx) in each.

VERSION is a whole number from 1 on. A NAME without such folders is version 1 itself. Weights of a card may lie beside
it, as its `source`. Whatever else is there is left alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import ModelError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")

Mark = tuple[tuple[str, int, int], ...]
"""Path, bytes and time of modification in ns of each of a version's files."""


class ModelFolder:
    """The models of one folder. Nothing is kept here: each call looks anew."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def versions(self) -> dict[str, dict[int, Mark]]:
        """Model -> version -> a mark that changes with its files. Raises OSError: the folder can not be read."""
        found = {}
        for folder in sorted(self._root.iterdir()):
            if _NAME.fullmatch(folder.name) and folder.is_dir():
                versions = {number: _mark(path) for number, path in _version_folders(folder).items()}
                if versions := {number: mark for number, mark in versions.items() if mark}:
                    found[folder.name] = versions
        return found

    def path(self, name: str, version: int) -> Path:
        """The card of a version, or its network if it has no card. Raises ModelError: there is not one of them."""
        folder = _version_folders(self._root / name).get(version)
        if folder is None:
            raise ModelError(f"{self._root / name}: there is no version {version}")
        for suffix, what in ((".toml", "cards"), (".onnx", "networks and no card")):
            paths = sorted(folder.glob(f"*{suffix}"))
            if len(paths) == 1:
                return paths[0]
            if paths:
                raise ModelError(f"{folder} has {len(paths)} {what}; one card, or one network without, would work")
        raise ModelError(f"{folder} has neither a card (.toml) nor a network (.onnx); one of them would work")


def _version_folders(folder: Path) -> dict[int, Path]:
    """A model's versions, and where they are."""
    numbered = {int(one.name): one for one in folder.iterdir() if _VERSION.fullmatch(one.name) and one.is_dir()}
    return numbered or {1: folder}


def _mark(folder: Path) -> Mark:
    return tuple(sorted(_stamps(folder)))


def _stamps(folder: Path) -> Iterator[tuple[str, int, int]]:
    for where, _, names in os.walk(folder):
        for name in names:
            path = Path(where, name)
            try:
                about = path.stat()
            except FileNotFoundError:  # it has just gone
                continue
            yield str(path.relative_to(folder)), about.st_size, about.st_mtime_ns
