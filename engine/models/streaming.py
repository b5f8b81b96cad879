"""Bare networks as streams: the certified plan of each, made once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

from ..errors import ModelError
from ..graph import Network, free_axes, specialise
from ..plan import OPERATORS, Target, named_backend
from ..plan.recent import Recent
from ..plan.streaming import Certificate, StreamPlan, certify, find_axes
from ..session import ArrayQueue, AxisStream, LineStream, ScatteredTiles, TileStream, WindowStream
from ..session.window_stream import Run
from .axes import AxisChoice, Sizes, check_counts, chosen_axes, declared_inputs, fixed_dimensions, input_shapes
from .overlaps import Overlaps
from .proofs import kept_certificate

TileOrder = Literal["raster", "any"]

LINE_DIMENSION = 2
"""Along which rows of [batch, channels, rows, columns] lie, and slices of [batch, channels, slices, rows, columns]."""
FIRST_EXTENT = LINE_DIMENSION + 1

MAX_PLANS = 16
"""Plans that a network keeps: one for each choice of axes, sizes and steps."""


class NetworkStreams:
    """The streams of one bare network; plans are made once. Safe from several threads."""

    def __init__(self, network: Network, target: Target, *, threads: int = 1) -> None:
        """`threads`: that compute a whole run together."""
        self.network = network
        self.backend = target.backend
        self._target = target
        self._overlaps = Overlaps(network, target, threads)
        self._proved: Recent[str, tuple[StreamPlan, Certificate]] = Recent(MAX_PLANS)
        self._plans: Recent[str, StreamPlan] = Recent(MAX_PLANS)

    def plan(
        self, axes: Sequence[AxisChoice], steps: Sequence[int | None], sizes: Sizes | None = None
    ) -> tuple[StreamPlan, Certificate]:
        """The stream's plan, for steps of so many elements along each axis (None: as few as possible), and its proof.

        Arguments and errors as `prove_stream`.
        """
        for step in steps:
            check_counts({"step": 1 if step is None else step})
        key = repr((axes, sorted((sizes or {}).items(), key=repr)))
        shortest, certificate = self._proved.get(
            key, lambda: prove_stream(self.network, axes, sizes, backend=self.backend)
        )
        # The proof holds whatever the weights are.
        plan = self._plans.get(f"{key} {steps}", lambda: shortest.in_steps(steps, target=self._target))
        return plan, certificate

    def along(self, axis: AxisChoice, step: int | None, sizes: Sizes | None) -> AxisStream:
        """See `Model.stream`."""
        plan, _ = self.plan([axis], [step], sizes)
        return AxisStream(plan, backend=self.backend)

    def in_windows(
        self,
        run: Run,
        axis: AxisChoice,
        window: int | None,
        hop: int | None,
        sizes: Sizes | None,
        share: bool | None = None,
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
        shared, sharing = self._overlaps.shared(streaming, shapes, window, hop, share)
        return WindowStream(shared.run if shared else run, queue, window=window, hop=hop, sharing=sharing)

    def in_tiles(
        self,
        height: int,
        width: int,
        tile: int,
        axes: tuple[AxisChoice, AxisChoice] | None,
        sizes: Sizes | None,
        order: TileOrder,
    ) -> TileStream | ScatteredTiles:
        """See `Model.tiles`."""
        check_counts({"height": height, "width": width})
        if order not in get_args(TileOrder):
            raise ModelError(f"order is {order!r}; one of {', '.join(get_args(TileOrder))} would work")
        plan = self.tile_plan(tile, axes, sizes)
        kind = TileStream if order == "raster" else ScatteredTiles
        return kind(plan, height, width, tile=tile, backend=self.backend)

    def tile_plan(
        self, tile: int, axes: tuple[AxisChoice, AxisChoice] | None = None, sizes: Sizes | None = None
    ) -> StreamPlan:
        """The plan of images in square tiles; see `Model.tiles`."""
        check_counts({"tile": tile})
        if axes is None:
            source = self.only_input()
            rank = len(self.network.inputs[source].dims or ())
            if rank < 2:
                raise ModelError(f"network {self.network.name!r} takes no image; {declared_inputs(self.network)}")
            axes = {source: rank - 2}, {source: rank - 1}
        plan, _ = self.plan(axes, (tile, tile), sizes)
        if any(axis.step != tile for axis in plan.axes):
            grain = math.lcm(*(axis.timeline.grain for axis in plan.axes))
            raise ModelError(f"network {self.network.name!r}: tile is {tile}; multiples of {grain} would work")
        return plan

    def in_lines(self, extents: Sequence[int], lines: int | None, step: int | None, sizes: Sizes | None) -> LineStream:
        """See `Model.rows` and `Model.slices`."""
        if lines is not None:
            check_counts({"lines": lines})
        plan = self.line_plan(extents, step, sizes)
        if lines is not None:
            plan.lengths([lines])
        return LineStream(AxisStream(plan, backend=self.backend), lines)

    def line_plan(self, extents: Sequence[int], step: int | None, sizes: Sizes | None = None) -> StreamPlan:
        """The plan of images row by row, or of volumes slice by slice: along dimension 2, the others of `extents`."""
        source = self.only_input()
        declared = self.network.inputs[source]
        if len(declared.dims or ()) != FIRST_EXTENT + len(extents):
            raise ModelError(
                f"network {self.network.name!r} takes {declared}; one of [batch, channels, lines, "
                f"{', '.join(map(str, extents))}] would work"
            )
        given = {(source, FIRST_EXTENT + index): extent for index, extent in enumerate(extents)}
        plan, _ = self.plan([{source: LINE_DIMENSION}], [step], {**dict((sizes or {}).items()), **given})
        return plan

    def only_input(self) -> str:
        """The name of the network's input. Raises ModelError if it has several."""
        if len(self.network.inputs) != 1:
            raise ModelError(
                f"network {self.network.name!r} has inputs {', '.join(self.network.inputs)}; one image would work"
            )
        return next(iter(self.network.inputs))


def prove_stream(
    network: Network, axes: Sequence[AxisChoice], sizes: Sizes | None = None, *, backend: str
) -> tuple[StreamPlan, Certificate]:
    """Plan a network's stream in its shortest steps, and prove that it gives the numbers of the whole.

    Args:
        network: every input streams along every axis.
        axes: one or two, the innermost last.
        sizes: of dimensions that do not stream; the first dimension of an input is 1 if nothing is said.
        backend: that the proof is run on.

    Raises:
        ModelError: an axis or size is not there, or is needed.
        UnsupportedError: the network can not stream exactly; the message names the node and says what would work.
    """
    streaming = chosen_axes(network, axes)
    shapes = input_shapes(network, streaming, sizes or {})
    freed = fixed_dimensions(network, streaming, sizes or {})
    free = free_axes(network, freed)
    bindings = find_axes(
        lambda given: specialise(free, given, operators=OPERATORS, whole_scans=True), shapes, streaming
    )
    # The shortest steps prove the same rules as long ones, in less time.
    shortest = StreamPlan(bindings, name=network.name, target=Target(backend))
    subject = network.sha256, streaming, freed, shapes, backend, named_backend(backend).card

    def prove() -> Certificate:
        # On a plan of its own: what the proof compiles, and the weights that it packs, go with it.
        again = StreamPlan(bindings, name=network.name, timelines=shortest.timelines, target=shortest.target)
        return certify(again, backend=backend)

    return shortest, kept_certificate(subject, prove)
