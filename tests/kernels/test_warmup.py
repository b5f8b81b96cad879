"""Warming up compiles every kernel into the cache, says so, and notices what the cache has lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from wavetile.kernels.cpu import warmup
from wavetile.kernels.cpu.native import NATIVE
from wavetile.kernels.errors import KernelError


@pytest.fixture
def two_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave only two quick kernels to compile, into an empty cache; return its folder."""
    monkeypatch.setenv("WAVETILE_CACHE", str(tmp_path))
    monkeypatch.setattr(warmup, "NATIVE", {name: NATIVE[name] for name in ("fill", "gather")})
    return tmp_path / "kernels"


def test_two_processes_fill_the_cache(two_kernels: Path) -> None:
    assert not warmup.is_warm()
    steps: list[tuple[int, int, str]] = []
    done = warmup.warm_up(lambda *step: steps.append(step), processes=2)
    assert [(count, total) for count, total, _ in steps] == [(1, 3), (2, 3), (3, 3)]
    assert {name for _, _, name in steps} == {"fill", "gather", "interpreter"}
    assert (done.functions, done.processes, done.folder) == (3, 2, two_kernels)
    code = {path.name.split("-")[0] for path in two_kernels.rglob("*.nbc")}
    assert code == {"movement.fill", "movement.gather", "execute._walk"}
    assert warmup.is_warm()

    steps.clear()
    assert warmup.warm_up(lambda *step: steps.append(step)).processes == 0
    assert steps == []

    next(two_kernels.rglob("*.nbc")).unlink()
    assert not warmup.is_warm()


def test_the_stamp_is_of_these_sources(two_kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del two_kernels
    stamp = warmup._stamp()
    stamp.parent.mkdir(parents=True)
    code = stamp.parent / "kernel.nbc"
    code.touch()
    stamp.write_text(code.name)
    assert warmup.is_warm()
    monkeypatch.setattr(warmup, "_key", lambda: "another processor")
    assert not warmup.is_warm()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_kernel_that_does_not_compile_is_named(
    two_kernels: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    del two_kernels
    monkeypatch.setattr(warmup, "NATIVE", {"no_such_kernel": None})
    with pytest.raises(KernelError, match="'no_such_kernel' does not compile"):
        warmup.warm_up(processes=processes)
    assert not warmup.is_warm()
