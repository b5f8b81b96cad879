"""Loads models: a name or a path goes in, a checked model comes out."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path

from ..errors import BackendError, ModelError
from ..graph import load_network
from ..plan import named_backend
from .card import PRODUCT_OPERANDS, WEIGHT_STORAGES, ProductOperands, WeightStorage, find_card, read_card
from .catalogue import weights_path
from .fetch import Progress
from .model import Model


def load(
    name_or_path: str | PathLike[str],
    *,
    backend: str = "cpu",
    threads: int = 1,
    weights: WeightStorage | None = None,
    products: ProductOperands | None = None,
    called: str | None = None,
    progress: Progress | None = None,
) -> Model:
    """Load a model, and refuse one that can not be computed as far as that shows without a signal (`Model.check`).

    Args:
        name_or_path: the name of a card that comes with wavetile, such as "silero_vad"; the path of a card of your own
            (.toml); or the path of a network (.onnx), which can be run, but for want of a card not streamed.
        backend: "cpu"; "cuda", an NVIDIA card (extra `cuda`, or `cuda12`); or "reference": plain NumPy, slow, the
            definition of what every kernel computes.
        threads: how many cores `run` may use. A network of at least 20 million multiply-adds is computed by all of
            them together, with the same bits as by one. Of smaller ones, that many calls compute at the same time, each
            on one core; more calls wait for their turn. Streams are computed in the thread that calls them, and back
            end "reference" on one core.
        weights: "float16" keeps the weights of products and recurrent layers in half the memory, each rounded by at
            most one part in 2048; "float32" as they are. None: as the card says for each network, float32 without one.
        products: what convolutions round their operands to on the back end "cuda", so that tensor cores multiply them:
            "tf32" and "float16" by at most one part in 2048, "bfloat16" in 256; sums are float32. "float32", and every
            other back end, rounds nothing. None: as the card says for each network, float32 without one.
        called: the model's name; None: its card's, or a network's file's.
        progress: called with (bytes so far, bytes in all or None) while weights are being fetched.

    Raises:
        ModelError: there is no such model, or it can not be used (CardError, WeightsError, LimitError,
            UnsupportedError say why).
        BackendError: the back end is not there, or its card has no room; or `threads` is not a number of threads.
    """
    _check_backend(backend, threads)
    if weights not in (None, *WEIGHT_STORAGES):
        raise ModelError(f"weights is {weights!r}; one of {', '.join(WEIGHT_STORAGES)} would work")
    if products not in (None, *PRODUCT_OPERANDS):
        raise ModelError(f"products is {products!r}; one of {', '.join(PRODUCT_OPERANDS)} would work")
    text = fspath(name_or_path)
    if text.endswith(".onnx"):
        network = load_network(Path(text))
        if called is not None:
            network = replace(network, name=called)
        model = Model(
            network.name,
            {network.name: network},
            None,
            backend=backend,
            threads=threads,
            weights=weights or "float32",
            products=products or "float32",
        )
        model.check()
        return model
    card = read_card(Path(text)) if text.endswith(".toml") else find_card(text)
    if called is not None:
        card = replace(card, name=called)
    chosen = {key: value for key, value in (("weights", weights), ("products", products)) if value is not None}
    card = replace(card, networks={name: replace(one, **chosen) for name, one in card.networks.items()})
    networks = {name: load_network(weights_path(card, one, progress)) for name, one in card.networks.items()}
    model = Model(card.name, networks, card, backend=backend, threads=threads)
    model.check()
    return model


def _check_backend(backend: str, threads: int) -> None:
    named_backend(backend)
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise BackendError(f"threads is {threads!r}; a whole number of at least 1 would work")
