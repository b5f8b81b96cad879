"""Compiles CUDA C without a device and says what its functions take: with NVRTC, or with nvcc where that is missing."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

ARCHITECTURES = ("sm_75", "sm_80", "sm_90a")
"""The oldest, a common and the newest architecture that kernels are written for."""
MISSING = "neither NVRTC (`pip install nvidia-cuda-nvrtc cuda-bindings`) nor nvcc is here"

_OPTIONS = ("-std=c++17", "-ftz=true")
"""Of `CupyDevice`, and CuPy's own."""
_ENTRY = re.compile(r"Compiling entry function '(\w+)'")
_SPILL = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_REGISTERS = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")


class Resources(NamedTuple):
    """What the assembler says of a function to launch."""

    registers: int
    """Of a thread."""
    shared_bytes: int
    """Of a block, of a size that is known when it is compiled."""
    stack_bytes: int
    """Of a thread: local memory, mostly of arrays that are indexed by numbers known only when it runs."""
    spilled_bytes: int
    """Stores and loads of registers for which there was no room, in it and in what it calls."""


class CompileError(Exception):
    """The compiler refuses the source, or warns of something; the message is its log."""


def resources(code: str, architecture: str) -> dict[str, Resources]:
    """Compile CUDA C for an architecture; function to launch -> what it takes. Raises CompileError."""
    found = compiler()
    if found is None:
        raise CompileError(MISSING)
    log = found.compile(code, architecture)
    if "warning" in log:
        raise CompileError(log)
    return parsed(log)


def parsed(log: str) -> dict[str, Resources]:
    """What ptxas's log (`-v`) says of each function to launch."""
    found: dict[str, Resources] = {}
    # Functions that are called stand behind the function to launch, which is responsible for their spills.
    for part in re.split(r"(?=ptxas info\s+: Compiling entry function)", log):
        entry, registers = _ENTRY.search(part), _REGISTERS.search(part)
        if entry is None or registers is None:
            continue
        shared, frames = _SHARED.search(part), _SPILL.findall(part)
        found[entry[1]] = Resources(
            registers=int(registers[1]),
            shared_bytes=int(shared[1]) if shared else 0,
            stack_bytes=max((int(stack) for stack, _, _ in frames), default=0),
            spilled_bytes=sum(int(stores) + int(loads) for _, stores, loads in frames),
        )
    return found


class Compiler(NamedTuple):
    """A compiler that is here."""

    name: str
    """With its version."""
    compile: Callable[[str, str], str]
    """(CUDA C, architecture) -> ptxas's log. Raises CompileError."""


@functools.cache
def compiler() -> Compiler | None:
    """NVRTC if its wheel and bindings are there, which is what CuPy compiles with; else nvcc; else None."""
    if find_spec("cuda") is not None and find_spec("cuda.bindings") is not None:
        from cuda.bindings import nvrtc

        try:
            _, major, minor = nvrtc.nvrtcVersion()
        except RuntimeError:  # the bindings find no library
            pass
        else:
            return Compiler(f"NVRTC {major}.{minor}", _nvrtc)
    if nvcc := shutil.which("nvcc"):
        said = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
        version = re.search(r"release ([\d.]+)", said)
        return Compiler(f"nvcc {version[1] if version else ''}".rstrip(), functools.partial(_nvcc, nvcc))
    return None


def _nvrtc(code: str, architecture: str) -> str:
    from cuda.bindings import nvrtc

    options = [f"-arch={architecture}".encode(), *(option.encode() for option in _OPTIONS), b"--ptxas-options=-v"]
    options.append(b"--device-as-default-execution-space")  # which CuPy asks for, too
    _, program = nvrtc.nvrtcCreateProgram(code.encode(), b"kernels.cu", 0, [], [])
    try:
        (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
        _, size = nvrtc.nvrtcGetProgramLogSize(program)
        log = b" " * size  # which the next call fills
        nvrtc.nvrtcGetProgramLog(program, log)
    finally:
        nvrtc.nvrtcDestroyProgram(program)
    text = log.decode(errors="replace").rstrip("\0 ")
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise CompileError(f"{status.name}\n{text}")
    return text


def _nvcc(nvcc: str, code: str, architecture: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kernels.cu")
        file.write_text(code)
        command = [nvcc, *_OPTIONS, f"-arch={architecture}", "-cubin", "-Xptxas", "-v", "-o", f"{folder}/out", file]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise CompileError(done.stderr)
    return done.stderr
