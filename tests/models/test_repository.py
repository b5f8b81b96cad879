"""A folder of models in versions: what is found, by which mark, and which file it is loaded from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wavetile.engine.errors import ModelError
from wavetile.engine.models.repository import ModelFolder


def written(root: Path, *files: str) -> ModelFolder:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file)
    return ModelFolder(root)


def found(folder: ModelFolder) -> dict[str, list[int]]:
    return {name: sorted(versions) for name, versions in folder.versions().items()}


def test_versions_are_the_folders_with_numbers(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        *("many/1/a.onnx", "many/3/a.onnx", "many/12/a.toml", "many/0/a.onnx", "many/03/a.onnx", "many/new/a.onnx"),
        *("many/4", "README", ".git/1/a.onnx", "a.b/1/a.onnx", "flat/a.toml", "flat/a.onnx", "flat/data/b.onnx"),
    )
    (tmp_path / "many" / "5").mkdir()  # nothing in it yet
    (tmp_path / "empty").mkdir()
    assert found(folder) == {"many": [1, 3, 12], "flat": [1]}
    with pytest.raises(FileNotFoundError):
        ModelFolder(tmp_path / "nowhere").versions()


def test_a_mark_changes_with_every_file_of_its_version_alone(tmp_path: Path) -> None:
    folder = written(tmp_path, "net/1/a.toml", "net/1/data/w.onnx", "net/2/a.onnx")
    before = folder.versions()["net"]
    assert folder.versions()["net"] == before
    weights = tmp_path / "net/1/data/w.onnx"
    os.utime(weights, ns=(0, weights.stat().st_mtime_ns + 1))
    touched = folder.versions()["net"]
    assert touched[1] != before[1]
    assert touched[2] == before[2]
    written(tmp_path, "net/2/more")
    assert folder.versions()["net"][2] != before[2]


def test_a_version_is_loaded_from_its_card_or_else_its_network(tmp_path: Path) -> None:
    folder = written(tmp_path, "card/2/c.toml", "card/2/a.onnx", "card/2/b.onnx", "net/1/model.onnx", "flat/c.toml")
    assert folder.path("card", 2) == tmp_path / "card/2/c.toml"
    assert folder.path("net", 1) == tmp_path / "net/1/model.onnx"
    assert folder.path("flat", 1) == tmp_path / "flat/c.toml"
    with pytest.raises(ModelError, match="there is no version 3"):
        folder.path("card", 3)
    written(tmp_path, "net/1/other.onnx", "card/2/d.toml", "text/1/notes")
    with pytest.raises(ModelError, match="2 networks and no card; one card, or one network without, would work"):
        folder.path("net", 1)
    with pytest.raises(ModelError, match="has 2 cards"):
        folder.path("card", 2)
    with pytest.raises(ModelError, match="neither a card"):
        folder.path("text", 1)
