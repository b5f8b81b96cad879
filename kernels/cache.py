"""Where wavetile keeps what it can make or fetch again: compiled kernels, certificates and weights."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

CACHE_VARIABLE = "WAVETILE_CACHE"


def cache_folder() -> Path:
    """Return wavetile's cache folder, which need not exist yet.

    `WAVETILE_CACHE` if set; else `wavetile` below the platform's cache folder: `XDG_CACHE_HOME` or ~/.cache
    (XDG Base Directory Specification), ~/Library/Caches on macOS, `LOCALAPPDATA` on Windows.
    """
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named).expanduser()
    if sys.platform == "win32":
        platform_cache = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        platform_cache = Path.home() / "Library" / "Caches"
    else:
        # The XDG specification has a relative XDG_CACHE_HOME ignored.
        named = os.environ.get("XDG_CACHE_HOME", "")
        platform_cache = Path(named) if Path(named).is_absolute() else Path.home() / ".cache"
    return platform_cache / "wavetile"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, and its folder, so that others see either all of it or nothing. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
