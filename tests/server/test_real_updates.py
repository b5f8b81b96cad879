"""A trained network in versions, from a real folder: streams keep their bits over an update, which leaves nothing."""

from __future__ import annotations

import gc
import shutil
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import wavetile
from tests.server.running import audio_of, exchange, serving, until
from tests.server.shelf import rest_of, versions
from wavetile.clients import StreamClient, StreamResult
from wavetile.engine.commands.repository import FolderRepository
from wavetile.engine.models.card import CARDS_FOLDER
from wavetile.engine.server import Loaded

NAME, HOP = "gtcrn", 256


class Watched(FolderRepository):
    """Says what is left of what was loaded."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, backend="cpu", threads=1)
        self.left: list[weakref.ref[Any]] = []

    def load(self, name: str, version: int) -> Loaded:
        loaded = super().load(name, version)
        model: Any = getattr(loaded.stream, "model")  # noqa: B009 - of the command's own class
        self.left += [weakref.ref(one) for one in (model, model.stream_spec, model.executor()._pool)]
        return loaded


async def test_a_trained_network_is_changed_under_a_stream(
    tmp_path: Path, trained: Callable[[str], wavetile.Model]
) -> None:
    samples = np.random.default_rng(4).uniform(-0.3, 0.3, 60 * HOP).astype(np.float32)
    with trained(NAME).stream() as alone:
        pieces = [alone.process(samples).samples, alone.flush().samples]
    expected = np.concatenate([piece for piece in pieces if piece is not None])
    (tmp_path / NAME / "1").mkdir(parents=True)
    shutil.copy(CARDS_FOLDER / f"{NAME}.toml", tmp_path / NAME / "1")
    repository = Watched(tmp_path)
    results: list[StreamResult] = []
    gc.collect()
    gc.disable()  # as `wavetile serve` keeps it from what it has loaded: what goes has to go without it
    try:
        async with serving({}, repository=repository) as server, StreamClient(server.address) as client:
            async with client.stream(NAME) as stream:
                await stream.send(samples[: 30 * HOP])
                while sum(result.frame_count for result in results) < 20:
                    results.append(await anext(stream))
                threads = threading.active_count()
                shutil.copytree(tmp_path / NAME / "1", tmp_path / NAME / "2")
                server.reread()
                await until(lambda: versions(server) == ["2", "1"])
                await stream.send(samples[30 * HOP :])
                audio = await rest_of(stream, results)
            await until(lambda: versions(server) == ["2"])
            await until(lambda: [one() is None for one in repository.left] == [True] * 3 + [False] * 3)
            assert threading.active_count() <= threads
            async with client.stream(NAME) as stream:
                assert stream.info.model_version == "2"
                again = await exchange(stream, samples, 1000)
    finally:
        gc.enable()
    np.testing.assert_array_equal(audio, expected)
    np.testing.assert_array_equal(audio_of(again), expected)
