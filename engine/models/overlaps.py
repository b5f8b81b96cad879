"""What windows of a network share, looked for and proven once, and whether that is worth it."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import ModelError, UnsupportedError
from ..graph import Network, specialise
from ..plan import OPERATORS, Target
from ..plan.recent import Recent
from ..plan.streaming import WORKS, Overlap, SharedWindows, StreamingAxis, certify_windows, prepared
from ..session import Sharing

MOST_SHARED = 0.5
"""Windows share what they have in common where a hop then takes at most this part of a window's multiply-adds: several
small steps make fewer of them a second than one large one."""

LEAST_SAVED = 5_000_000
"""Multiply-adds that have to be saved: handing values from step to step takes as long as a few million."""

MAX_OVERLAPS = 16
"""That a network keeps: one for each choice of axis, shapes, window and hop."""


class Overlaps:
    """What windows of one network have in common. Safe from several threads."""

    def __init__(self, network: Network, target: Target, threads: int) -> None:
        """`threads`: that compute a whole window together."""
        self._network, self._target, self._threads = network, target, threads
        self._found: Recent[str, tuple[Overlap, float] | str] = Recent(MAX_OVERLAPS)
        """And the largest difference that sharing made; or why nothing is shared."""

    def shared(
        self, axis: StreamingAxis, shapes: Mapping[str, tuple[int, ...]], window: int, hop: int, share: bool | None
    ) -> tuple[SharedWindows | None, Sharing]:
        """What computes the windows of one signal, or None if each is to be computed whole; and what is to be said.

        Args:
            axis: along which windows lie.
            shapes: of all inputs, whatever their length along the axis.
            window: elements of a window.
            hop: elements from one window to the next.
            share: as in `Model.windows`.

        Raises:
            UnsupportedError: `share` is True, and nothing can be shared; the message says why.
        """
        if share is False:
            return None, Sharing(limit="share is False")
        key = repr((axis, sorted(shapes.items()), window, hop))
        found = self._found.get(key, lambda: self._look(axis, shapes, window, hop))
        if isinstance(found, str):
            if share:
                raise UnsupportedError(found)
            return None, Sharing(limit=found)
        overlap, difference = found
        ours, whole = overlap.multiply_adds, overlap.whole.multiply_adds
        if not share and (ours * self._threads > MOST_SHARED * whole or whole - ours < LEAST_SAVED):
            limit = (
                f"sharing takes {ours} multiply-adds a window instead of {whole}, which saves no time; share=True "
                f"would share up to {', '.join(overlap.cut.values)}"
            )
            return None, Sharing((), whole, whole, difference, limit)
        sharing = Sharing(overlap.cut.values, ours, whole, difference, overlap.limit)
        return SharedWindows(overlap, self._target.backend), sharing

    def _look(
        self, axis: StreamingAxis, shapes: Mapping[str, tuple[int, ...]], window: int, hop: int
    ) -> tuple[Overlap, float] | str:
        name = self._network.name
        bound = {
            given: tuple(window if dim == axis.inputs[given] else size for dim, size in enumerate(shape))
            for given, shape in shapes.items()
        }
        try:
            graph = prepared(specialise(self._network, bound, operators=OPERATORS))
            target = self._target
            overlap = Overlap(graph, axis, hop, name=name, target=target.exact)
            difference = certify_windows(overlap, backend=self._target.backend)
            # The proof holds whatever the weights are; and of rounded ones not every kernel reads all as rounded.
            if target != target.exact:
                overlap = Overlap(graph, axis, hop, name=name, target=target)
            return overlap, difference
        except ModelError as error:
            return str(error).removesuffix(WORKS).rstrip(":; ")
