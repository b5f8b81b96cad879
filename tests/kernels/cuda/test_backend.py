"""Programs on a card: memory is counted and given back, executors are measured, errors say what is missing."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from tests.plan.networks import parse, signal
from wavetile.engine.errors import BackendError
from wavetile.engine.graph import State, fuse, load_network, specialise
from wavetile.engine.plan import Program, SharedArena, StatePool, Workspace, compile_graph, devices
from wavetile.kernels.cuda import executors
from wavetile.kernels.cuda.backend import CudaBackend
from wavetile.kernels.cuda.budget import in_bytes, read_bytes
from wavetile.kernels.cuda.device import DeviceError

from .host import COMPILER, HELD, compiler_is_here
from .host_device import HostDevice, cuda_on_host

pytestmark = pytest.mark.skipif(not compiler_is_here(), reason=f"there is no {COMPILER} here")

EXECUTORS = pytest.mark.parametrize("executor", ["resident", "graph"])
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
LAYERS = parse(
    "(float[6,1,5] x) => (float[6,1,7] y) "
    "{ t = LSTM<hidden_size=20>(x, w, r) s = Squeeze(t, a) m = MatMul(s, v) y = Sigmoid(m) }",
    constants={
        "w": signal((1, 80, 5), 1),
        "r": signal((1, 80, 20), 2),
        "v": signal((20, 7), 3),
        "a": np.array([1], np.int64),
    },
)


@pytest.fixture(scope="module")
def program() -> Program:
    graph = fuse(specialise(load_network(RECURRENT.SerializeToString()), {}))
    return compile_graph(replace(graph, states=[State("h", "n", (1, 1, 4))]), name="counter")


@pytest.fixture(scope="module")
def layers() -> Program:
    return compile_graph(fuse(specialise(load_network(LAYERS.SerializeToString()), {})), name="layers")


@EXECUTORS
def test_a_step_allocates_nothing(program: Program, executor: str) -> None:
    with cuda_on_host(prefers=executor) as backend:
        workspace = Workspace(program, "cuda", 3)
        for lanes in (1, 2, 3):
            workspace.run(lanes)
        device = backend.device
        assert isinstance(device, HostDevice)
        made, taken = device.made, backend.budget.taken_bytes
        device.launched.clear()
        tracemalloc.start()
        try:
            first = tracemalloc.take_snapshot()
            for step in range(60):
                workspace.run(1 + step % 3)
            grown = tracemalloc.take_snapshot().compare_to(first, "filename")
        finally:
            tracemalloc.stop()
        assert (device.made, backend.budget.taken_bytes) == (made, taken)
        assert sum(one.size_diff for one in grown if "kernels/cuda" in one.traceback[0].filename) < 4096
        assert {name == "walk" for name in device.launched} == {executor == "resident"}


@EXECUTORS
@pytest.mark.parametrize("shared_bytes", [99 * 1024, 0])
def test_lanes_and_slots_do_not_mix(program: Program, executor: str, shared_bytes: int) -> None:
    """Streams stepped together in changing lanes give the bits that each gives alone, wherever the arenas are."""
    frames = signal((3, 4, 1, 1, 5), 7)
    with cuda_on_host(prefers=executor, shared_bytes=shared_bytes):
        alone = []
        for stream in range(3):
            workspace = Workspace(program, "cuda")
            for frame in frames[stream]:
                workspace.input("x")[0] = frame
                workspace.run(1)
                alone.append(workspace.output("y")[0].copy())
        pool = StatePool(program, 4, "cuda")
        slots = [pool.acquire() for _ in range(3)]
        together = Workspace(program, "cuda", 5, pool)
        rng = np.random.default_rng(1)
        for step in range(4):
            order = rng.permutation(3)
            together.poison()
            for lane, stream in enumerate(order):
                together.slots[lane] = slots[stream].place
                together.input("x")[lane] = frames[stream, step]
            together.run(3)
            for lane, stream in enumerate(order):
                assert together.output("y")[lane].tobytes() == alone[4 * stream + step].tobytes()
            assert np.isnan(together.output("y")[3:]).all()


def test_a_graph_takes_lanes_together(layers: Program) -> None:
    with cuda_on_host(prefers="graph", limits=HELD) as backend:
        together, alone = Workspace(layers, "cuda", 5), Workspace(layers, "cuda")
        native = Workspace(layers, "cpu", 5)
        device = backend.device
        assert isinstance(device, HostDevice)
        for step, lanes in enumerate((5, 3, 5)):
            device.launched.clear()
            for workspace in (together, native):
                workspace.input("x")[...] = signal((5, *workspace.input("x").shape[1:]), step)
                workspace.run(lanes)
            assert {"lstm_lanes", "dense_lanes"} <= set(device.launched)
            np.testing.assert_allclose(together.output("y")[:lanes], native.output("y")[:lanes], rtol=0, atol=2e-6)
            alone.input("x")[0] = together.input("x")[2]
            alone.run(1)
            assert alone.output("y")[0].tobytes() == together.output("y")[2].tobytes()


def test_states_are_the_same_bytes_as_on_the_host(program: Program) -> None:
    with cuda_on_host():
        pools = StatePool(program, 2, "cuda"), StatePool(program, 2)
        slots = [pool.acquire() for pool in pools]
        assert pools[0].read(slots[0]) == pools[1].read(slots[1]) == program.initial_state.tobytes()
        for pool, slot, backend in zip(pools, slots, ("cuda", "cpu"), strict=True):
            workspace = Workspace(program, backend, 1, pool)
            workspace.slots[0] = slot.place
            workspace.input("x")[0] = signal((1, 1, 5), 9)
            workspace.run(1)
        ours, theirs = (np.frombuffer(pool.read(slot), np.float32) for pool, slot in zip(pools, slots, strict=True))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
        pools[1].write(slots[1], pools[0].read(slots[0]))
        assert pools[1].read(slots[1]) == pools[0].read(slots[0])
        with pytest.raises(ValueError, match="a state of 3 bytes"):
            pools[0].write(slots[0], b"abc")


def test_measuring_leaves_slots_alone(program: Program) -> None:
    with cuda_on_host():
        pool = StatePool(program, 1, "cuda")
        slot = pool.acquire()
        state = bytes(range(1, 1 + program.state_bytes))
        pool.write(slot, state)
        Workspace(program, "cuda", 1, pool)
        assert pool.read(slot) == state


def test_weights_are_on_the_card_once(program: Program) -> None:
    with cuda_on_host() as backend:
        workspaces = [Workspace(program, "cuda")]
        first = backend.budget.taken_bytes
        assert first >= len(program.weights)
        workspaces.append(Workspace(program, "cuda"))
        assert backend.budget.taken_bytes - first < len(program.weights) + first // 2
        once = {id(backend._weights.of(program)) for _ in workspaces}
        assert len(once) == 1


def test_memory_comes_back(program: Program) -> None:
    other = replace(program, weights=program.weights.copy())
    with cuda_on_host() as backend:
        pool = StatePool(other, 8, "cuda")
        workspace = Workspace(other, "cuda", 2, pool)
        assert backend.budget.taken_bytes
        del pool, workspace, other
        gc.collect()
        assert backend.budget.taken_bytes == 0


def test_too_little_memory_says_for_what(program: Program) -> None:
    with cuda_on_host(memory_bytes=4096), pytest.raises(BackendError) as caught:
        StatePool(program, 4096, "cuda")
    assert "counter: the states of 4096 streams need 0.25 MiB" in str(caught.value)
    assert "of the 0.00391 MiB that models may take 0.00391 MiB are left" in str(caught.value)
    assert "a larger WAVETILE_DEVICE_MEMORY, or fewer streams or models, would work" in str(caught.value)
    with cuda_on_host(16), pytest.raises(BackendError, match="counter: activations of 1 at a time need"):
        SharedArena("cuda").bind(program)
    with (
        cuda_on_host(1 << 30, total_bytes=1024) as backend,
        pytest.raises(BackendError, match=r"bytes wanted; \d+ are free"),
    ):
        StatePool(program, 64, "cuda")
    assert backend.budget.taken_bytes == 0


def test_what_models_may_take_is_a_share_of_what_is_free() -> None:
    with cuda_on_host(memory_bytes=None) as backend:
        assert backend.budget.limit_bytes < backend.device.memory_bytes()[0]
    assert in_bytes(3 << 29) == "1.5 GiB"


@EXECUTORS
def test_the_faster_executor_is_taken(program: Program, executor: str) -> None:
    with cuda_on_host(prefers=executor):
        choices = Workspace(program, "cuda", 5).choices
    assert [choice.lanes for choice in choices] == [1, 2, 4, 5]
    for choice in choices:
        assert choice.executor.startswith(executor)
        assert choice.step_us[choice.executor] == min(choice.step_us.values())
        assert len(choice.step_us) == 2
        assert not choice.ruled_out


def test_each_number_of_lanes_has_its_executor(program: Program) -> None:
    with cuda_on_host(prefers="resident up to 2") as backend:
        workspace = Workspace(program, "cuda", 5)
        assert [choice.executor.split()[0] for choice in workspace.choices] == [
            "resident",
            "resident",
            "graph",
            "graph",
        ]
        device = backend.device
        assert isinstance(device, HostDevice)
        for lanes, resident in ((1, True), (2, True), (3, False), (4, False), (5, False)):
            device.launched.clear()
            workspace.run(lanes)
            assert ("walk" in device.launched) == resident


def test_executors_are_measured_once(program: Program) -> None:
    with cuda_on_host() as backend:
        first = Workspace(program, "cuda", 2)
        device = backend.device
        assert isinstance(device, HostDevice)
        device.launched.clear()
        second = Workspace(program, "cuda", 2)
        assert second.choices is first.choices
        assert not device.launched
        assert Workspace(program, "cuda", 1).choices is not first.choices


def test_many_activations_are_not_tried_on_one_block() -> None:
    model = parse("(float[600,500] x) => (float[600,500] y) { y = Sigmoid(x) }", constants={})
    with cuda_on_host():
        choice = Workspace(
            compile_graph(fuse(specialise(load_network(model.SerializeToString()), {}))), "cuda"
        ).choices[0]
    assert choice.executor.startswith("graph")
    assert choice.ruled_out.endswith("MiB of activations are too many for one block; up to 1 MiB are tried")


def test_much_arithmetic_is_not_tried_on_one_block() -> None:
    model = parse(
        "(float[1,64,28,28] x) => (float[1,64,28,28] y) { y = Conv<pads=[2,2,2,2]>(x, w) }",
        constants={"w": signal((64, 64, 5, 5), 1)},
    )
    with cuda_on_host():
        choice = Workspace(
            compile_graph(fuse(specialise(load_network(model.SerializeToString()), {}))), "cuda"
        ).choices[0]
    assert list(choice.step_us) == [choice.executor]
    assert choice.ruled_out.endswith("million multiply-adds a step are too many for one block; up to 50 are tried")


def test_graphs_are_not_kept_without_end(layers: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "MOST_RECORDED", 2 * len(layers.table.kernels))
    with cuda_on_host(prefers="graph", limits=HELD) as backend:
        workspace, alone = Workspace(layers, "cuda", 5), Workspace(layers, "cuda")
        device = backend.device
        assert isinstance(device, HostDevice)
        device.recorded = 0
        for lanes in (5, 3, 4, 2):
            workspace.input("x")[...] = signal((5, *workspace.input("x").shape[1:]), lanes)
            workspace.run(lanes)
            alone.input("x")[0] = workspace.input("x")[lanes - 1]
            alone.run(1)
            assert workspace.output("y")[lanes - 1].tobytes() == alone.output("y")[0].tobytes()
        assert device.recorded == 2 + 1, "two graphs of the one, and one of the other"


def test_more_lanes_than_a_launch_takes_are_refused(program: Program) -> None:
    with cuda_on_host(), pytest.raises(BackendError, match="65536 lanes are too many for one launch; up to 65535"):
        Workspace(program, "cuda", 65_536)


def test_an_old_card_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"the processor has compute capability 7\.0; 7\.5 \(Turing\) or a later"):
        CudaBackend(HostDevice(compute_capability=(7, 0)))


def test_without_cupy_the_extra_is_named(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(devices._OPENED, "backend", None)
    with pytest.raises(BackendError, match=r"needs CuPy.*pip install 'wavetile\[cuda\]'.*'wavetile\[cuda12\]'"):
        Workspace(program, "cuda")


def test_slots_of_another_back_end_are_refused(program: Program) -> None:
    with cuda_on_host(), pytest.raises(BackendError, match="slots of its streams have to lie on the card"):
        Workspace(program, "cuda", 1, StatePool(program, 1))


@pytest.mark.parametrize(("text", "count"), [("500", 500), ("3K", 3072), ("2M", 2 << 20), ("8G", 8 << 30)])
def test_limits_are_read(text: str, count: int) -> None:
    assert read_bytes(text) == count


@pytest.mark.parametrize("text", ["", "0", "-1", "8T", "1.5G", "G"])
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(ValueError, match="8G or 500M would work"):
        read_bytes(text)
