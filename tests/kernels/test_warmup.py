"""Warming up compiles every native function into the cache, says so, and notices what the cache has lost."""

from __future__ import annotations

import ast
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wavetile.kernels.cpu import kernels as _native  # noqa: F401  (registers them)
from wavetile.kernels.cpu import machine_code, native, warmup
from wavetile.kernels.cpu.native import NATIVE
from wavetile.kernels.errors import KernelError


@pytest.fixture
def two_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave only two quick kernels to compile, into an empty cache; return its folder."""
    monkeypatch.setenv("WAVETILE_CACHE", str(tmp_path))
    monkeypatch.setattr(native, "NATIVE", {name: NATIVE[name] for name in ("fill", "place")})
    return tmp_path / "kernels"


def test_two_processes_fill_the_cache(two_kernels: Path) -> None:
    assert not machine_code.is_complete()
    steps: list[tuple[int, int, str]] = []
    done = warmup.warm_up(lambda *step: steps.append(step), processes=2)
    assert [(count, total) for count, total, _ in steps] == [(1, 2), (2, 2)]
    assert {name for _, _, name in steps} == {"fill", "place"}
    assert (done.functions, done.processes, done.folder) == (2, 2, two_kernels)
    assert {path.name.split("-")[0] for path in two_kernels.glob("*.o")} == {"fill", "place"}
    assert machine_code.is_complete()

    steps.clear()
    again = warmup.warm_up(lambda *step: steps.append(step))
    assert (again.functions, again.processes, steps) == (2, 0, [])

    next(two_kernels.glob("*.o")).unlink()
    assert not machine_code.is_complete()


def test_the_index_is_of_these_sources(two_kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warmup.warm_up(processes=1)
    assert machine_code.is_complete()
    code = {path: path.stat().st_mtime_ns for path in two_kernels.glob("*.o")}
    monkeypatch.setattr(machine_code, "_key", lambda: "an edited file")
    assert not machine_code.is_complete()
    # What was compiled from the same text is found again.
    warmup.warm_up(processes=1)
    assert machine_code.is_complete()
    assert {path: path.stat().st_mtime_ns for path in two_kernels.glob("*.o")} == code


@pytest.mark.parametrize("content", [b"", b"\x7fELF", None], ids=["empty", "a beginning", "one other byte"])
def test_code_that_is_not_whole_is_made_again(two_kernels: Path, content: bytes | None) -> None:
    code = machine_code.make("place")
    (path,) = two_kernels.glob("place-*.o")
    whole = path.read_bytes()
    if content is None:
        content = whole[:500] + bytes([whole[500] ^ 1]) + whole[501:]
    path.write_bytes(content)
    assert machine_code.make("place") == code
    assert path.read_bytes() == whole


def test_an_index_that_is_not_whole_is_made_again(two_kernels: Path) -> None:
    warmup.warm_up(processes=1)
    (index,) = two_kernels.glob("index-*")
    index.write_bytes(b"\xff\0 nothing\nplace \0\nfill no-such-file")
    assert not machine_code.is_complete()
    warmup.warm_up(processes=1)
    assert machine_code.is_complete()


def test_a_cache_that_is_deleted_meanwhile_is_made_again(two_kernels: Path) -> None:
    warmup.warm_up(processes=1)
    shutil.rmtree(two_kernels)
    machine_code.mark_complete(["fill", "place"])
    assert not machine_code.is_complete()


def test_code_that_is_kept_runs_without_the_compiler() -> None:
    machine_code.address("place")  # by now it is kept
    script = """
import ctypes, sys
from wavetile.kernels.cpu.machine_code import address
from wavetile.kernels.cpu.runner import CpuRunner
assert address("place")
assert "numba" not in sys.modules, "the compiler was imported"
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_code_that_only_the_compiler_can_load_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def exponent(operands: Any, context: Any) -> None:
        operands[0] = math.frexp(1.0 * operands[1])[1]

    monkeypatch.setattr(native, "NATIVE", {})
    with pytest.raises(KernelError, match="'exponent' calls numba_frexp"):
        native.object_code(native.native(exponent))


@pytest.mark.parametrize("processes", [1, 2])
def test_a_failure_ends_the_warm_up(two_kernels: Path, monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
    del two_kernels
    monkeypatch.setattr(warmup, "_names", lambda: ["no_such_kernel", "nor_this"])
    with pytest.raises(KernelError, match="no native function 'no"):
        warmup.warm_up(processes=processes)
    assert not machine_code.is_complete()


def test_what_does_not_compile_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nonsense(operands: Any, context: Any) -> None:
        operands[0] = context.name

    monkeypatch.setattr(native, "NATIVE", {})
    with pytest.raises(KernelError, match="'nonsense' does not compile"):
        native.object_code(native.native(nonsense))


def test_a_cache_that_can_not_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("WAVETILE_CACHE", str(tmp_path / "file"))
    with pytest.raises(KernelError, match="set WAVETILE_CACHE"):
        machine_code.make("place")


def test_imports_are_seen_as_python_sees_them() -> None:
    folder = Path(machine_code.__file__).parent
    for path in (*folder.glob("*.py"), *folder.parent.glob("*.py"), *folder.parent.glob("schemas/*.py")):
        found = set()
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.level:
                names = [node.module.replace(".", "/")] if node.module else [alias.name for alias in node.names]
                candidates = (path.parents[node.level - 1] / f"{name}.py" for name in names)
                found |= {candidate for candidate in candidates if candidate.exists()}
        assert native.local_imports(path) == found, path
