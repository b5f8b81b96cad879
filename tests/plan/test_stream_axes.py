"""Where a network streams is seen from bindings that are long enough; what can not be bound is told why."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.plan.networks import parse, run_onnxruntime, signal
from wavetile.engine.errors import ModelError, UnsupportedError
from wavetile.engine.graph import load_network, specialise
from wavetile.engine.plan.streaming import Bindings, StreamingAxis, StreamPlan, certify, find_axes
from wavetile.engine.session.axis_stream import AxisStream


def found(model: onnx.ModelProto, shapes: dict[str, tuple[int, ...]], dims: dict[str, int]) -> Bindings:
    network = load_network(model.SerializeToString())
    return find_axes(lambda sizes: specialise(network, sizes), shapes, [StreamingAxis("T", dims)])


def test_frames_that_are_longer_than_the_shortest_bindings_are_seen_to_grow() -> None:
    """Up to 191 samples make one frame, as half as many do."""
    model = parse(
        "(float[1,1,T] x) => (float[1,2,F] y) { y = Conv<kernel_shape=[64], strides=[128]>(x, k) }",
        constants={"k": signal((2, 1, 64))},
    )
    plan = StreamPlan(found(model, {"x": (1, 1, 1)}, {"x": 2}))
    assert plan.axes[0].timeline.grain == 128
    assert certify(plan).max_difference < 1e-6


def test_a_network_that_takes_its_state_is_a_step_already() -> None:
    model = parse(
        "(float[1,2,T] x, float[1,2,3] h) => (float[1,2,T] y, float[1,2,3] n) "
        "{ a = Concat<axis=2>(h, x) y = Conv<kernel_shape=[4], group=2>(a, k) n = Slice(a, first, last, two) }",
        constants={
            "k": signal((2, 1, 4)),
            "first": np.array([-3], np.int64),
            "last": np.array([1 << 40], np.int64),
            "two": np.array([2], np.int64),
        },
    )
    with pytest.raises(UnsupportedError, match=r"do not arrive along 'T': 'h'\. .* make it a step already"):
        found(model, {"x": (1, 2, 1), "h": (1, 2, 3)}, {"x": 2})


def test_a_network_of_one_length_is_refused_with_the_node_that_has_it() -> None:
    model = parse(
        "(float[1,T] x) => (float[7,7] y) { y = Reshape(x, shape) }", constants={"shape": np.array([7, 7], np.int64)}
    )
    with pytest.raises(
        UnsupportedError, match=r"no other length along 'T' .*Model.windows on windows of that length.* Reshape"
    ):
        found(model, {"x": (1, 49)}, {"x": 1})


def test_a_convolution_goes_before_the_resize_that_a_step_cuts() -> None:
    """A step slices what it has enlarged, so that fusing it comes too late to swap the two."""
    model = parse(
        '(float[1,4,T,6] x) => (float[1,2,U,12] y) { a = Resize<mode="linear">(x, , s) y = Conv(a, k) }',
        constants={"k": signal((2, 4, 1, 1)), "s": np.array([1, 1, 2, 2], np.float32)},
    )
    bindings = found(model, {"x": (1, 4, 1, 6)}, {"x": 2})
    assert [node.op for node in bindings.graph.nodes] == ["Conv", "Resize"]
    assert certify(StreamPlan(bindings, [8])).max_difference < 1e-5


def test_a_sequence_along_the_axis_is_refused() -> None:
    """Taken apart, it has as many tensors as the signal elements."""
    model = parse("(float[T,2] x) => (float[2,T] y) { s = SplitToSequence(x) y = ConcatFromSequence<axis=1>(s) }")
    with pytest.raises(UnsupportedError, match=r"Concat 'Concat_64': there is another node .*; what works: Model\.run"):
        found(model, {"x": (1, 2)}, {"x": 0})


@pytest.mark.parametrize(("stride", "factor"), [(1, 1), (6, 4), (11, 1), (13, 7), (256, 3)])
def test_the_grain_is_the_shortest_step_that_moves_every_value_on_by_whole_elements(stride: int, factor: int) -> None:
    model = parse(
        "(float[1,2,T] x) => (float[1,2,U] y, float[1,2,V] z) "
        f"{{ y = MaxPool<kernel_shape=[2], strides=[{stride}]>(x) z = Resize(x, , s) }}",
        constants={"s": np.array([1, 1, factor], np.float32)},
    )
    (axis,) = StreamPlan(found(model, {"x": (1, 2, 1)}, {"x": 2})).axes
    assert axis.timeline.grain == stride
    assert axis.timeline.rates == {"x": stride, "y": 1, "z": stride * factor}


def test_a_plan_in_other_steps_shares_what_is_known_of_its_axes() -> None:
    model = parse("(float[1,2,T] x) => (float[1,2,U] y) { y = MaxPool<kernel_shape=[2], strides=[2]>(x) }")
    plan = StreamPlan(found(model, {"x": (1, 2, 1)}, {"x": 2}))
    longer = plan.in_steps([3])
    assert (plan.axes[0].step, longer.axes[0].step) == (2, 4)
    assert longer.axes[0].timeline is plan.axes[0].timeline
    assert certify(longer).max_difference == 0


GROUPED = (
    "{{ a = Conv<pads=[0, {more}]>(x, w) r = Reshape(a, s) t = Transpose<perm=[0, 1, 3, 2]>(r) y = Reshape(t, u) }}"
)


@pytest.mark.parametrize(
    ("more", "groups", "grain", "lengths"),
    [(0, 4, 4, (5, 6)), (1, 3, 3, (6, 7)), (0, 5, 5, (11, 10)), (0, 7, 7, (8, 9)), (1, 22, 22, (44, 45))],
)
def test_lengths_that_leave_a_rest(more: int, groups: int, grain: int, lengths: tuple[int, int]) -> None:
    """What the convolution leaves of the signal is taken in groups: of two lengths the first is taken alone."""
    model = parse(
        "(float[1,2,T] x) => (float[1,C,U] y) " + GROUPED.format(more=more),
        constants={
            "w": signal((2, 2, 2)),
            "s": np.array([1, 2, -1, groups], np.int64),
            "u": np.array([1, 2 * groups, -1], np.int64),
        },
    )
    plan = StreamPlan(found(model, {"x": (1, 2, 1)}, {"x": 2}))
    assert plan.axes[0].timeline.grain == grain
    assert certify(plan).max_difference < 1e-6
    stream = AxisStream(plan)
    x = signal((1, 2, lengths[0]), 1)
    (whole,) = run_onnxruntime(model, {"x": x})
    streamed = [stream.process({"x": x[:, :, :3]})["y"], stream.process({"x": x[:, :, 3:]})["y"], stream.flush()["y"]]
    np.testing.assert_allclose(np.concatenate(streamed, 2), whole, atol=1e-6)
    rest = lengths[0] % grain
    with pytest.raises(ModelError, match=f"multiples of {grain}{f' plus {rest}' if rest else ''} would work"):
        plan.lengths([lengths[1]])


def test_an_image_whose_sides_leave_a_rest() -> None:
    """Pixels are lost at the edges before the pool, which takes groups of them."""
    model = parse(
        "(float[1,1,H,W] x) => (float[1,2,U,V] y) { a = Conv(x, w) p = MaxPool<kernel_shape=[4,4], strides=[4,4]>(a) "
        "g = Resize(p, , f) y = Concat<axis=1>(g, a) }",
        constants={"w": signal((1, 1, 3, 3)), "f": np.array([1, 1, 4, 4], np.float32)},
    )
    network = load_network(model.SerializeToString())
    axes = [StreamingAxis("H", {"x": 2}), StreamingAxis("W", {"x": 3})]
    plan = StreamPlan(find_axes(lambda shapes: specialise(network, shapes), {"x": (1, 1, 1, 1)}, axes))
    assert certify(plan).lengths == (22, 22)
    with pytest.raises(ModelError, match=r"12 elements along 'W' .* multiples of 4 plus 2 would work"):
        plan.lengths([18, 12])
