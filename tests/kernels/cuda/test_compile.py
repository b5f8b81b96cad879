"""CUDA sources compile for the oldest, a common and the newest architecture, and no kernel spills registers."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from wavetile.kernels.cuda.source import NAMES, entries, source
from wavetile.kernels.errors import KernelError

ARCHITECTURES = ("sm_75", "sm_80", "sm_90a")
MOST_REGISTERS = 255
SPEECH = ("chain", "conv_narrow", "copy", "dense", "gru", "gru_small", "lstm", "real_fft", "inverse_real_fft", "reduce")
"""Some kernels of the networks that the interpreter is for."""
_ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
_SPILL = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")
_REGISTERS = re.compile(r"Used (\d+) registers")


def resources(architecture: str, code: str, folder: Path) -> dict[str, tuple[int, int]]:
    """What the assembler says of each function to launch: registers of a thread, and bytes spilled."""
    compiler = shutil.which("nvcc")
    if compiler is None:
        pytest.skip("there is no nvcc here")
    file = folder / "kernels.cu"
    file.write_text(code)
    command = [compiler, "-std=c++17", f"-arch={architecture}", "-cubin", "-Xptxas", "-v", "-o", folder / "out", file]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr, done.stderr
    found: dict[str, tuple[int, int]] = {}
    entry, spilled = "", 0
    for line in done.stderr.splitlines():
        if match := _ENTRY.search(line):
            entry, spilled = match[1], 0
        elif match := _SPILL.search(line):
            spilled += int(match[1]) + int(match[2])
        elif match := _REGISTERS.search(line):
            found[entry] = int(match[1]), spilled
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_kernel_compiles_without_spills(architecture: str, tmp_path: Path) -> None:
    found = resources(architecture, source(NAMES, resident=False), tmp_path)
    assert set(found) == {entry.function for entry in entries(NAMES)}
    for name, (registers, spilled) in found.items():
        assert spilled == 0, f"{name} spills {spilled} bytes on {architecture}"
        assert 0 < registers <= MOST_REGISTERS, f"{name} takes {registers} registers on {architecture}"


def test_the_resident_interpreter_compiles_without_spills(tmp_path: Path) -> None:
    registers, spilled = resources("sm_90a", source(SPEECH), tmp_path)["walk"]
    assert spilled == 0
    assert registers * 256 <= 65536, "a block of 256 threads does not fit"


def test_a_kernel_that_cuda_lacks_is_named() -> None:
    with pytest.raises(KernelError, match="'cuda' has no kernel non_zero, unique; the back end 'cpu' has them all"):
        source({"unique", "copy", "non_zero"})
