"""Packed weights: programs of one memory share what is equal, bit for bit, and steps of a plan have one arena."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from tests.plan.networks import parse, signal
from wavetile.engine.graph import load_network, specialise
from wavetile.engine.plan.streaming import Steps, StreamingAxis, StreamPlan, find_axes
from wavetile.engine.plan.view import Buffer
from wavetile.engine.plan.weights import WeightMemory
from wavetile.kernels import host
from wavetile.kernels.contract import Space
from wavetile.kernels.table import aligned_bytes


def constant(*values: float, dtype: str = "float32") -> Buffer:
    return Buffer(Space.WEIGHTS, np.array(values, dtype))


def read(memory: np.ndarray, buffer: Buffer) -> np.ndarray:
    return memory[buffer.byte_range()].view(buffer.phantom.dtype)


def test_equal_constants_of_two_programs_lie_there_once() -> None:
    weights = WeightMemory(room=2)
    first, second = [constant(1, 2, 3), constant(4)], [constant(5), constant(1, 2, 3)]
    before, after = weights.place(first), weights.place(second)
    assert second[1].start_bytes == first[0].start_bytes
    assert after[: len(before)].ctypes.data == before.ctypes.data
    for memory, buffers in ((before, first), (after, second)):
        assert not memory.flags.writeable
        for buffer in buffers:
            np.testing.assert_array_equal(read(memory, buffer), buffer.phantom)


def test_constants_are_told_apart_by_type_and_bits() -> None:
    buffers = [constant(0.0), constant(-0.0), constant(0, dtype="int32"), constant(np.nan), constant(0.0, 0.0)]
    WeightMemory().place(buffers)
    assert len({buffer.start_bytes for buffer in buffers}) == len(buffers)


def test_a_memory_without_room_is_left_to_who_reads_it() -> None:
    weights = WeightMemory(room=2)
    first, second = [constant(1), constant(2)], [constant(*[3] * 1000), constant(1)]
    before = weights.place(first)
    after = weights.place(second)
    for memory, buffers in ((before, first), (after, second)):
        for buffer in buffers:
            np.testing.assert_array_equal(read(memory, buffer), buffer.phantom)


def streamed(step: int) -> StreamPlan:
    model = parse(
        "(float[1,8,T] x) => (float[1,16,U] y) { c = Conv<pads=[1, 1]>(x, v) y = Conv<pads=[2, 2]>(c, w) }",
        constants={"v": signal((16, 8, 3)), "w": signal((16, 16, 5), 1)},
    )
    network = load_network(model.SerializeToString())
    bindings = find_axes(
        lambda shapes: specialise(network, shapes), {"x": (1, 8, 1)}, [StreamingAxis("time", {"x": 2})]
    )
    return StreamPlan(bindings, [step])


def test_the_steps_of_a_plan_share_their_weights() -> None:
    plan = streamed(step=64)
    (axis,) = plan.axes
    kinds = [axis.kind(0, 64, ended=False), axis.kind(64, 128, ended=False), axis.kind(128, 192, ended=True)]
    programs = [plan.step((kind,)).program for kind in kinds]
    assert len({id(program) for program in programs}) == 3
    assert len({program.weights.ctypes.data for program in programs if program}) == 1
    sizes = [program.weight_bytes for program in programs if program]
    assert min(sizes) >= 4 * (16 * 8 * 3 + 16 * 16 * 5)
    assert max(len(program.weights) for program in programs if program) < 1.5 * max(sizes)


def test_plans_in_other_steps_share_their_weights() -> None:
    plan = streamed(step=64)
    plans = [plan, plan.in_steps([128]), plan.in_steps([64]).in_steps([256])]
    kinds = [one.axes[0].kind(0, one.axes[0].step, ended=False) for one in plans]
    programs = [one.step((kind,)).program for one, kind in zip(plans, kinds, strict=True)]
    assert len({id(program) for program in programs}) == 3
    assert len({program.weights.ctypes.data for program in programs if program}) == 1
    assert max(len(program.weights) for program in programs if program) < 1.5 * min(
        program.weight_bytes for program in programs if program
    )


def test_the_steps_of_a_plan_keep_one_arena(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that needs a larger one leaves nothing of the smaller behind."""
    plan = streamed(step=64)
    (axis,) = plan.axes
    steps = Steps(plan)
    arenas: list[weakref.ref] = []

    def recorded(*shape: int) -> np.ndarray:
        memory = aligned_bytes(*shape)
        if len(shape) == 2 and shape[1] > 1000:
            arenas.append(weakref.ref(memory.base))  # what all views of it hold on to
        return memory

    monkeypatch.setattr(host, "aligned_bytes", recorded)
    for before, after in ((0, 64), (64, 512)):
        kind = axis.kind(before, after, ended=False)
        steps.run((kind,), {"x": signal((1, 8, after - before))})
    gc.collect()
    assert [arena() is None for arena in arenas] == [True, False]
