"""Where the tests find trained networks and recordings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from wavetile import Model

REPOSITORY = Path(__file__).resolve().parent.parent


MODELS_VARIABLE = "WAVETILE_MODELS"
DATA_VARIABLE = "WAVETILE_DATA"


def shared_folder(variable: str, name: str) -> Path:
    """Return the folder that an environment variable names, else `name` beside the repository, which may not be."""
    return Path(os.environ.get(variable) or REPOSITORY.parent / "shared" / name)


def present(folder: Path, variable: str) -> Path:
    """Return the folder; skip where there is none."""
    if not folder.is_dir():
        pytest.skip(f"{variable} names no folder, and there is none at {folder}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def models_folder() -> Iterator[Path]:
    """Have every test, and what it starts, look for weights where the tests' trained networks are, if they are here."""
    folder = shared_folder(MODELS_VARIABLE, "models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODELS_VARIABLE, str(folder))
        yield folder


@pytest.fixture(scope="session")
def models(models_folder: Path) -> Path:
    """Return the folder of trained networks, one subfolder each."""
    return present(models_folder, MODELS_VARIABLE)


@pytest.fixture(scope="session")
def trained(models: Path) -> Callable[[str], Model]:
    """Return a function that loads a known model; skips where its networks are not among the trained ones."""
    import wavetile
    from wavetile.engine.models.card import find_card

    def load(name: str) -> Model:
        for network in find_card(name).networks.values():
            if not (models / network.file).is_file():
                pytest.skip(f"{network.file} is not among the trained networks")
        return wavetile.load(name)

    return load


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder of recordings and images."""
    return present(shared_folder(DATA_VARIABLE, "data"), DATA_VARIABLE)
