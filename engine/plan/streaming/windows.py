"""Operators that slide a window along the stream: convolutions, pools, transposed convolutions, frames of spectra."""

from __future__ import annotations

import numpy as np

from .call import Call
from .registry import Site, same_in_a_step, stream_rule
from .span import ALIGNED, Flow, Span, Spread, Window

_SPATIAL = 2
"""The first spatial dimension of a convolution's or pool's input."""


def _spatial(site: Site) -> int | None:
    """The number of the spatial axis that the node slides along; None if it only takes batches from the stream."""
    dim = site.dim()
    if dim == 0:
        return None
    if dim is None or dim < _SPATIAL:
        raise site.refuse("its weights belong to places of")
    return dim - _SPATIAL


def _window(site: Site) -> Flow:
    spatial = _spatial(site)
    if spatial is None:
        return ALIGNED
    node = site.node
    attributes = node.attributes
    rank = len(attributes["kernel_shape"])
    before, after = attributes["pads"][spatial], attributes["pads"][rank + spatial]
    if node.name in site.bindings.same_padded and attributes["strides"][spatial] > 1:
        raise site.refuse("its padding (auto_pad SAME) depends on the length of")
    reach = (attributes["kernel_shape"][spatial] - 1) * attributes["dilations"][spatial] + 1
    ceil = bool(attributes.get("ceil_mode", 0))
    fill: float | None = 0.0
    if node.op == "MaxPool":
        fill = -np.inf
        if len(node.outputs) > 1 and node.outputs[1]:
            raise site.refuse("its second output counts places along")
    if node.op in ("AveragePool", "LpPool"):
        if ceil:
            raise site.refuse("with ceil_mode it averages over fewer elements at the end of")
        if node.op == "AveragePool" and not attributes.get("count_include_pad", 0):
            fill = None
    return Window(reach, attributes["strides"][spatial], before, after, fill=fill, ceil=ceil)


@stream_rule("Conv", "MaxPool", "AveragePool", "LpPool", flow=_window)
def cut_window(call: Call) -> None:
    """The same window, with padding only where the signal begins or ends."""
    pads = list(call.node.attributes["pads"])
    rank = len(pads) // 2
    for move in call.moves:
        if isinstance(move.flow, Window):
            spatial = move.dim - _SPATIAL
            pads[spatial], pads[rank + spatial] = move.before, move.after
    extra = {} if call.node.op == "Conv" else {"ceil_mode": 0}
    call.again(pads=pads, **extra)


def _spread(site: Site) -> Flow:
    spatial = _spatial(site)
    if spatial is None:
        return ALIGNED
    attributes = site.node.attributes
    rank = len(attributes["kernel_shape"])
    reach = (attributes["kernel_shape"][spatial] - 1) * attributes["dilations"][spatial] + 1
    before, after = attributes["pads"][spatial], attributes["pads"][rank + spatial]
    return Spread(reach, attributes["strides"][spatial], before, after, attributes["output_padding"][spatial])


@stream_rule("ConvTranspose", flow=_spread)
def cut_spread(call: Call) -> None:
    """The same kernel on the inputs that touch this step's outputs; what it spreads beyond them is cut off."""
    pads = list(call.node.attributes["pads"])
    extra = list(call.node.attributes["output_padding"])
    rank = len(extra)
    for move in call.moves:
        if isinstance(move.flow, Spread):
            spatial, flow = move.dim - _SPATIAL, move.flow
            start = move.given.start * flow.stride - flow.before
            stop = start + (move.given.size - 1) * flow.stride + flow.reach
            pads[spatial], pads[rank + spatial] = move.made.start - start, max(0, stop - move.made.stop)
            extra[spatial] = max(0, move.made.stop - stop)
    call.again(pads=pads, output_padding=extra)


def _framed(site: Site) -> Flow:
    """STFT: signal [batch, samples, 1 or 2]."""
    if site.dim() == 0:
        return ALIGNED
    step, window, length = site.constant(1), site.constant(2), site.constant(3)
    reach = int(length) if length is not None else None if window is None else window.size
    if step is None or reach is None:
        raise site.refuse("its frame length arrives with")
    return Window(reach, int(step), 0, 0, fill=0.0)


same_in_a_step("STFT", flow=_framed)


def _scaled_by(site: Site) -> Flow:
    """Resize and Upsample by a whole factor; the neighbours that an output needs follow from the coordinate mode."""
    dim = site.dim()
    assert dim is not None
    lengths = [
        (
            site.bindings.length(site.node.inputs[0], site.axis, grown=grown),
            site.bindings.length(site.node.outputs[0], site.axis, grown=grown),
        )
        for grown in (False, True)
    ]
    factors = {made / arrived for arrived, made in lengths if arrived and made}
    factor = factors.pop()
    if factors or factor != int(factor) or factor < 1:
        raise site.refuse("only whole factors of at least 1 can be followed along")
    if factor == 1:
        return ALIGNED
    attributes = site.node.attributes
    coordinates = attributes.get(
        "coordinate_transformation_mode", "asymmetric" if site.node.op == "Upsample" else "half_pixel"
    )
    mode = attributes.get("mode", "nearest")
    if coordinates not in ("half_pixel", "pytorch_half_pixel", "asymmetric") or attributes.get("antialias", 0):
        raise site.refuse(f"coordinates {coordinates!r} depend on the length of")
    if mode == "cubic" and attributes.get("exclude_outside", 0):
        raise site.refuse("it weighs neighbours anew at the end of")
    return Growth(int(factor), mode, attributes.get("nearest_mode", "round_prefer_floor"), coordinates != "asymmetric")


class Growth(Flow):
    """Resize by a whole factor. Source: ONNX Resize, coordinate_transformation_mode and nearest_mode."""

    def __init__(self, factor: int, mode: str, nearest: str, centred: bool) -> None:
        self.factor = factor
        self._mode, self._nearest, self._centred = mode, nearest, centred

    def _neighbours(self, place: int) -> tuple[int, int]:
        """First and last input that output `place` is made of."""
        # In units of 1 / (2 factor), exactly: the centre of an output lies at 2 place + 1.
        twice = 2 * self.factor
        scaled = 2 * place + 1 - self.factor if self._centred else 2 * place
        low, rest = scaled // twice, scaled % twice
        if self._mode == "cubic":
            return low - 1, low + 2
        if self._mode == "linear":
            return low, low + (rest > 0)
        up = {"floor": False, "ceil": rest > 0, "round_prefer_floor": rest > self.factor}.get(
            self._nearest, rest >= self.factor
        )
        return low + up, low + up

    def count(self, arrived: int, ended: bool) -> int:
        """Outputs whose neighbours are all there."""
        made = arrived * self.factor
        while not ended and made > 0 and self._neighbours(made - 1)[1] >= arrived:
            made -= 1
        return made

    def reads(self, made: Span, total: int | None) -> Span:
        """From the first one's first neighbour to the last one's last; at the edges the edge stands for more.

        Also the inputs that grow into these places, which rounding up does not read: a step cuts its outputs out of
        whatever grows from what it reads.
        """
        last = max(self._neighbours(made.stop - 1)[1], (made.stop - 1) // self.factor)
        first = max(0, min(self._neighbours(made.start)[0], made.start // self.factor))
        if total is not None:
            first, last = min(first, total - 1), min(last, total - 1)
        return Span(first, last + 1)


@stream_rule("Resize", "Upsample", flow=_scaled_by)
def cut_resize(call: Call) -> None:
    """Resize what is read, and cut this step's outputs out of it."""
    step, node = call.step, call.node
    tensor = step.graph.types[call.inputs[0]]
    made = {move.output_dim: move for move in call.moves if isinstance(move.flow, Growth)}
    reference = step.reference
    sizes = zip(reference.types[node.inputs[0]].shape, reference.types[node.outputs[0]].shape, strict=True)
    scales = np.array([after / before for before, after in sizes], np.float32)
    whole = tuple(round(size * float(scale)) for size, scale in zip(tensor.shape, scales, strict=True))
    attributes = {key: value for key, value in node.attributes.items() if key != "axes"}
    name = node.outputs[0]
    inputs = (call.inputs[0], "", step.constant(f"{node.name}/scales", scales))
    attributes.setdefault("coordinate_transformation_mode", "asymmetric" if node.op == "Upsample" else "half_pixel")
    source = step.add("Resize", f"{name}/grown" if made else name, inputs, whole, tensor.dtype, **attributes)
    for index, (dim, move) in enumerate(made.items()):
        assert isinstance(move.flow, Growth)
        start = move.made.start - move.given.start * move.flow.factor
        label = name if index == len(made) - 1 else f"{name}/grown{dim}"
        source = step.slice(source, label, dim, Span(start, start + move.made.size), always=label == name)
