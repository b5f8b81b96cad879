"""The shape of the house: small files, honest names, a sentence at the top of each, no path of anybody's machine."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

MAX_LINES = 400
# path below the repository -> why it may be longer
LONGER_FILES: dict[str, str] = {}
FORBIDDEN_NAMES = {"util", "utils", "helper", "helpers", "common", "base", "misc", "manager", "managers"}
# Absolute paths of somebody's machine: folders of users and of scratch space, Windows drives.
MACHINE_PATH = re.compile(r"(?<![\w.:/}])/(?:home|Users|root|work|workspace|mnt|srv|tmp)/\w|\b[A-Z]:\\{1,2}Users\b")


def test_files_are_small(repository: Path, python_files: list[Path]) -> None:
    lengths = {str(path.relative_to(repository)): len(path.read_text("utf-8").splitlines()) for path in python_files}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES and name not in LONGER_FILES} == {}
    assert [name for name in LONGER_FILES if lengths.get(name, 0) <= MAX_LINES] == [], "no longer an exception"


def test_a_file_is_a_noun(repository: Path, python_files: list[Path]) -> None:
    paths = [path.relative_to(repository) for path in python_files]
    named = [
        str(path)
        for path in paths
        if FORBIDDEN_NAMES & {part.strip("_").lower() for part in (path.stem, *path.parts[:-1])}
    ]
    assert named == []


def test_every_module_opens_with_a_sentence(trees: dict[Path, ast.Module]) -> None:
    without = []
    for path, tree in trees.items():
        opening = (ast.get_docstring(tree) or "").split("\n\n")[0].strip()
        if not opening or opening[-1] not in ".:!?":
            without.append(f"{path}: {opening!r}")
    assert without == []


def test_nothing_but_the_package_at_the_root(repository: Path) -> None:
    # Every *.py beside the root's __init__.py would ship as a module of wavetile.
    assert [path.name for path in repository.glob("*.py")] == ["__init__.py"]


def test_the_root_imports_without_the_engine(repository: Path) -> None:
    tree = ast.parse((repository / "__init__.py").read_text("utf-8"))
    imported = [node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom) and node.level > 0]
    assert imported == [], "`import wavetile` stays cheap: import in __getattr__"


def test_no_path_of_a_machine(repository: Path, text_files: list[Path]) -> None:
    from_machines = []
    for path in text_files:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if MACHINE_PATH.search(line):
                from_machines.append(f"{path.relative_to(repository)}:{number}: {line.strip()}")
    assert from_machines == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('open("/home' + '/ada/model.onnx")', True),
        ("cd /tmp" + "/build", True),
        ("C:" + "\\Users\\ada", True),
        ("https://example.org/home/ada", False),
        ("../shared/work/models", False),
        ("a path below tmp_path / 'home'", False),
    ],
)
def test_the_machine_path_pattern(line: str, found: bool) -> None:
    assert bool(MACHINE_PATH.search(line)) is found
