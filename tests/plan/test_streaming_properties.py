"""Random networks, cut into steps and fed random chunks, give what onnxruntime makes of the whole signal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.plan.mosaics import in_rectangles, in_tiles
from tests.plan.networks import run_onnxruntime, signal
from tests.plan.random_layers import UNCARRIED, networks
from tests.plan.random_streams import Drawn
from wavetile.engine.graph import load_network, specialise
from wavetile.engine.plan.streaming import StreamingAxis, StreamPlan, find_axes
from wavetile.engine.plan.streaming.certificate import TOLERANCE
from wavetile.engine.session.axis_stream import AxisStream

QUIET = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def planned(drawn: Drawn, steps: Sequence[int | None]) -> StreamPlan:
    """Plan the network along every axis, with steps of these sizes."""
    network = load_network(drawn.model.SerializeToString())
    axes = [
        StreamingAxis(name, dict.fromkeys(drawn.inputs, 2 + axis))
        for axis, name in enumerate(("H", "W")[-drawn.rank :])
    ]
    shapes = dict.fromkeys(drawn.inputs, (1, drawn.channels, *[1] * drawn.rank))
    return StreamPlan(find_axes(lambda bound: specialise(network, bound, whole_scans=True), shapes, axes), steps)


def assert_near(drawn: Drawn, streamed: Mapping[str, np.ndarray], feeds: Mapping[str, np.ndarray]) -> None:
    """What was streamed is what onnxruntime makes of the whole."""
    expected = run_onnxruntime(drawn.model, feeds, as_written=True)
    for value, whole in zip(drawn.model.graph.output, expected, strict=True):
        scale = max(1.0, float(np.abs(whole).max(initial=0)))
        np.testing.assert_allclose(streamed[value.name], whole, rtol=0, atol=TOLERANCE * scale, err_msg=value.name)


def stream_axis(data: st.DataObject, backend: str) -> None:
    """One axis: chunks of any length, also empty ones."""
    drawn = data.draw(networks(1))
    (length,) = (data.draw(st.sampled_from(fitting)) for fitting in drawn.lengths)
    plan = planned(drawn, [data.draw(st.none() | st.integers(1, 12))])
    cuts = sorted(data.draw(st.lists(st.integers(0, length), max_size=8)))
    feeds = {name: signal((1, drawn.channels, length), seed) for seed, name in enumerate(drawn.inputs)}
    note(f"{length} elements, cut at {cuts}, in steps of {plan.axes[0].step} after {plan.axes[0].first}")
    stream = AxisStream(plan, backend=backend, poisoned=True)
    parts = [
        stream.process({name: whole[:, :, start:stop] for name, whole in feeds.items()})
        for start, stop in pairwise((0, *cuts, length))
    ]
    parts.append(stream.flush())
    dims = plan.bindings.dims
    joined = {name: np.concatenate([part[name] for part in parts], dims[name][0]) for name in parts[-1]}
    assert_near(drawn, joined, feeds)


def stream_raster(data: st.DataObject, backend: str) -> None:
    """Two axes: rectangles of any size."""
    drawn = data.draw(networks(2, most_layers=4, longest=32))
    size = [data.draw(st.sampled_from(fitting)) for fitting in drawn.lengths]
    plan = planned(drawn, [data.draw(st.none() | st.integers(1, 16)) for _ in range(2)])
    firsts = [axis.first + axis.timeline.grain * data.draw(st.integers(0, 2)) for axis in plan.axes]
    note(f"{size}, in steps of {[axis.step for axis in plan.axes]} after {firsts}")
    feeds = {name: signal((1, drawn.channels, *size), seed) for seed, name in enumerate(drawn.inputs)}
    assert_near(drawn, in_rectangles(plan, feeds, firsts, backend), feeds)


def scatter_tiles(data: st.DataObject, backend: str) -> None:
    """Two axes: tiles of any size in any order."""
    drawn = data.draw(networks(2, most_layers=4, longest=32, inputs=1, layers=UNCARRIED))
    size = [data.draw(st.sampled_from(fitting)) for fitting in drawn.lengths]
    tile = data.draw(st.integers(-(-max(size) // 4), max(size)))
    plan = planned(drawn, [None, None])
    order = data.draw(st.permutations(range(math.prod(-(-length // tile) for length in size))))
    note(f"{size}, in tiles of {tile}, which come as {order}")
    x = signal((1, drawn.channels, *size))
    assert_near(drawn, in_tiles(plan, x, tile, order, backend), {"x": x})


@settings(QUIET, max_examples=150)
@given(st.data())
def test_one_axis_in_chunks(data: st.DataObject) -> None:
    stream_axis(data, "cpu")


@settings(QUIET, max_examples=150)
@given(st.data())
def test_two_axes_in_rectangles(data: st.DataObject) -> None:
    stream_raster(data, "cpu")


@settings(QUIET, max_examples=100)
@given(st.data())
def test_two_axes_in_tiles_of_any_order(data: st.DataObject) -> None:
    scatter_tiles(data, "cpu")


@settings(QUIET, max_examples=20)
@given(st.data())
def test_one_axis_on_the_back_end_that_is_the_specification(data: st.DataObject) -> None:
    stream_axis(data, "reference")


@settings(QUIET, max_examples=10)
@given(st.data())
def test_two_axes_on_the_back_end_that_is_the_specification(data: st.DataObject) -> None:
    stream_raster(data, "reference")


@settings(QUIET, max_examples=5)
@given(st.data())
def test_tiles_of_any_order_on_the_back_end_that_is_the_specification(data: st.DataObject) -> None:
    scatter_tiles(data, "reference")
