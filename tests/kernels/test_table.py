"""Memory of programs: aligned, zeroed, and a process's own."""

from __future__ import annotations

import os

import pytest

from wavetile.kernels.contract import ALIGNMENT_BYTES
from wavetile.kernels.table import HUGE_PAGE_BYTES, aligned_bytes


@pytest.mark.parametrize("size", [64, HUGE_PAGE_BYTES // 2, 3 * HUGE_PAGE_BYTES])
def test_blocks_are_aligned_and_zeroed(size: int) -> None:
    block = aligned_bytes(2, size)
    assert block.shape == (2, size)
    assert block.ctypes.data % ALIGNMENT_BYTES == 0
    assert not block.any()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_writes_into_memory_of_its_own() -> None:
    block = aligned_bytes(2 * HUGE_PAGE_BYTES)
    child = os.fork()
    if child == 0:
        block[:] = 7
        os._exit(0)
    os.waitpid(child, 0)
    assert not block.any()
