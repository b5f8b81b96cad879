"""Runs CUDA kernels without a GPU: their sources, compiled by g++ behind `host.h`, whose threads are fibers."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from wavetile.kernels.cache import cache_folder, write_whole
from wavetile.kernels.cuda.lanes import LANES_BYTES
from wavetile.kernels.cuda.launch import launch
from wavetile.kernels.cuda.limits import Limits
from wavetile.kernels.cuda.source import FAMILIES, NAMES, TILED, Entry, check, entries, families, joined, source, walk
from wavetile.kernels.cuda.structures import Spaces, Walk
from wavetile.kernels.schemas import KERNEL_IDS, KERNELS
from wavetile.kernels.table import Memory, Table

HEADER = Path(__file__).with_name("host.h")
COMPILER = "g++"
FLAGS = ("-std=c++17", "-O1", "-fPIC", "-shared", "-fno-strict-aliasing", "-ffp-contract=off")
THREADS = 64
LIMITS = tuple(
    Limits(threads=THREADS, together=False, **changed)
    for changed in ({"blocks": 3}, {"blocks": 2, "smallest_tiled": 1})
)
"""Small tensors take several blocks, and threads of these several numbers; and tiles, where there are any."""
HELD = Limits(slices=4, multiprocessors=40, shared_bytes=1 << 20, shared_hidden=1)
"""All lanes together, in small blocks; layers hold their weights where they go through several steps."""
STREAMED = Limits(slices=4, multiprocessors=5, shared_bytes=LANES_BYTES, shared_hidden=1)
"""Likewise, but that no weights can be held, and of larger parts a layer takes fewer."""


class HostGrid(ctypes.Structure):
    """`host::Grid` of host.h."""

    _fields_ = (
        ("blocks_x", ctypes.c_int),
        ("blocks_y", ctypes.c_int),
        ("threads", ctypes.c_int),
        ("shared_bytes", ctypes.c_int),
        ("together", ctypes.c_int),
    )


def compiler_is_here() -> bool:
    """Whether there is a compiler for the host."""
    return shutil.which(COMPILER) is not None


class HostRunner:
    """A table on CUDA kernels, run by the processor. Each run is made several times and has to give the same bits.

    By the resident interpreter, threads and blocks taking turns forwards; and an instruction at a time, in several
    blocks where the kernel can have them, backwards: what depends on the order is a race. What can be done in tiles is
    done both ways. With `limits` that take lanes together, whose sums have an order of their own, an instruction at a
    time is run forwards instead.
    """

    def __init__(self, table: Table, memory: Memory, limits: Limits | None = None) -> None:
        """Raises KernelError: CUDA lacks a kernel of the table."""
        self._names = [KERNELS[kernel_id].name for kernel_id in table.kernels]
        check(self._names)
        for family in families(self._names):
            library(family)
        self.slots = np.zeros(max(1, memory.arena.shape[0]), np.int64)
        self._memory = memory
        self._kernels = np.ascontiguousarray(table.kernels)
        self._starts = np.ascontiguousarray(table.starts)
        self._operands = np.ascontiguousarray(table.operands)
        if limits is not None:
            self._limits = (limits,)
        else:
            self._limits = LIMITS if TILED.intersection(self._names) else LIMITS[:1]

    def run(self, lanes: int) -> None:
        """Execute the table once for lanes 0 .. lanes - 1. Raises AssertionError where the order matters."""
        spaces = self._memory.arena, self._memory.state
        before = [space.copy() for space in spaces]
        first, *others = self._ways(lanes)
        first()
        expected = [space.copy() for space in spaces]
        for run in others:
            for space, content in zip(spaces, before, strict=True):
                space[...] = content
            run()
            for space, content in zip(spaces, expected, strict=True):
                assert space.tobytes() == content.tobytes(), f"{self._names}: the order of the threads matters"

    def _ways(self, lanes: int) -> Iterator[Callable[[], None]]:
        together = self._limits[0].together
        yield partial(self._step, self._limits[0], lanes, backwards=False) if together else partial(self._walk, lanes)
        for limits in self._limits:
            yield partial(self._step, limits, lanes, backwards=True)

    def _walk(self, lanes: int) -> None:
        walk = Walk(self._kernels.ctypes.data, self._starts.ctypes.data, self._operands.ctypes.data, len(self._names))
        interpreter().host_walk(HostGrid(1, lanes, THREADS), 0, walk, self._spaces(lanes))

    def _step(self, limits: Limits, lanes: int, *, backwards: bool) -> None:
        for kernel_id, first, last in zip(self._kernels, self._starts[:-1], self._starts[1:], strict=True):
            one = launch(KERNELS[kernel_id], self._operands[first:last].tolist(), lanes, limits)
            words = ctypes.c_int64(self._operands.ctypes.data + 8 * int(first))
            arrivals = np.zeros(one.arrivals, np.uint32)
            grid = HostGrid(*one.grid, one.threads, one.shared_bytes, one.cooperative)
            function(one.entry)(grid, backwards, words, self._spaces(lanes, arrivals))
            assert not arrivals.any(), f"{self._names}: another launch would find what this one left"

    def _spaces(self, lanes: int, arrivals: np.ndarray | None = None) -> Spaces:
        memory = self._memory
        return Spaces(
            memory.weights.ctypes.data,
            memory.arena.ctypes.data,
            memory.state.ctypes.data,
            memory.arena.shape[1],
            memory.state.shape[1],
            self.slots.ctypes.data,
            None if arrivals is None else arrivals.ctypes.data,
            lanes,
        )


def function(entry: Entry) -> Callable[..., None]:
    """What launches a function: HostGrid, backwards, and its own parameters."""
    return library(families([entry.kernel])[0])[f"host_{entry.function}"]


@functools.cache
def library(family: str) -> ctypes.CDLL:
    """The kernels of one file, which the interpreter knows from now on."""
    names = FAMILIES[family].names
    functions = [entry.function for entry in entries(names)]
    code = [source(names, resident=False), *map(_entry, functions), *map(_instruction, names)]
    built = compiled("\n".join(code))
    for name in names:
        interpreter().host_provide(KERNEL_IDS[name], built[f"host_{name}"])
    return built


@functools.cache
def interpreter() -> ctypes.CDLL:
    """The resident interpreter of all kernels, which calls those of the libraries that provided themselves."""
    forward = [f"FORWARD({name}, {KERNEL_IDS[name]})" for name in sorted(NAMES)]
    return compiled("\n".join([joined([], "\n".join([_PROVIDED, *forward, walk(sorted(NAMES))])), _WALK]))


def compiled(code: str) -> ctypes.CDLL:
    """CUDA C, and functions that launch it through `host::launch`; compiled once for each version of it."""
    whole = f"{HEADER.read_text()}\n{code}"
    digest = hashlib.sha256("".join([whole, *FLAGS]).encode()).hexdigest()[:32]
    folder = cache_folder() / "cuda-host"
    library = folder / f"{digest}.so"
    with _alone(library.with_suffix(".lock")):
        if not library.exists():
            code_file = library.with_suffix(".cpp")
            write_whole(code_file, whole.encode())
            built = library.with_suffix(".part")
            subprocess.run([COMPILER, *FLAGS, "-o", built, code_file], check=True)
            built.replace(library)
    return ctypes.CDLL(str(library))


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process at a time: the others wait for what it compiles."""
    import fcntl  # not on Windows

    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _entry(name: str) -> str:
    return f"""
extern "C" void host_{name}(host::Grid grid, int backwards, const word* words, Spaces spaces) {{
    host::launch(grid, backwards, [=] {{ {name}(words, spaces); }});
}}"""


def _instruction(name: str) -> str:
    return f"""
extern "C" void host_{name}(const word* words, const Memory& memory) {{ {name}(words, memory, Block()); }}"""


_PROVIDED = f"""
using Instruction = void (*)(const word*, const Memory&);
static Instruction instructions_of[{len(KERNELS)}];
#define FORWARD(name, id) \\
    static void name(const word* words, const Memory& memory, const Block&) {{ instructions_of[id](words, memory); }}
"""

_WALK = """
extern "C" void host_provide(int kernel, Instruction instruction) { instructions_of[kernel] = instruction; }
extern "C" void host_walk(host::Grid grid, int backwards, Walk given, Spaces spaces) {
    host::launch(grid, backwards, [=] { walk(given, spaces); });
}
"""
