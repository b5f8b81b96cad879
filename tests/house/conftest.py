"""What the house's guards look at: the repository's own files, parsed once."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# pytest takes the checkout, with its __init__.py at the root, for a package and imports it when the first test starts:
# in a checkout called "wavetile" that would become the module `wavetile`. Imported here first, the installed one does.
import wavetile  # noqa: F401

SKIPPED_FOLDERS = {"__pycache__", "build", "dist", "node_modules"}
TEXT_SUFFIXES = {
    "",
    ".cfg",
    ".css",
    ".cu",
    ".h",
    ".html",
    ".js",
    ".json",
    ".md",
    ".proto",
    ".py",
    ".pyi",
    ".sh",
    ".toml",
    ".txt",
    ".yaml",
    ".yml",
}
PACKAGE_FOLDERS = ("engine", "kernels", "proto", "clients")


def repository_files(root: Path) -> Iterator[Path]:
    """Yield every file of the repository, less environments, caches and what a build leaves."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if name not in SKIPPED_FOLDERS and not name.endswith(".egg-info") and (name == ".ci" or name[0] != ".")
        )
        for name in sorted(files):
            yield Path(folder) / name


def is_generated(path: Path) -> bool:
    """Tell whether a file is a protobuf stub, which follows its generator's style and not the house's."""
    return path.stem.endswith(("_pb2", "_pb2_grpc"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the checkout."""
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def python_files(repository: Path) -> list[Path]:
    """Return every hand-written Python file, tests too."""
    return [path for path in repository_files(repository) if path.suffix == ".py" and not is_generated(path)]


@pytest.fixture(scope="session")
def text_files(repository: Path) -> list[Path]:
    """Return every file that a person reads as text."""
    # In a linked worktree .git is a file.
    return [path for path in repository_files(repository) if path.suffix in TEXT_SUFFIXES and path.name != ".git"]


@pytest.fixture(scope="session")
def trees(repository: Path, python_files: list[Path]) -> dict[Path, ast.Module]:
    """Return the syntax tree of every hand-written Python file, by its path below the repository."""
    return {path.relative_to(repository): ast.parse(path.read_text("utf-8"), path.name) for path in python_files}


@pytest.fixture(scope="session")
def package_trees(trees: dict[Path, ast.Module]) -> dict[Path, ast.Module]:
    """Return the syntax trees of what ships: the root's `__init__.py` and the package folders."""
    return {path: tree for path, tree in trees.items() if len(path.parts) == 1 or path.parts[0] in PACKAGE_FOLDERS}
