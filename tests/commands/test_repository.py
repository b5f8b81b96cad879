"""`wavetile serve --repository`: real cards and networks in folders, and a signal that has them read again."""

from __future__ import annotations

import shutil
import signal
import socket
from pathlib import Path

import numpy as np
import pytest

from tests.commands.processes import models, serving
from tests.commands.said import Command
from tests.patience import wait_until
from wavetile.engine.commands.repository import FolderRepository
from wavetile.engine.errors import ModelError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty repository."""
    folder = tmp_path / "repository"
    folder.mkdir()
    return folder


def put(repository: Path, version: int, card: Path, name: str = "quiet") -> None:
    """Copy a card and its network into the repository; the folder appears whole."""
    beside = repository / ".new"
    beside.mkdir()
    for path in (card, card.with_suffix(".onnx")):
        shutil.copy(path, beside)
    (repository / name).mkdir(exist_ok=True)
    beside.rename(repository / name / str(version))


def test_cards_and_networks_are_served_under_the_names_of_their_folders(
    folder: Path, gain_card: Path, image_network: Path
) -> None:
    put(folder, 3, gain_card)
    (folder / "halving" / "1").mkdir(parents=True)
    shutil.copy(image_network, folder / "halving" / "1" / "model.onnx")
    repository = FolderRepository(folder, backend="reference", threads=1)
    assert {name: list(versions) for name, versions in repository.look().items()} == {"halving": [1], "quiet": [3]}
    card = repository.load("quiet", 3)
    assert card.stream is not None
    assert card.stream.describe().name == "quiet"
    assert list(card.networks) == ["quiet.network"]
    network = repository.load("halving", 1)
    assert network.stream is None
    image = np.ones((1, 1, 8, 8), np.float32)
    np.testing.assert_array_equal(network.networks["halving"].run({"image": image})["halved"], 0.5 * image)
    (folder / "quiet" / "3" / "gain.onnx").write_bytes(b"cut short")
    with pytest.raises(ModelError, match="expected sha256"):
        repository.load("quiet", 3)


def test_what_does_not_go_together_is_refused(folder: Path, wavetile_command: Command) -> None:
    said = wavetile_command("serve", "--watch", 1)
    assert (said.status, "--repository DIR besides would work" in said.notices) == (1, True)
    said = wavetile_command("serve", "--repository", folder / "none")
    assert (said.status, "is no folder" in said.notices) == (1, True)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_has_every_worker_read_the_folder_again(folder: Path, gain_card: Path, workers: int) -> None:
    if workers > 1 and not hasattr(socket, "SO_REUSEPORT"):
        pytest.skip("this system can not share a port among processes")
    put(folder, 1, gain_card)
    options = ("--repository", folder, "--backend", "reference", "--port", 0, "--workers", workers)
    with serving(*options) as (process, address):

        def serve_alone(version: str) -> bool:
            return all(models(address) == {"quiet": version} for _ in range(10 * workers))

        assert serve_alone("1")
        put(folder, 2, gain_card)
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: serve_alone("2"))
        shutil.rmtree(folder / "quiet" / "2")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: serve_alone("1"))
        assert process.poll() is None


def test_a_watched_folder_needs_no_signal(folder: Path, gain_card: Path) -> None:
    with serving("--repository", folder, "--backend", "reference", "--port", 0, "--watch", 0.1) as (_, address):
        assert models(address) == {}
        put(folder, 1, gain_card)
        wait_until(lambda: models(address) == {"quiet": "1"})
