"""A folder of models in versions, in the form that the server takes."""

from __future__ import annotations

from pathlib import Path

from ..models.load import load
from ..models.repository import Mark, ModelFolder
from ..server import Loaded
from .served import evaluated, served


class FolderRepository:
    """Loads the models of a folder (`server.ModelRepository`)."""

    def __init__(self, root: Path, *, backend: str, threads: int) -> None:
        self._folder = ModelFolder(root)
        self._backend = backend
        self._threads = threads

    def look(self) -> dict[str, dict[int, Mark]]:
        """What is there now. Raises OSError."""
        return self._folder.versions()

    def load(self, name: str, version: int) -> Loaded:
        """Load a version under the name of its folder, and check it. Raises ModelError, BackendError, OSError."""
        path = self._folder.path(name, version)
        model = load(path, called=name, backend=self._backend, threads=self._threads)
        return Loaded(served(model) if model.card is not None else None, evaluated(model))
