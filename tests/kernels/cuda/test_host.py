"""The harness that runs CUDA C on the processor finds what a GPU would make of mistakes."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wavetile.kernels.cuda.source import NAMES, joined, source

from .host import COMPILER, HEADER, compiled, compiler_is_here

pytestmark = pytest.mark.skipif(not compiler_is_here(), reason=f"there is no {COMPILER} here")

THREADS = 64
ROTATE = """
static void rotate(int* values) {
    const int own = threadIdx.x, next = (own + 1) % blockDim.x;
    const int value = values[next];
    BARRIER
    values[own] = value;
}
extern "C" void run(int backwards, int* values) { host::launch({1, 1, 64}, backwards, [=] { rotate(values); }); }
"""
SUMS = """
static void sums(float* values) {
    float value = values[threadIdx.x];
    for (int apart = 16; apart > 0; apart /= 2) value += __shfl_xor_sync(0xffffffffu, value, apart);
    values[threadIdx.x] = value;
}
extern "C" void run(int backwards, float* values) { host::launch({1, 1, 64}, backwards, [=] { sums(values); }); }
"""
PRODUCT = """
// What mma.m16n8k8 does with the registers of a warp, as the PTX ISA lays them out.
static void product(const unsigned* a, const unsigned* b, float* by_fragments, float* plain) {
    const int lane = threadIdx.x;
    const Fragments own(a, 24, b, 8, lane);
    float sums[4] = {0, 0, 0, 0};
    for (int k = 0; k < 8; ++k)
        for (int i = 0; i < 4; ++i) {
            const unsigned left = __shfl_sync(0xffffffffu, own.a[k / 4 * 2 + i / 2], lane / 4 * 4 + k % 4);
            const unsigned right = __shfl_sync(0xffffffffu, own.b[k / 4], (lane % 4 * 2 + i % 2) * 4 + k % 4);
            sums[i] += __uint_as_float(left) * __uint_as_float(right);
        }
    float expected[4] = {0, 0, 0, 0};
    multiply_tile<Tf32>(expected, a, 24, b, 8, lane);
    for (int i = 0; i < 4; ++i) {
        const int place = product_row(lane, i) * 8 + product_column(lane, i);
        by_fragments[place] = sums[i], plain[place] = expected[i];
    }
}
extern "C" void run(int backwards, const unsigned* a, const unsigned* b, float* by_fragments, float* plain) {
    host::launch({1, 1, 32}, backwards, [=] { product(a, b, by_fragments, plain); });
}
"""
TOO_MANY = """
extern "C" void run() { host::launch({1, 65536, 1}, 0, [] {}); }
"""
HALVED = """
extern "C" void run(int backwards, float* values) {
    host::launch({1, 1, 64}, backwards, [=] { values[threadIdx.x] = values[threadIdx.x] * 0.5f; });
}
"""
LEFT_BEHIND = """
extern "C" void run() { host::launch({1, 1, 64}, 0, [] { if (threadIdx.x < 40) __syncthreads(); }); }
"""
WAITING_BLOCKS = """
static void pass_on(unsigned* arrived, float* values) {
    SHARED_ARENA(shared);
    float* const own = reinterpret_cast<float*>(shared);
    own[threadIdx.x] = values[blockIdx.x * blockDim.x + threadIdx.x];
    __syncthreads();
    if (threadIdx.x == 0) {
        atomicAdd(arrived, 1u);
        while (*const_cast<volatile unsigned*>(arrived) < gridDim.x) __nanosleep(20);
    }
    __syncthreads();
    values[(blockIdx.x + 1) % gridDim.x * blockDim.x + threadIdx.x] = own[blockDim.x - 1 - threadIdx.x];
}
extern "C" void run(int backwards, int together, float* values) {
    unsigned arrived = 0;
    host::launch({4, 1, 16, 64, together}, backwards, [&] { pass_on(&arrived, values); });
}
"""


def _both_ways(code: str, values: np.ndarray) -> list[np.ndarray]:
    results = []
    for backwards in (0, 1):
        result = values.copy()
        compiled(code).run(backwards, ctypes.c_void_p(result.ctypes.data))
        results.append(result)
    return results


def test_a_missing_barrier_shows() -> None:
    values = np.arange(THREADS, dtype=np.int32)
    forwards, backwards = _both_ways(ROTATE.replace("BARRIER", ""), values)
    assert forwards.tolist() != backwards.tolist()


def test_threads_wait_for_each_other_at_a_barrier() -> None:
    values = np.arange(THREADS, dtype=np.int32)
    for result in _both_ways(ROTATE.replace("BARRIER", "__syncthreads();"), values):
        assert result.tolist() == np.roll(values, -1).tolist()


def test_warps_exchange_what_their_threads_have() -> None:
    values = np.arange(THREADS, dtype=np.float32)
    for result in _both_ways(SUMS, values):
        assert result.tolist() == [values[:32].sum()] * 32 + [values[32:].sum()] * 32


@pytest.mark.parametrize("backwards", [0, 1])
def test_blocks_that_run_together_wait_for_each_other_and_have_memory_of_their_own(backwards: int) -> None:
    values = np.arange(64, dtype=np.float32)
    result = values.copy()
    compiled(WAITING_BLOCKS).run(backwards, 1, ctypes.c_void_p(result.ctypes.data))
    assert result.reshape(4, 16).tolist() == np.roll(values.reshape(4, 16)[:, ::-1], 1, axis=0).tolist()


def test_blocks_that_wait_for_those_that_run_later_end_the_process(tmp_path: Path) -> None:
    library = compiled(WAITING_BLOCKS)
    script = f"import ctypes; ctypes.CDLL({library._name!r}).run(0, 0, (ctypes.c_float * 64)())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode < 0
    assert "waits for what others do not reach" in done.stderr


def test_a_barrier_that_some_threads_do_not_reach_ends_the_process(tmp_path: Path) -> None:
    library = compiled(LEFT_BEHIND)
    script = f"import ctypes; ctypes.CDLL({library._name!r}).run()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode < 0
    assert "waits for what others do not reach" in done.stderr


def test_a_launch_that_no_card_takes_ends_the_process(tmp_path: Path) -> None:
    library = compiled(TOO_MANY)
    script = f"import ctypes; ctypes.CDLL({library._name!r}).run()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode < 0
    assert "a launch that no card takes" in done.stderr


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="others have no switch for it")
def test_denormals_count_as_zero_as_on_a_card() -> None:
    values = np.full(THREADS, 1.5 * 2.0**-126, np.float32)
    for result in _both_ways(HALVED, values):
        assert not result.any()
    assert (values * np.float32(0.5)).all(), "elsewhere they are kept"


def test_all_files_go_together(tmp_path: Path) -> None:
    """A program may have kernels of any of them: no two define the same name."""
    code = tmp_path / "all.cpp"
    code.write_text(f"{HEADER.read_text()}\n{source(NAMES)}")
    done = subprocess.run([COMPILER, "-std=c++17", "-fsyntax-only", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_tile_is_shared_out_as_tensor_cores_take_it() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-9, 9, shape).astype(np.float32) for shape in ((8, 24), (8, 8)))
    results = np.zeros((2, 16, 8), np.float32)
    code = joined(["tile_product.cuh"], PRODUCT)
    compiled(code).run(0, *(ctypes.c_void_p(array.ctypes.data) for array in (a, b, results[0], results[1])))
    for result in results:
        np.testing.assert_array_equal(result, a[:, :16].T @ b)
