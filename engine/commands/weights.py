"""Where the weights of the known models are, and loading models with a progress bar while weights are fetched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import WeightsError
from ..models.card import Card, NetworkCard, card_names, find_card
from ..models.catalogue import cached_path, locate, model_folders
from .console import bytes_progress

if TYPE_CHECKING:
    from ..models.model import Model


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where one network's file is."""

    state: str
    """"found" in a folder of WAVETILE_MODELS, "local": where its card says, "cached", "missing", or "wrong": there, but
    not the card's file."""
    path: Path | None
    problem: str = ""


def whereabouts(card: Card, network: NetworkCard) -> Whereabouts:
    """Look for the file of a card's network and check its sha256; fetches nothing."""
    try:
        path = locate(sha256=network.sha256, file=network.file, source=network.source, relative_to=card.folder)
    except WeightsError as error:
        return Whereabouts("wrong", None, str(error))
    if path is None:
        return Whereabouts("missing", None)
    if any(path.is_relative_to(folder) for folder in model_folders()):
        return Whereabouts("found", path)
    return Whereabouts("cached" if path == cached_path(sha256=network.sha256, file=network.file) else "local", path)


def is_here(card: Card) -> bool:
    """Whether all of a card's weights are on this machine."""
    return all(whereabouts(card, network).path for network in card.networks.values())


def names_here() -> list[str]:
    """The known models that can be loaded without fetching anything."""
    return [name for name in card_names() if is_here(find_card(name))]


def load_visibly(name_or_path: str, *, backend: str = "cpu", threads: int = 1) -> Model:
    """`wavetile.load`, with a bar if weights are fetched. Raises ModelError, BackendError."""
    from ..models.load import load

    with bytes_progress(f"fetching the weights of {name_or_path}") as progress:
        return load(name_or_path, backend=backend, threads=threads, progress=progress)
