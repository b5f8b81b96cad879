"""Which function runs an instruction by itself, and on how many blocks."""

from __future__ import annotations

from typing import Any

import pytest

from wavetile.kernels.contract import ElementType, Space, TensorRef
from wavetile.kernels.cuda.lanes import LANES_BYTES
from wavetile.kernels.cuda.launch import Launch, launch
from wavetile.kernels.cuda.limits import Limits
from wavetile.kernels.opcodes import Activation
from wavetile.kernels.schemas import KERNEL_BY_NAME
from wavetile.kernels.schemas.half import HALF

from ..harness import dense_strides

H100 = Limits(multiprocessors=132, shared_bytes=232_448)


def tensor(*shape: int, space: Space = Space.ARENA, element: ElementType = ElementType.FLOAT32) -> TensorRef:
    return TensorRef(space, 0, shape, dense_strides(shape), element)


def layer(kernel: str, time: int, batch: int, hidden: int, lanes: int = 1, **changed: Any) -> Launch:
    """The launch, on an H100, of a layer whose input is as wide as its state."""
    packed = tensor(1, space=Space.WEIGHTS, element=ElementType.INT32 if kernel.endswith(HALF) else ElementType.FLOAT32)
    operands = {
        "x": tensor(time, batch, hidden),
        "input_weights": packed,
        "hidden_weights": packed,
        "bias": tensor(1, space=Space.WEIGHTS),
        "y": tensor(time, batch, hidden),
        "reverse": 0,
        "scratch": tensor(1),
    }
    if kernel.startswith("gru"):
        operands |= {"linear_before_reset": 1, "candidate": Activation.TANH}
    return launch(KERNEL_BY_NAME[kernel], KERNEL_BY_NAME[kernel].encode(operands | changed), lanes, H100)


def test_a_step_reads_its_weights_once_for_up_to_16_rows_of_any_streams() -> None:
    for lanes, batch, groups in [(1, 1, 1), (16, 1, 1), (17, 1, 2), (5, 8, 3)]:
        one = layer("lstm", 1, batch, 1024, lanes)
        assert (one.entry.function, one.grid, one.threads) == ("lstm_lanes", (128 * groups, 1), 256)
        assert one.arrivals == 2 * groups
        assert not one.cooperative


@pytest.mark.parametrize(("kernel", "gate_bytes"), [("lstm", 16), ("lstm_half", 8), ("gru", 12), ("gru_half", 6)])
def test_a_sequence_holds_its_weights_on_blocks_that_all_run_together(kernel: str, gate_bytes: int) -> None:
    for hidden, units in [(128, 4), (256, 4), (512, 4), (1024, 8)]:
        for lanes in (1, 8):
            one = layer(kernel, 100, 1, hidden, lanes)
            assert (one.entry.function, one.grid) == (f"{kernel}_lanes", (hidden // units, 1))
            assert (one.threads, one.cooperative) == (32 * units, True)
            assert one.shared_bytes == LANES_BYTES + units * hidden * gate_bytes <= H100.shared_bytes


def test_weights_that_no_block_can_hold_are_read_at_each_step() -> None:
    assert layer("lstm", 100, 1, 1280).shared_bytes == LANES_BYTES
    assert layer("lstm_half", 100, 1, 1280).shared_bytes > LANES_BYTES


def test_more_rows_take_larger_parts_and_then_a_block_each() -> None:
    assert layer("gru", 10, 16, 512).grid == (128, 1)
    assert layer("gru", 10, 64, 512).grid == (32 * 4, 1)
    alone = layer("gru", 10, 16, 512, 30)
    assert (alone.entry.function, alone.grid, alone.cooperative) == ("gru_block", (1, 30), False)


def test_small_sequences_and_what_waits_twice_a_step_stay_in_one_block() -> None:
    assert layer("gru", 10, 1, 64, 3).entry.function == "gru_block"
    assert layer("gru", 1, 1, 512, 3, linear_before_reset=0).entry.function == "gru_block"


def test_weights_of_a_lane_of_its_own_are_not_taken_for_all() -> None:
    assert layer("lstm", 1, 1, 128, bias=tensor(1)).entry.function == "lstm_block"


def test_other_kernels_have_blocks_of_each_lane_as_they_have_work() -> None:
    zeros = KERNEL_BY_NAME["fill"].encode({"y": tensor(1, 1, 1, 1, 30, 1000), "value": 0.0})
    assert launch(KERNEL_BY_NAME["fill"], zeros, 7, Limits(threads=256, blocks=64)).grid == (64, 7)
    assert launch(KERNEL_BY_NAME["fill"], zeros, 7, Limits(threads=256)).grid == (118, 7)


def test_what_combines_its_inputs_has_threads_for_them() -> None:
    kernel, index = KERNEL_BY_NAME["top_k"], ElementType.INT64
    operands = {"x": tensor(1, 8400, 1), "values": tensor(1, 100, 1), "indices": tensor(1, 100, 1, element=index)}
    assert launch(kernel, kernel.encode({**operands, "largest": 1}), 1, Limits(threads=256)).grid == (33, 1)
