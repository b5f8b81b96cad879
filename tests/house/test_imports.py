"""Nothing imports upward: each folder may import only what the house's plan lists for it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ERRORS = "engine/errors"
PIXELS = "engine/pixels"
LOOPBACK = "engine/loopback"
# folder (or module) -> what it may import of wavetile's own, itself always included
MAY_IMPORT: dict[str, set[str]] = {
    "": {"engine/models"},
    "proto": set(),
    "kernels": set(),
    "engine": set(),
    ERRORS: set(),
    PIXELS: {ERRORS},
    LOOPBACK: set(),
    "engine/__main__": {"engine/commands"},
    "engine/onnx_backend": {ERRORS, "engine/graph", "engine/models", "engine/plan"},
    "engine/graph": {ERRORS},
    "engine/plan": {ERRORS, "engine/graph", "kernels"},
    "engine/session": {ERRORS, "engine/plan"},
    "engine/models": {ERRORS, PIXELS, "engine/graph", "engine/plan", "engine/session", "kernels"},
    "engine/server": {ERRORS, LOOPBACK, PIXELS, "engine/session", "proto"},
    "engine/commands": {
        ERRORS,
        PIXELS,
        "",
        "clients",
        "engine",
        "engine/graph",
        "engine/models",
        "engine/plan",
        "engine/server",
        "engine/session",
        "kernels",
        "proto",
    },
    "clients": {ERRORS, LOOPBACK, PIXELS, "proto"},
}
# Clients that run a model in process instead of speaking to a server: they may import the engine's public face.
IN_PROCESS_CLIENTS: set[str] = set()
# What a module may import when it is imported: the core dependencies. Extras are imported where they are used.
CORE_DEPENDENCIES = {
    "google.protobuf",
    "grpc",
    "grpc_health",
    "grpc_reflection",
    "llvmlite",  # numba's own
    "numba",
    "numpy",
    "ml_dtypes",
    "onnx",
    "rich",
    "soundfile",
    "soxr",
}
# Top-level names of the checkout. (The generated services import their messages as `wavetile.proto.v1`, because their
# generator offers nothing else; stubs are not looked at here.)
TOP_LEVEL_NAMES = {"wavetile", "engine", "kernels", "proto", "clients", "tests"}


def place_of(path: Path) -> str:
    """Return the folder of MAY_IMPORT that a module belongs to; `path` is relative to the repository."""
    module = path.with_suffix("").as_posix().removesuffix("/__init__").removesuffix("__init__")
    candidates = [place for place in MAY_IMPORT if place and (module == place or module.startswith(f"{place}/"))]
    return max(candidates, key=len, default="")


def imported_paths(path: Path, tree: ast.Module) -> Iterator[tuple[int, Path]]:
    """Yield (line, module or member) of every relative import, as a path below the repository."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level > 0:
            folder = Path("/").joinpath(path).parents[node.level - 1]
            source = folder.joinpath(*(node.module or "").split("."))
            for alias in node.names:
                yield node.lineno, (source / alias.name).relative_to("/")


def absolute_imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of every absolute import below a node."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, node.module or ""


def imported_at_once(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the absolute imports that run when the module is imported: outside functions and `if TYPE_CHECKING`."""
    for node in tree.body:
        deferred = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        type_checking = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not deferred and not type_checking:
            yield from absolute_imports(node)


def test_no_folder_imports_upward(package_trees: dict[Path, ast.Module]) -> None:
    upward = []
    for path, tree in package_trees.items():
        place = place_of(path)
        allowed = MAY_IMPORT[place] | {place}
        if path.as_posix() in IN_PROCESS_CLIENTS:
            allowed |= {"", "engine/models"}
        for line, imported in imported_paths(path, tree):
            if place_of(imported) not in allowed:
                upward.append(f"{path}:{line}: {place or 'the root'} may not import {imported}")
    assert upward == []


def test_folders_import_each_other_relatively(package_trees: dict[Path, ast.Module]) -> None:
    absolute = [
        f"{path}:{line}: {name}"
        for path, tree in package_trees.items()
        for line, name in absolute_imports(tree)
        if name.split(".")[0] in TOP_LEVEL_NAMES
    ]
    assert absolute == []


def test_tests_import_the_installed_package(trees: dict[Path, ast.Module]) -> None:
    # `import engine` would find the checkout's folder and make a second copy of every module.
    from_checkout = [
        f"{path}:{line}: {name}"
        for path, tree in trees.items()
        if path.parts[0] == "tests"
        for line, name in absolute_imports(tree)
        if name.split(".")[0] in TOP_LEVEL_NAMES - {"wavetile", "tests"}
    ]
    assert from_checkout == []


def test_importing_a_module_needs_core_dependencies_only(package_trees: dict[Path, ast.Module]) -> None:
    others = [
        f"{path}:{line}: {name}"
        for path, tree in package_trees.items()
        for line, name in imported_at_once(tree)
        if name.split(".")[0] not in sys.stdlib_module_names | CORE_DEPENDENCIES
        and not name.startswith("google.protobuf")
    ]
    assert others == []


def test_every_place_is_guarded(package_trees: dict[Path, ast.Module]) -> None:
    folders = {path.parts[0] if path.parts[0] != "engine" else "/".join(path.parts[:2]) for path in package_trees}
    modules = {folder.removesuffix(".py").removesuffix("/__init__") for folder in folders} - {"__init__"}
    assert modules - MAY_IMPORT.keys() == set(), "add the new folder to MAY_IMPORT, with what it may import"


def test_the_guard_sees_an_upward_import() -> None:
    path = Path("engine/graph/load.py")
    tree = ast.parse("from ..plan import memory\nfrom .. import server, errors\nfrom ...kernels.cpu import runner\n")
    places = [place_of(imported) for _, imported in imported_paths(path, tree)]
    assert places == ["engine/plan", "engine/server", "engine/errors", "kernels"]
    assert place_of(Path("__init__.py")) == ""
    assert place_of(Path("engine/__init__.py")) == "engine"
    assert place_of(Path("kernels/cpu/conv.py")) == "kernels"
