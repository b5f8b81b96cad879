"""What all commands say in the same way: errors, progress bars, units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text


def output() -> Console:
    """Where a command's results go. Text is printed as it is: brackets in it are no markup."""
    return Console(highlight=False, markup=False)


def notices() -> Console:
    """Where progress and remarks go: standard error, so that results can be piped."""
    return Console(stderr=True, highlight=False, markup=False)


def fail(message: str) -> None:
    """Say what went wrong in one red line."""
    line = " ".join(message.split())
    notices().print(Text.assemble(("error: ", "bold red"), (line, "red")), soft_wrap=True)


@contextmanager
def counted_progress(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar over things that are counted; call what it yields with (done, in all, name of the last)."""
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[last]}", style="dim", markup=False),
    )  # fmt: skip
    with Progress(*columns, console=notices()) as bar:
        task = bar.add_task(title, total=None, last="")
        yield lambda done, total, last: bar.update(task, completed=done, total=total, last=last)


@contextmanager
def bytes_progress(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar over bytes; call what it yields with (bytes so far, bytes in all or None). It shows with the first call."""
    label = TextColumn("{task.description}", markup=False)
    columns = (SpinnerColumn(), label, BarColumn(), DownloadColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=notices())
    task = bar.add_task(title, total=None)

    def update(done: int, total: int | None) -> None:
        if not bar.live.is_started:
            bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield update
    finally:
        if bar.live.is_started:
            bar.stop()


def in_bytes(count: int) -> str:
    """A number of bytes with a unit that suits it: 10752263 is "10.8 MB"."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def in_count(count: float) -> str:
    """A number in short: 1234567 is "1.23 M"."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:g}"


def in_time(microseconds: float) -> str:
    """A duration with a unit that suits it: 2077.3 us is "2.08 ms"."""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if microseconds >= size:
            return f"{microseconds / size:.3g} {unit}"
    return f"{microseconds:.3g} us"
