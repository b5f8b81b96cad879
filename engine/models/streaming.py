"""Bare networks as streams: which axis is meant, how long the others are, and the certified plan."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Literal, get_args

from ..errors import ModelError
from ..graph import Network, free_axes, specialise
from ..plan import OPERATORS
from ..plan.streaming import Certificate, StreamingAxis, StreamPlan, certify, find_axes
from ..session import ArrayQueue, AxisStream, ScatteredTiles, TileStream, WindowStream
from ..session.window_stream import Run

TIME_NAMES = ("time", "t", "frames", "frame", "steps", "s", "seq", "sequence", "samples", "length", "l")
"""What exporters call the axis along which a signal arrives, in lower case; the first that is there is axis "time"."""

AxisChoice = str | Mapping[str, int]
"""The name of a free dimension; or each input and its own dimension, free or of the size that the file was made for.

Negative dimensions count from the last.
"""


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
            _check_counts({"step": 1 if step is None else step})
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
        streaming = _axis(network, axis, 0)
        shapes = _shapes(network, [streaming], sizes or {})
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
        _check_counts({"window": window, "hop": hop})
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
        _check_counts({"height": height, "width": width, "tile": tile})
        if axes is None:
            ((key, declared),) = self.network.inputs.items()
            rank = len(declared.dims or ())
            if rank < 2:
                raise ModelError(f"network {name!r} takes no image; {_listing(self.network)}")
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
    streaming = [_axis(network, choice, index) for index, choice in enumerate(axes)]
    shapes = _shapes(network, streaming, sizes or {})
    free = free_axes(network, _fixed(network, streaming))
    bindings = find_axes(lambda given: specialise(free, given, operators=OPERATORS), shapes, streaming)
    # The shortest steps prove the same rules as long ones, in less time.
    certificate = certify(StreamPlan(bindings, name=network.name), backend=backend)
    return StreamPlan(bindings, steps, name=network.name), certificate


def _fixed(network: Network, axes: Sequence[StreamingAxis]) -> dict[str, dict[int, str]]:
    """Dimensions that stream although the network declares one size for them: it may have been exported for one."""
    fixed: dict[str, dict[int, str]] = {}
    for axis in axes:
        for name, dim in axis.inputs.items():
            dims = network.inputs[name].dims
            if dims is not None and isinstance(dims[dim], int):
                fixed.setdefault(name, {})[dim] = axis.name
    return fixed


def _axis(network: Network, choice: AxisChoice, index: int) -> StreamingAxis:
    """The axis that is meant."""
    if isinstance(choice, Mapping):
        places = {}
        for name, dim in choice.items():
            dims = network.inputs[name].dims if name in network.inputs else None
            if dims is None or dim not in range(-len(dims), len(dims)):
                raise ModelError(f"axis {dict(choice)}: input {name!r} has no dimension {dim!r}; {_listing(network)}")
            places[name] = dim % len(dims)
        return StreamingAxis(f"axis {index}", places)
    free = _free_dimensions(network)
    if choice == "time" and choice not in free:
        choice = next((name for word in TIME_NAMES for name in free if name.lower() == word), choice)
    if choice not in free:
        raise ModelError(f"no input has a free dimension {choice!r}; {_listing(network)}")
    return StreamingAxis(choice, free[choice])


def _free_dimensions(network: Network) -> dict[str, dict[str, int]]:
    """Name of each free dimension -> the inputs that have it, and where."""
    free: dict[str, dict[str, int]] = {}
    for name, declared in network.inputs.items():
        for dim, size in enumerate(declared.dims or ()):
            if isinstance(size, str):
                free.setdefault(size, {})[name] = dim
    return free


def _shapes(network: Network, axes: Sequence[StreamingAxis], sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Shapes of all inputs; 1 along the axes."""
    _check_counts({f"sizes[{name!r}]": size for name, size in sizes.items()})
    free = {
        name
        for name, places in _free_dimensions(network).items()
        if any(all(axis.inputs.get(key) != dim for axis in axes) for key, dim in places.items())
    }
    if unknown := sizes.keys() - free:
        raise ModelError(f"sizes: no dimension {min(unknown)!r} is free and does not stream; {_listing(network)}")
    batches = {str(declared.dims[0]): 1 for declared in network.inputs.values() if declared.dims}
    sizes = {**batches, **sizes}
    shapes = {}
    for name, declared in network.inputs.items():
        if declared.dims is None:
            raise ModelError(f"input {name!r} is declared without a shape; a network whose inputs have one would work")
        shape = []
        for dim, size in enumerate(declared.dims):
            if any(axis.inputs.get(name) == dim for axis in axes):
                shape.append(1)
            elif isinstance(size, int):
                shape.append(size)
            elif size is not None and size in sizes:
                shape.append(sizes[size])
            elif dim == 0:
                shape.append(1)
            else:
                raise ModelError(
                    f"input {name!r}: dimension {dim} ({size or 'without a name'}) is free and does not stream; "
                    f"sizes={{{size or 'NAME'!r}: ...}} would work"
                )
        shapes[name] = tuple(shape)
    return shapes


def _check_counts(counts: Mapping[str, object]) -> None:
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, Integral) or count < 1:
            raise ModelError(f"{name} is {count!r}; a whole number of at least 1 would work")


def _listing(network: Network) -> str:
    return "; ".join(f"{name} is {declared}" for name, declared in network.inputs.items())
