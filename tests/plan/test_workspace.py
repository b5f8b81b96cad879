"""Workspaces and slots: a step allocates nothing, lanes are independent, slots are never shared."""

from __future__ import annotations

import ctypes
import ctypes.util
import sys
import threading
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from tests.plan.networks import parse, signal
from wavetile.engine.errors import BackendError, CapacityError, WavetileError
from wavetile.engine.graph import State, fuse, load_network, specialise
from wavetile.engine.plan import Program, StatePool, Workspace, compile_graph

RECURRENT = parse(
    "(float[1,1,5] x, float[1,1,4] h) => (float[1,1,7] y, float[1,1,4] n) "
    "{ t, n = GRU<hidden_size=4>(x, w, r, , , h) s = Squeeze(t, a) m = MatMul(s, v) y = Sigmoid(m) }",
    constants={
        "w": signal((1, 12, 5), 1),
        "r": signal((1, 12, 4), 2),
        "v": signal((4, 7), 3),
        "a": np.array([1], np.int64),
    },
)


@pytest.fixture(scope="module")
def program() -> Program:
    graph = fuse(specialise(load_network(RECURRENT.SerializeToString()), {}))
    return compile_graph(replace(graph, states=[State("h", "n", (1, 1, 4))]))


def test_state_is_neither_input_nor_output(program: Program) -> None:
    assert list(program.inputs) == ["x"]
    assert list(program.outputs) == ["y"]
    assert program.state_bytes >= 16


class _Mallinfo2(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keep",
        )
    ]


def test_step_allocates_nothing(program: Program) -> None:
    """Python's allocator, tracemalloc and (with glibc 2.33 or later) malloc see no block more after 1000 steps."""
    workspace = Workspace(program)
    libc = ctypes.CDLL(ctypes.util.find_library("c"))
    mallinfo = getattr(libc, "mallinfo2", None)
    if mallinfo is not None:
        mallinfo.restype = _Mallinfo2
    run = workspace.run
    indices = tuple(range(1000))
    for _ in indices:
        run(1)
    before = mallinfo().uordblks if mallinfo else 0
    blocks = sys.getallocatedblocks()
    for _ in indices:
        run(1)
    assert sys.getallocatedblocks() - blocks <= 2
    if mallinfo:
        assert abs(mallinfo().uordblks - before) < 1024  # the objects of this test; 1000 leaks would be far more
    tracemalloc.start()
    try:
        run(1)
        first = tracemalloc.take_snapshot()
        for _ in indices:
            run(1)
        grown = [
            d
            for d in tracemalloc.take_snapshot().compare_to(first, "filename")
            if "wavetile" in d.traceback[0].filename
        ]
        assert sum(d.size_diff for d in grown) < 1024
    finally:
        tracemalloc.stop()


def test_gil_is_released(program: Program) -> None:
    """Another Python thread makes progress while one thread is inside a single long native call."""
    model = parse(
        "(float[1,64,128,512] x) => (float[1,64,128,512] y) { y = Conv<pads=[1,1,1,1]>(x, w) }",
        constants={"w": signal((64, 64, 3, 3), 1)},
    )
    workspace = Workspace(compile_graph(fuse(specialise(load_network(model.SerializeToString()), {}))))
    workspace.run(1)
    done, ticks = threading.Event(), 0
    worker = threading.Thread(target=lambda: (workspace.run(1), done.set()))
    worker.start()
    while not done.is_set():
        ticks += 1
    worker.join()
    assert ticks > 1000


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_lanes_and_slots_do_not_mix(program: Program, backend: str) -> None:
    """Five streams stepped together in changing lanes give the bits that each gives alone."""
    frames = signal((5, 9, 1, 1, 5), 7)
    alone = []
    for stream in range(5):
        workspace = Workspace(program, backend)
        outputs = []
        for frame in frames[stream]:
            workspace.input("x")[0] = frame
            workspace.run(1)
            outputs.append(workspace.output("y")[0].copy())
        alone.append(outputs)
    pool = StatePool(program, 5)
    slots = [pool.acquire() for _ in range(5)]
    together = Workspace(program, backend, lanes=5, pool=pool)
    rng = np.random.default_rng(1)
    for step in range(9):
        order = rng.permutation(5)
        for lane, stream in enumerate(order):
            together.slots[lane] = slots[stream].place
            together.input("x")[lane] = frames[stream, step]
        together.run(5)
        for lane, stream in enumerate(order):
            assert together.output("y")[lane].tobytes() == alone[stream][step].tobytes()


def test_slots_are_fresh_and_never_given_twice(program: Program) -> None:
    pool = StatePool(program, 3)
    slots = [pool.acquire() for _ in range(3)]
    assert sorted(slot.place for slot in slots) == [0, 1, 2]
    with pytest.raises(CapacityError, match="all 3 state slots are taken"):
        pool.acquire()
    pool.write(slots[1], bytes([7]) * program.state_bytes)
    pool.release(slots[1])
    with pytest.raises(WavetileError, match="does not belong to its owner"):
        pool.release(slots[1])
    assert pool.acquire().place == slots[1].place


def test_a_released_slot_can_not_touch_its_next_owner(program: Program) -> None:
    pool = StatePool(program, 1)
    before = pool.acquire()
    pool.write(before, bytes([7]) * program.state_bytes)
    pool.release(before)
    owner = pool.acquire()
    assert owner.place == before.place
    assert not any(pool.read(owner))
    nines = bytes([9]) * program.state_bytes
    pool.write(owner, nines)
    for misuse in (pool.reset, pool.release, pool.read, lambda slot: pool.write(slot, nines)):
        with pytest.raises(WavetileError, match="state slot 0 does not belong to its owner number 0"):
            misuse(before)
    assert pool.read(owner) == nines
    assert pool.free == 0


def test_unknown_back_end_is_named(program: Program) -> None:
    with pytest.raises(BackendError, match="'abacus'"):
        Workspace(program, "abacus")
