"""Where the tests find trained networks and recordings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def shared_folder(variable: str, name: str) -> Path:
    """Return the folder that an environment variable names, else `name` beside the repository; skip without either."""
    folder = Path(os.environ.get(variable) or REPOSITORY.parent / "shared" / name)
    if not folder.is_dir():
        pytest.skip(f"{variable} names no folder of {name}, and there is none at {folder}")
    return folder


@pytest.fixture(scope="session")
def models() -> Path:
    """Return the folder of trained networks, one subfolder each."""
    return shared_folder("WAVETILE_MODELS", "models")


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder of recordings and images."""
    return shared_folder("WAVETILE_DATA", "data")
