"""Weights that arrive: packed by a table of indices, exact for any number of elements, and each lane has its own."""

from __future__ import annotations

import numpy as np
import pytest

from tests.plan import cases_arriving, cases_volumes  # noqa: F401  (they fill CASES)
from tests.plan.cases import CASES
from tests.plan.networks import compile_model, parse, run_program, signal
from wavetile.engine.plan import Workspace
from wavetile.engine.plan.builder import Builder
from wavetile.engine.plan.rules.arriving import Weights
from wavetile.kernels import packing

ARRIVING = [name for name in CASES if name.startswith("arriving_")]


@pytest.mark.parametrize("name", ARRIVING)
def test_each_lane_has_weights_of_its_own(name: str) -> None:
    body, inputs, constants, opset = CASES[name]
    feeds = [
        {key: signal(shape, 7 * lane + seed) for seed, (key, shape) in enumerate(inputs.items())} for lane in (0, 1, 2)
    ]
    program = compile_model(parse(body, opset=opset, constants=constants), feeds[0])
    workspace = Workspace(program, "cpu", 3)
    for lane, lane_feeds in enumerate(feeds):
        for key, value in lane_feeds.items():
            workspace.input(key)[lane] = value
    workspace.run(3)
    for lane, lane_feeds in enumerate(feeds):
        alone = run_program(program, lane_feeds, "cpu")
        for key, value in alone.items():
            np.testing.assert_array_equal(workspace.output(key)[lane], value)


def test_numbers_of_elements_beyond_what_float32_holds() -> None:
    builder = Builder()
    outputs, inputs = 4097, 4099
    weights = Weights.from_view(builder, builder.allocate((outputs, inputs)))
    packed = weights.packed(builder, lambda w: packing.dense(w[-20:]))
    indices = builder.instructions[-1].operands["indices"].array
    assert packed.shape == indices.shape
    expected = np.arange(outputs * inputs, dtype=np.int64).reshape(outputs, inputs)[-20:]
    panels = packing.unpack_panels(np.arange(len(indices), dtype=np.int64), 20, inputs)
    np.testing.assert_array_equal(indices[panels], expected)


def test_padding_becomes_zeros() -> None:
    builder = Builder()
    Weights.from_view(builder, builder.allocate((3,))).packed(builder, packing.bias)
    assert builder.instructions[-1].operands["indices"].array.tolist() == [0, 1, 2] + [-1] * 13
