"""What a path's ending says, and libraries that come with the extra `images`."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...engine.errors import SignalError


def ending_of(path: Path, endings: Iterable[str]) -> str:
    """The longest of `endings` that the path's name has, in any case; empty where it has none."""
    return max((ending for ending in endings if path.name.lower().endswith(ending)), key=len, default="")


def partial_path(path: Path, ending: str, growing: str | None = None) -> Path:
    """Where a file grows: "mask.tif" in "mask.partial.tif", with the ending by which viewers choose how to read.

    `growing` is the ending meanwhile, where it is another.
    """
    return path.with_name(f"{path.name[: -len(ending)]}.partial{growing or ending}")


def library(name: str, path: Path) -> Any:
    """Import a library of the extra `images`. Raises SignalError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        distribution = {"PIL.Image": "Pillow"}.get(name, name)
        raise SignalError(
            f"{path}: this format needs {distribution}, which is not installed: pip install 'wavetile[images]'; "
            ".npy works without it"
        ) from None
