"""What changes a signal's ends: Pad, Slice, and Concat with constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...graph import Node
from .call import Call, Move
from .registry import Site, stream_rule
from .span import ALIGNED, Flow, Margin, Span, Strided

_FOREVER = np.iinfo(np.int64).max


def _pads(site: Site, dim: int, *, grown: bool = False) -> tuple[int, int]:
    """Begin and end of a dimension's padding."""
    rank = site.rank()
    if site.node.opset < 11:
        pads = site.node.attributes["pads"]
        return int(pads[dim]), int(pads[rank + dim])
    amounts = site.constant(1, grown=grown)
    if amounts is None:
        raise site.refuse("how much it pads is not known before the signal, along")
    axes = site.constant(3)
    dims = list(range(rank)) if axes is None else [int(axis) % rank for axis in axes.reshape(-1)]
    if dim not in dims:
        return 0, 0
    place = dims.index(dim)
    return int(amounts[place]), int(amounts[len(dims) + place])


def _pad_value(site: Site) -> float:
    if site.node.opset < 11:
        return float(site.node.attributes.get("value", 0.0))
    value = site.constant(2)
    return 0.0 if value is None else float(value.reshape(-1)[0])


def _margin(site: Site) -> Flow:
    dim = site.dim()
    assert dim is not None
    begin, end = _pads(site, dim)
    if (begin, end) != _pads(site, dim, grown=True):
        raise site.refuse("how much it pads depends on the length of")
    if begin == end == 0:
        return ALIGNED
    if min(begin, end) < 0:
        if max(begin, end) > 0:
            raise site.refuse("it cuts one end and pads the other of")
        return Strided(-begin, -end, 1)
    mode = site.node.attributes.get("mode", "constant")
    if mode == "wrap":
        raise site.refuse("the padding before the first element is a copy of the last one along")
    return Margin(begin, end, fill=_pad_value(site) if mode == "constant" else None, mirrored=mode == "reflect")


@stream_rule("Pad", flow=_margin)
def cut_pad(call: Call) -> None:
    """Pad where the signal begins or ends; other dimensions as ever."""
    node = call.node
    sites = [Site(node, call.step.bindings, axis) for axis in range(len(call.step.bindings.axes))]
    rank = sites[0].rank()
    pads = [amount for side in zip(*(_pads(sites[0], dim) for dim in range(rank)), strict=True) for amount in side]
    _pad(call, pads, node.attributes.get("mode", "constant"), _pad_value(sites[0]))


def _pad(call: Call, pads: list[int], mode: str, value: float) -> None:
    """Pad what is given; what copies are taken from, and is not itself part of this step, is cut off again."""
    step, name = call.step, call.node.outputs[0]
    rank = len(pads) // 2
    cuts: dict[int, Span] = {}
    for move in call.moves:
        begin, end = move.before, move.after
        if isinstance(move.flow, Margin) and move.flow.fill is None:
            begin = max(0, move.flow.before - move.made.start)
            end = max(0, move.made.stop - move.flow.before - move.given.stop)
            first = move.given.start + move.flow.before - begin
            if (first, begin + move.given.size + end) != (move.made.start, move.made.size):
                cuts[move.output_dim] = Span(move.made.start - first, move.made.stop - first)
        pads[move.dim], pads[rank + move.dim] = begin, end
    tensor = step.graph.types[call.inputs[0]]
    shape = [begin + size + end for begin, size, end in zip(pads[:rank], tensor.shape, pads[rank:], strict=True)]
    amounts = step.constant(f"{name}/pads", np.array(pads, np.int64))
    filling = step.constant(f"{name}/filling", np.array(value, tensor.dtype))
    label = f"{name}/padded" if cuts else name
    padded = step.add("Pad", label, (call.inputs[0], amounts, filling), shape, tensor.dtype, mode=mode)
    for index, (dim, part) in enumerate(cuts.items()):
        last = index == len(cuts) - 1
        padded = step.slice(padded, name if last else f"{label}/{dim}", dim, part, always=last)


def _bounds(site: Site, dim: int, *, grown: bool = False) -> tuple[int, int, int]:
    """Start, stop and step of a Slice along a dimension, the first two within its length."""
    graph = site.bindings.grown[site.axis] if grown else site.bindings.graph
    length, rank = graph.types[site.node.inputs[0]].shape[dim], site.rank()
    if site.node.opset < 10:
        starts, ends = site.node.attributes["starts"], site.node.attributes["ends"]
        axes, steps = site.node.attributes.get("axes") or list(range(len(starts))), [1] * len(starts)
    else:
        given = [site.constant(position, grown=grown) for position in range(1, 5)]
        if given[0] is None or given[1] is None:
            raise site.refuse("where it cuts is not known before the signal, along")
        starts, ends = given[0].reshape(-1).tolist(), given[1].reshape(-1).tolist()
        axes = list(range(len(starts))) if given[2] is None else given[2].reshape(-1).tolist()
        steps = [1] * len(starts) if given[3] is None else given[3].reshape(-1).tolist()
    for start, stop, axis, step in zip(starts, ends, axes, steps, strict=True):
        if axis % rank == dim:
            if step < 0:
                raise site.refuse("it turns around")
            start, stop, _ = slice(start, stop, step).indices(length)
            return start, stop, step
    return 0, length, 1


def _sliced(site: Site) -> Flow:
    dim = site.dim()
    if dim is None:
        raise site.refuse("where it cuts arrives with")
    start, stop, step = _bounds(site, dim)
    later = _bounds(site, dim, grown=True)
    lengths = [site.bindings.length(site.node.inputs[0], site.axis, grown=grown) for grown in (False, True)]
    assert lengths[0] is not None
    assert lengths[1] is not None
    cut = lengths[0] - stop
    if later[0] != start or lengths[1] - later[1] != cut:
        raise site.refuse("it cuts a part that depends on the length, or that has an end, from")
    return ALIGNED if (start, cut, step) == (0, 0, 1) else Strided(start, cut, step)


@stream_rule("Slice", flow=_sliced)
def cut_slice(call: Call) -> None:
    """The same steps; along the stream from the first element that is given to the last."""
    step, node = call.step, call.node
    site = Site(node, step.bindings, 0)
    bounds = [_bounds(site, dim) for dim in range(site.rank())]
    for move in call.moves:
        stride = move.flow.step if isinstance(move.flow, Strided) else 1
        bounds[move.dim] = 0, move.given.size, stride
    # A stop before the first element is -1 here, which a Slice would take for the last.
    columns = [
        [start for start, _, _ in bounds],
        [stop if stop >= 0 else -_FOREVER for _, stop, _ in bounds],
        list(range(len(bounds))),
        [stride for _, _, stride in bounds],
    ]
    names = [
        step.constant(f"{node.name}/{what}", np.array(column, np.int64))
        for what, column in zip(("starts", "ends", "axes", "steps"), columns, strict=True)
    ]
    step.add_node(Node("Slice", node.name, (call.inputs[0], *names), node.outputs, {}, 13))


def _joined(site: Site) -> Flow:
    """Concat: along another axis, or of one part that streams with constants around it."""
    axis = site.node.attributes["axis"] % len(site.bindings.graph.types[site.node.outputs[0]].shape)
    if site.output_dim() != axis:
        return ALIGNED
    graph = site.bindings.graph
    names = site.node.inputs
    streaming = [place for place, name in enumerate(names) if site.bindings.dims[name][site.axis] is not None]
    if len(streaming) != 1 or any(
        name not in graph.constants for place, name in enumerate(names) if place not in streaming
    ):
        raise site.refuse("it puts one signal behind another along")
    sizes = [graph.types[name].shape[axis] for name in names]
    place = streaming[0]
    numbers = {float(value) for name in (*names[:place], *names[place + 1 :]) for value in graph.constants[name].flat}
    # One number over and over is padding; other constants are put there when the first and the last element come.
    fill = min(numbers, default=0.0) if len(numbers) < 2 else None
    return Margin(sum(sizes[:place]), sum(sizes[place + 1 :]), fill=fill)


@stream_rule("Concat", flow=_joined)
def cut_concat(call: Call) -> None:
    """Join; what is put before or behind the stream, where it begins or ends."""
    along = next((move for move in call.moves if isinstance(move.flow, Margin)), None)
    if along is None:
        call.again()
        return
    dims = call.step.bindings.dims
    names = call.node.inputs
    place = next(place for place, name in enumerate(names) if dims[name][along.axis] is not None)
    if along.flow.fill is not None:
        rank = len(call.step.reference.types[names[place]].shape)
        _pad(replace(call, inputs=(call.inputs[place],)), [0] * (2 * rank), "constant", along.flow.fill)
        return
    _put_around(call, along, place)


def _put_around(call: Call, along: Move, place: int) -> None:
    """Join the parts of the constants that belong to this step with what it makes of the stream."""
    step, dim = call.step, along.output_dim
    name, names = call.node.outputs[0], call.node.inputs
    before, behind = (_constants(call, along, some) for some in (names[:place], names[place + 1 :]))
    begin = 0 if before is None else before.shape[dim]
    end = begin + along.given.stop  # if more than that is made, the signal has ended there
    parts = []
    if before is not None and along.made.start < begin:
        part = before.take(range(along.made.start, min(along.made.stop, begin)), dim)
        parts.append(step.constant(f"{name}/before", part))
    body = along.made.within(Span(begin, end))
    if body.size:
        first = begin + along.given.start
        parts.append(step.slice(call.inputs[place], f"{name}/body", dim, Span(body.start - first, body.stop - first)))
    if behind is not None and along.made.stop > end:
        part = behind.take(range(max(along.made.start, end) - end, along.made.stop - end), dim)
        parts.append(step.constant(f"{name}/behind", part))
    step.add("Concat", name, parts, call.output_shape(), step.reference.types[name].dtype, axis=dim)


def _constants(call: Call, along: Move, names: Sequence[str]) -> np.ndarray | None:
    """Constants one behind the other, as long as the step on the other streaming axis; None if there are none."""
    arrays = [call.step.reference.constants[name] for name in names]
    if not arrays:
        return None
    joined = np.concatenate(arrays, along.output_dim)
    for move in call.moves:
        if move is not along:  # all alike along it, see `Timeline.uniform`
            joined = np.repeat(joined.take([0], move.output_dim), move.made.size, move.output_dim)
    return joined
