"""Bare networks as streams: the certified plan of each, made once."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from ..errors import ModelError
from ..graph import Network, free_axes, specialise
from ..plan import OPERATORS
from ..plan.streaming import Certificate, StreamPlan, certify, find_axes
from ..session import ArrayQueue, AxisStream, ScatteredTiles, TileStream, WindowStream
from ..session.window_stream import Run
from .axes import AxisChoice, check_counts, chosen_axes, declared_inputs, fixed_dimensions, input_shapes

TileOrder = Literal["raster", "any"]


class NetworkStreams:
    """The streams of one bare network; plans are made once. Safe from several threads."""

    def __init__(self, network: Network, backend: str) -> None:
        self.network = network
        self._backend = backend
        self._plans: dict[str, tuple[StreamPlan, Certificate]] = {}
        self._lock = threading.Lock()

    def plan(
        self, axes: Sequence[AxisChoice], steps: Sequence[int | None], sizes: Mapping[str, int] | None = None
    ) -> tuple[StreamPlan, Certificate]:
        """See `plan_stream`."""
        for step in steps:
            check_counts({"step": 1 if step is None else step})
        key = repr((axes, tuple(steps), sorted((sizes or {}).items())))
        with self._lock:
            if key not in self._plans:
                self._plans[key] = plan_stream(self.network, axes, steps, sizes, backend=self._backend)
            return self._plans[key]

    def along(self, axis: AxisChoice, step: int | None, sizes: Mapping[str, int] | None) -> AxisStream:
        """See `Model.stream`."""
        plan, _ = self.plan([axis], [step], sizes)
        return AxisStream(plan, backend=self._backend)

    def in_windows(
        self, run: Run, axis: AxisChoice, window: int | None, hop: int | None, sizes: Mapping[str, int] | None
    ) -> WindowStream:
        """See `Model.windows`."""
        network = self.network
        (streaming,) = chosen_axes(network, [axis])
        shapes = input_shapes(network, [streaming], sizes or {})
        declared = {}
        for name, dim in streaming.inputs.items():
            dims = network.inputs[name].dims
            assert dims is not None
            declared[name] = dims[dim]
        fixed = {size for size in declared.values() if isinstance(size, int)}
        if window is None:
            if len(fixed) != 1:
                raise ModelError(f"axis {streaming.name!r} has no length of its own; window=... gives one")
            (window,) = fixed
        hop = window if hop is None else hop
        check_counts({"window": window, "hop": hop})
        if fixed - {window}:
            raise ModelError(f"window is {window}; network {network.name!r} takes {min(fixed - {window})}")
        if missing := network.inputs.keys() - streaming.inputs.keys():
            raise ModelError(f"input {min(missing)!r} does not stream along {streaming.name!r}; all inputs have to")
        dtypes = {name: network.inputs[name].dtype for name in shapes}
        queue = ArrayQueue(shapes, streaming.inputs, dtypes)
        return WindowStream(run, queue, window=window, hop=hop)

    def in_tiles(
        self,
        height: int,
        width: int,
        tile: int,
        axes: tuple[AxisChoice, AxisChoice] | None,
        sizes: Mapping[str, int] | None,
        order: TileOrder,
    ) -> TileStream | ScatteredTiles:
        """See `Model.tiles`."""
        name = self.network.name
        if len(self.network.inputs) != 1:
            raise ModelError(f"network {name!r} has inputs {', '.join(self.network.inputs)}; one image would work")
        check_counts({"height": height, "width": width, "tile": tile})
        if axes is None:
            ((key, declared),) = self.network.inputs.items()
            rank = len(declared.dims or ())
            if rank < 2:
                raise ModelError(f"network {name!r} takes no image; {declared_inputs(self.network)}")
            axes = {key: rank - 2}, {key: rank - 1}
        plan, _ = self.plan(axes, (tile, tile), sizes)
        if any(axis.step != tile for axis in plan.axes):
            grain = math.lcm(*(axis.timeline.grain for axis in plan.axes))
            raise ModelError(f"network {name!r}: tile is {tile}; multiples of {grain} would work")
        if order not in get_args(TileOrder):
            raise ModelError(f"order is {order!r}; one of {', '.join(get_args(TileOrder))} would work")
        kind = TileStream if order == "raster" else ScatteredTiles
        return kind(plan, height, width, tile=tile, backend=self._backend)


def plan_stream(
    network: Network,
    axes: Sequence[AxisChoice],
    steps: Sequence[int | None],
    sizes: Mapping[str, int] | None = None,
    *,
    backend: str,
) -> tuple[StreamPlan, Certificate]:
    """Plan a network's stream along some axes, and prove that it gives the numbers of the whole.

    Args:
        network: every input streams along every axis.
        axes: one or two, the innermost last.
        steps: for each axis how many elements make a step; as few as possible if None.
        sizes: of free dimensions that do not stream, by name; the first dimension of an input is 1 if nothing is said.
        backend: that the proof is run on.

    Raises:
        ModelError: an axis or size is not there, or is needed.
        UnsupportedError: the network can not stream exactly; the message names the node and says what would work.
    """
    streaming = chosen_axes(network, axes)
    shapes = input_shapes(network, streaming, sizes or {})
    free = free_axes(network, fixed_dimensions(network, streaming))
    bindings = find_axes(
        lambda given: specialise(free, given, operators=OPERATORS, whole_scans=True), shapes, streaming
    )
    # The shortest steps prove the same rules as long ones, in less time.
    certificate = certify(StreamPlan(bindings, name=network.name), backend=backend)
    return StreamPlan(bindings, steps, name=network.name), certificate
