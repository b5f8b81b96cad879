"""Rules and hand-overs of images, broken on purpose along rows, along columns and where the two meet, are found out.

By the planner or the certificate, where images come in raster order; where tiles come in any order, by the comparison
with what onnxruntime makes of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import product

import numpy as np
import onnx
import pytest

from tests.plan import mutations_images as broken
from tests.plan.mosaics import in_rectangles, in_tiles
from tests.plan.mutations import EXCEPTIONS, SHIFTED, chain, integers, not_cut, reads_start, reads_stop
from tests.plan.networks import parse, run_onnxruntime, signal
from wavetile.engine.errors import ModelError
from wavetile.engine.graph import load_network, specialise
from wavetile.engine.plan.streaming import StreamingAxis, StreamPlan, certify, find_axes
from wavetile.engine.plan.streaming.span import Flow, Spread, Window
from wavetile.engine.plan.streaming.windows import Growth

IMAGE = "H,W"
W33, W54 = signal((2, 2, 3, 3), 1) / 3, signal((2, 2, 5, 4), 2) / 3
GRU_WEIGHTS = {"w": signal((1, 12, 2), 3), "r": signal((1, 12, 4), 4)}
NETWORKS: dict[str, onnx.ModelProto] = {
    "strided": chain("Conv<strides=[2,3], pads=[1,2,2,0]>(w)", axes=IMAGE, w=W33),
    "two convolutions": chain("Conv<pads=[1,2,1,0]>(w)", "Conv<pads=[2,1,0,1]>(w)", axes=IMAGE, w=W33),
    "pool": chain("Sub(c)", "MaxPool<kernel_shape=[3,4], pads=[2,3,0,0]>()", axes=IMAGE, c=np.array(3, np.float32)),
    "transposed": chain("ConvTranspose<strides=[3,2], pads=[1,0,1,1], output_padding=[0,1]>(w)", axes=IMAGE, w=W54),
    "grown": chain('Resize<mode="linear">(, s)', axes=IMAGE, s=np.array([1, 1, 2, 3], np.float32)),
    "mirror": chain('Pad<mode="reflect">(p)', "Tanh()", axes=IMAGE, p=integers(0, 0, 2, 1, 0, 0, 1, 2)),
    "groups": chain(
        "Transpose<perm=[0,2,3,1]>()",
        "Reshape(s)",
        "Unsqueeze(one)",
        "Conv<pads=[0,1,0,1]>(w)",
        axes=IMAGE,
        s=integers(0, 0, -1),
        one=integers(1),
        w=signal((1, 1, 3, 3), 5),
    ),
    "skip": parse(
        "(float[1,2,H,W] x) => (float[1,4,H,W] y) { a = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x) "
        "b = Conv<pads=[1,1,1,1]>(a, w) c = ConvTranspose<strides=[2,2]>(b, u) y = Concat<axis=1>(c, x) }",
        constants={"w": W33, "u": signal((2, 2, 2, 2), 6)},
    ),
    "two outputs": parse(
        "(float[1,2,H,W] x) => (float[1,2,H,W] y, float[1,2,H,W] z) "
        "{ y = Conv<pads=[1,1,1,1]>(x, w) z = Conv<pads=[1,1,1,1]>(y, w) }",
        constants={"w": W33},
    ),
    "down": parse(
        "(float[1,2,H,W] x) => (float[H,1,W,4] y) { a = Conv<pads=[1,1,1,1]>(x, k) "
        "b = Transpose<perm=[0,2,3,1]>(a) c = Squeeze(b, zero) y, n = GRU<hidden_size=4>(c, w, r) }",
        constants=GRU_WEIGHTS | {"k": W33, "zero": integers(0)},
    ),
    "across": parse(
        "(float[1,2,H,W] x) => (float[W,1,H,4] y) { a = Conv<pads=[1,1,1,1]>(x, k) "
        "b = Transpose<perm=[0,3,2,1]>(a) c = Squeeze(b, zero) y, n = GRU<hidden_size=4>(c, w, r) }",
        constants=GRU_WEIGHTS | {"k": W33, "zero": integers(0)},
    ),
}
RECURRENT = ("down", "across")
"""Networks whose tiles can not come in any order."""

Break = Callable[[pytest.MonkeyPatch], None]
BOTH = (0, "rows"), (1, "columns")

MUTATIONS: dict[str, tuple[Break, str]] = {
    f"{mutate.__name__}: {network}": (mutate, network)
    for mutate, networks in {
        broken.nothing_from_above: ("strided", "two convolutions", "transposed", "skip"),
        broken.strips_a_column_late: ("two convolutions", "down"),
        broken.strips_of_the_first_row: ("two convolutions", "down"),
        broken.nothing_from_the_left: ("strided", "two convolutions", "across"),
        broken.nothing_at_the_corner: ("strided", "two convolutions", "pool", "transposed", "skip"),
    }.items()
    for network in networks
}
"""Something that is broken on purpose, and the network that shows it."""
for _axis, _name in BOTH:
    for _break, _network in {
        broken.never_ends: "mirror",
        broken.not_the_last: "two convolutions",
        broken.always_the_first: ("down", "across")[_axis],
        broken.steady_too_soon: "mirror",
        broken.zero_before_the_first: "pool",
    }.items():
        MUTATIONS[f"{_break.__name__} along {_name}: {_network}"] = partial(_break, _axis), _network
    for _operator, _network in {
        "Conv": "strided",
        "MaxPool": "pool",
        "ConvTranspose": "transposed",
        "Resize": "grown",
        "Pad": "mirror",
    }.items():
        MUTATIONS[f"{_operator} as it is along {_name}"] = partial(not_cut, _operator, _axis), _network
_SHOWN: dict[type[Flow], tuple[str, ...]] = {
    Window: ("strided", "two convolutions"),
    Spread: ("transposed",),
    Growth: ("grown",),
}
for (_axis, _name), (_flow, _networks), (_mutate, _reasons) in product(BOTH, _SHOWN.items(), SHIFTED.items()):
    for _more, _reason in zip((-1, 1), _reasons, strict=True):
        _rule = f"{_flow.__name__}.{_mutate.__name__}{_more:+}"
        if not (_reason or _rule in EXCEPTIONS):  # one that may be harmless on one axis may be so on two
            for _network in _networks:
                _break = partial(broken.shifted, _mutate, _flow, _more, _axis)
                MUTATIONS[f"{_rule} along {_name}: {_network}"] = _break, _network

TILES: dict[str, tuple[Break, str]] = {
    "programs shared by size": (broken.shared_by_size, "skip"),
    "halves of groups": (broken.halves_of_groups, "groups"),
    "more than its share": (broken.more_than_its_share, "two outputs"),
}
"""Breaks what tiles in any order are made of, and the network that shows it."""
for (_axis, _name), (_mutate, _more), (_flow, _network) in product(
    BOTH, ((reads_start, 1), (reads_stop, -1)), ((Window, "strided"), (Spread, "transposed"))
):
    _break = partial(broken.shifted, _mutate, _flow, _more, _axis)
    TILES[f"{_flow.__name__}.{_mutate.__name__}{_more:+} along {_name}"] = _break, _network


def planned(model: onnx.ModelProto) -> StreamPlan:
    network = load_network(model.SerializeToString())
    axes = [StreamingAxis("H", {"x": 2}), StreamingAxis("W", {"x": 3})]
    return StreamPlan(find_axes(lambda shapes: specialise(network, shapes), {"x": (1, 2, 1, 1)}, axes))


def wholes(model: onnx.ModelProto) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images that no tile divides, as far as the network takes them, and what it makes of each."""
    images = [signal((1, 2, *size), 7) for size in ((18, 14), (12, 26))]
    return [(x, run_onnxruntime(model, {"x": x}, as_written=True)[0]) for x in images]


@pytest.mark.parametrize("name", NETWORKS)
def test_rules_as_they_are_give_the_numbers_of_the_whole(name: str) -> None:
    plan = planned(NETWORKS[name])
    certify(plan)
    for x, whole in wholes(NETWORKS[name]):
        made = in_rectangles(plan, {"x": x}, [axis.first for axis in plan.axes])
        np.testing.assert_allclose(made["y"], whole, atol=1e-4)
    if name not in RECURRENT:
        compare_tiles(name)


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_is_broken_is_found_out_before_an_image_comes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate, network = MUTATIONS[name]
    mutate(monkeypatch)
    with pytest.raises((ModelError, ValueError)):  # ValueError: what one step hands on is not what the next one takes
        certify(planned(NETWORKS[network]))


@pytest.mark.parametrize("name", TILES)
def test_what_is_broken_shows_in_tiles_of_any_order(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As other numbers, as a number that comes twice, or as a graph that does not fit together."""
    mutate, network = TILES[name]
    mutate(monkeypatch)
    with pytest.raises((AssertionError, ModelError)):
        compare_tiles(network)


def compare_tiles(name: str, tile: int = 7) -> None:
    """The last tile comes first; tiles that no stride divides begin in any phase of it."""
    plan = planned(NETWORKS[name])
    for x, whole in wholes(NETWORKS[name]):
        order = range(math.prod(-(-length // tile) for length in x.shape[2:]))[::-1]
        np.testing.assert_allclose(in_tiles(plan, x, tile, order)["y"], whole, atol=1e-4)
