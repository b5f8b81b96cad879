"""Ways to break the rules of streaming on purpose, and what may come of it."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest

from tests.plan.networks import parse
from wavetile.engine.graph import Node
from wavetile.engine.plan.streaming.call import Call
from wavetile.engine.plan.streaming.registry import STREAM_RULES
from wavetile.engine.plan.streaming.span import Flow, Span
from wavetile.engine.plan.streaming.timeline import Timeline
from wavetile.engine.plan.streaming.windows import Growth

REFUSED, DIFFERS, HARMLESS = "the planner refuses it", "the certificate fails", "the numbers are right"


def chain(*nodes: str, axes: str = "T", **constants: np.ndarray) -> onnx.ModelProto:
    """A network x [1, 2, *axes] -> y of nodes written `Operator<attributes>(more inputs)`, one after the other."""
    body, value = [], "x"
    for index, node in enumerate(nodes):
        head, _, rest = node.rpartition("(")
        made = "y" if index == len(nodes) - 1 else f"v{index}"
        body.append(f"{made} = {head}({value}{', ' if rest != ')' else ''}{rest}")
        value = made
    grown = ",".join(f"{axis}_y" for axis in axes.split(","))
    return parse(f"(float[1,2,{axes}] x) => (float[1,C,{grown}] y) {{ {' '.join(body)} }}", constants=constants)


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def count_open(flow: type[Flow], more: int, patch: pytest.MonkeyPatch) -> None:
    """`count`, before the end."""
    whole = flow.count
    patch.setattr(flow, "count", lambda self, arrived, ended: max(0, whole(self, arrived, ended) + more * (not ended)))


def count_ended(flow: type[Flow], more: int, patch: pytest.MonkeyPatch) -> None:
    """`count`, at the end."""
    whole = flow.count
    patch.setattr(flow, "count", lambda self, arrived, ended: max(0, whole(self, arrived, ended) + more * ended))


def reads_start(flow: type[Flow], more: int, patch: pytest.MonkeyPatch) -> None:
    """The first element that is read."""
    whole = flow.reads

    def reads(self: Flow, made: Span, total: int | None) -> Span:
        span = whole(self, made, total)
        return Span(span.start + more, span.stop)

    patch.setattr(flow, "reads", reads)


def reads_stop(flow: type[Flow], more: int, patch: pytest.MonkeyPatch) -> None:
    """The last element that is read."""
    whole = flow.reads

    def reads(self: Flow, made: Span, total: int | None) -> Span:
        span = whole(self, made, total)
        return Span(span.start, span.stop + more)

    patch.setattr(flow, "reads", reads)


def oldest(flow: type[Flow], more: int, patch: pytest.MonkeyPatch) -> None:
    """What is kept."""
    whole = flow.oldest
    patch.setattr(flow, "oldest", lambda self, made, arrived: whole(self, made, arrived) + more)


def fill(flow: type[Flow], more: int, patch: pytest.MonkeyPatch) -> None:
    """What stands for elements before the first."""
    whole = flow.__init__

    def init(self: Any, *args: Any, **keywords: Any) -> None:
        whole(self, *args, **keywords)
        if self.fill is not None:
            self.fill = max(self.fill, -9.0) + more

    patch.setattr(flow, "__init__", init)


def neighbours(flow: type[Growth], more: int, patch: pytest.MonkeyPatch) -> None:
    """Which inputs an output is made of."""
    whole = flow._neighbours
    patch.setattr(flow, "_neighbours", lambda self, place: tuple(each + more for each in whole(self, place)))


def node_as_it_is(operator: str, flow: type[Flow], more: int, patch: pytest.MonkeyPatch) -> None:
    """A step has the node of the whole network."""
    del flow, more
    patch.setitem(STREAM_RULES, ("", operator), replace(STREAM_RULES["", operator], cut=None))


Mutate = Callable[[Any, int, pytest.MonkeyPatch], None]
SLOWER = "less is made at a time, as exactly"
MORE = "more is kept or given than is needed"
# What a rule says -> why it may say one less, or one more; None: that has to be found out.
SHIFTED: dict[Mutate, tuple[str | None, str | None]] = {
    count_open: (SLOWER, None),
    count_ended: (None, None),
    reads_start: (None, None),
    reads_stop: (None, MORE),
    oldest: (MORE, None),
}
EXCEPTIONS = {
    "Growth.reads_start-1": MORE,
    "Spread.reads_start-1": MORE,
    "Scaled.oldest+1": "no step ends within a group, so nothing is ever kept",
}


def along(axis: int, flow: type[Flow], patch: pytest.MonkeyPatch) -> type[Flow]:
    """A rule that nodes follow along one axis alone, to be broken; along the other they follow `flow`."""
    alone = type(flow.__name__, (flow,), {})
    whole = Timeline._flow_of

    def flow_of(self: Timeline, node: Node) -> Flow:
        found = copy(whole(self, node))
        if self.axis == axis and type(found) is flow:
            found.__class__ = alone
        return found

    patch.setattr(Timeline, "_flow_of", flow_of)
    return alone


def not_cut(operator: str, axis: int, patch: pytest.MonkeyPatch) -> None:
    """A step has the node of the whole network, as far as one axis goes."""
    rule = STREAM_RULES["", operator]

    def cut(call: Call) -> None:
        assert rule.cut is not None
        rule.cut(replace(call, moves=tuple(move for move in call.moves if move.axis != axis)))

    patch.setitem(STREAM_RULES, ("", operator), replace(rule, cut=cut))
