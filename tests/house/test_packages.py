"""What ships: every package folder with its data files, and nothing else, in a wheel built from the checkout."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import wavetile

PACKAGE_FOLDERS = ("engine", "kernels", "proto", "clients")
DATA_SUFFIXES = {
    ".css",
    ".cuh",
    ".flac",
    ".html",
    ".js",
    ".onnx",
    ".proto",
    ".pyi",
    ".svg",
    ".toml",
    ".typed",
    ".wav",
    ".xz",
}


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    """Return pyproject.toml, parsed."""
    return tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def shipped(repository: Path) -> set[str]:
    """Return the files that must ship, as paths below the installed `wavetile` folder."""
    files = {"__init__.py", "py.typed"}
    for folder in PACKAGE_FOLDERS:
        for path in (repository / folder).rglob("*"):
            if "__pycache__" not in path.parts and (path.suffix == ".py" or path.suffix in DATA_SUFFIXES):
                files.add(path.relative_to(repository).as_posix())
    return files


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel from a copy, beside an environment folder that must stay out of it."""
    if importlib.util.find_spec("setuptools") is None or int(metadata.version("setuptools").split(".")[0]) < 77:
        pytest.skip("setuptools 77 or newer is not installed here: `make test` and `make dev` install it")
    copy = tmp_path_factory.mktemp("checkout") / "copy"
    shutil.copytree(repository, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info"))
    stray = copy / ".venv" / "lib" / "engine"
    stray.mkdir(parents=True)
    (stray / "__init__.py").write_text("")
    destination = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-P", "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    result = subprocess.run([*command, "--wheel-dir", str(destination), str(copy)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (built,) = destination.glob("*.whl")
    return built


def test_every_package_folder_is_listed(repository: Path, project: dict[str, Any]) -> None:
    folders = {"wavetile"}
    for top in PACKAGE_FOLDERS:
        for path in (repository / top).rglob("*.py"):
            folders.add(".".join(("wavetile", *path.parent.relative_to(repository).parts)))
    assert set(project["tool"]["setuptools"]["packages"]) == folders


def test_every_package_folder_has_its_init(repository: Path, project: dict[str, Any]) -> None:
    for package in project["tool"]["setuptools"]["packages"]:
        assert repository.joinpath(*package.split(".")[1:], "__init__.py").is_file(), package


def test_tests_are_no_package(repository: Path) -> None:
    # With an __init__.py below tests/, pytest would import the tests as modules of the package at the root.
    assert [str(path) for path in (repository / "tests").rglob("__init__.py")] == []


def test_the_wheel_has_everything_and_nothing_else(wheel: Path, shipped: set[str]) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == {f"wavetile/{name}" for name in shipped}


def test_the_wheel_has_its_licence_and_command(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (licence,) = [name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
    assert b"Apache License" in archive.read(licence)
    (entry_points,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
    assert b"wavetile = wavetile.engine.commands:main" in archive.read(entry_points)


def test_the_installed_wheel_is_what_the_tests_import() -> None:
    try:
        distribution = metadata.distribution("wavetile")
    except metadata.PackageNotFoundError:
        pytest.skip("wavetile is on the path without being installed")
    assert distribution.version == wavetile.__version__
    if '"editable": true' in (distribution.read_text("direct_url.json") or ""):
        pytest.skip("an editable install (make dev) imports the checkout on purpose")
    assert Path(wavetile.__file__).parent == Path(sysconfig.get_path("purelib")) / "wavetile"


def test_stubs_run_on_the_oldest_allowed_runtimes(repository: Path, project: dict[str, Any]) -> None:
    floors = {
        match[1]: match[2]
        for requirement in project["project"]["dependencies"]
        if (match := re.match(r"([\w-]+)>=([\d.]+)", requirement))
    }
    stubs = sorted((repository / "proto").rglob("*_pb2*.py"))
    assert stubs, "the generated stubs are committed"
    for stub in stubs:
        text = stub.read_text("utf-8")
        for pattern, name in (
            (r"# Protobuf Python Version: ([\d.]+)", "protobuf"),
            (r"GRPC_GENERATED_VERSION = '([\d.]+)'", "grpcio"),
        ):
            for version in re.findall(pattern, text):
                assert _numbers(version) <= _numbers(floors[name]), f"{stub.name} needs {name} {version}"


UNLOCKED = {"mic", "cuda", "cuda12"}
"""Extras that the tests do without: one compiles against PortAudio, two that exclude each other need a GPU."""


def test_every_dependency_is_locked(repository: Path, project: dict[str, Any]) -> None:
    locked = {
        re.sub(r"[-_.]+", "-", line.split("==")[0]).lower()
        for line in (repository / "constraints.txt").read_text("utf-8").splitlines()
        if "==" in line
    }
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *(one for name in extras.keys() - UNLOCKED for one in extras[name])]
    names = {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", one)[0]).lower() for one in wanted}
    assert names - locked == set(), "run `make lock`"


def _numbers(version: str) -> tuple[int, ...]:
    numbers = tuple(int(part) for part in version.split("."))
    return numbers + (0,) * (3 - len(numbers))
