"""CUDA sources compile for the oldest, a common and the newest architecture, and no kernel spills registers."""

from __future__ import annotations

import re

import pytest

from wavetile.kernels.cuda.source import FAMILIES, entries, source
from wavetile.kernels.errors import KernelError

from .compilers import ARCHITECTURES, MISSING, CompileError, Resources, compiler, parsed, resources
from .report import TARGET, table

MOST_REGISTERS = 255
SPEECH = ("chain", "conv_narrow", "copy", "dense", "gru", "gru_small", "lstm", "real_fft", "inverse_real_fft", "reduce")
"""Some kernels of the networks that the interpreter is for."""
NESTED_LOG = """\
ptxas info    : 58 bytes gmem
ptxas info    : Compiling entry function 'step_one' for 'sm_90a'
ptxas info    : Function properties for step_one
    328 bytes stack frame, 12 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers, 328 bytes cumulative stack size, 4096 bytes smem, 360 bytes cmem[0]
ptxas info    : Function properties for called
ptxas         .     0 bytes stack frame, 4 bytes spill stores, 4 bytes spill loads
ptxas info    : Compiling entry function 'wait_two' for 'sm_90a'
ptxas info    : Function properties for wait_two
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 18 registers, used 0 barriers
"""

needs_compiler = pytest.mark.skipif(compiler() is None, reason=MISSING)


@needs_compiler
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_kernel_compiles_without_spills(family: str, architecture: str) -> None:
    names = FAMILIES[family].names
    found = resources(source(names, resident=False), architecture)
    assert set(found) == {entry.function for entry in entries(names)}
    for name, taken in found.items():
        assert taken.spilled_bytes == 0, f"{name} spills {taken.spilled_bytes} bytes on {architecture}"
        assert 0 < taken.registers <= MOST_REGISTERS, f"{name} takes {taken.registers} registers on {architecture}"


@needs_compiler
def test_the_resident_interpreter_compiles_without_spills() -> None:
    walk = resources(source(SPEECH), "sm_90a")["walk"]
    assert walk.spilled_bytes == 0
    assert walk.registers * 256 <= 65536, "a block of 256 threads does not fit"


@needs_compiler
def test_what_the_compiler_refuses_is_its_log() -> None:
    with pytest.raises(CompileError, match="undefined_name"):
        resources('extern "C" __global__ void wrong(int* x) { *x = undefined_name; }', "sm_80")


def test_what_the_assembler_says_is_read_by_function() -> None:
    assert parsed(NESTED_LOG) == {"step_one": Resources(32, 4096, 328, 28), "wait_two": Resources(18, 0, 0, 0)}


def test_a_report_has_one_number_where_all_architectures_agree() -> None:
    taken = [Resources(32, 0, 328, 0), Resources(40, 0, 328, 0), Resources(40, 0, 328, 0)]
    page = table("nvcc 13.0", {"some.cuh": {"step_one": taken}})
    assert "with nvcc 13.0;" in page
    assert page.endswith("| some.cuh | `step_one` | 32, 40, 40 | 0 | 328 | 0 |\n")


def test_the_page_has_the_functions_that_there_are() -> None:
    listed = re.findall(r"^\| (\w+)\.cuh \| `(\w+)` \|", TARGET.read_text("utf-8"), re.MULTILINE)
    there = {(name, entry.function) for name, family in FAMILIES.items() for entry in entries(family.names)}
    assert set(listed) == there


def test_a_kernel_that_cuda_lacks_is_named() -> None:
    with pytest.raises(KernelError, match="'cuda' has no kernel conv_winograd; the back end 'cpu' has them all"):
        source({"copy", "conv_winograd"})
