"""Where a network's streaming axes are: seen from bindings that differ in the length of one axis alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

from ...errors import ModelError, UnsupportedError
from ...graph import Graph, unroll_scans, whole_scans
from ...graph.passes.pads import fold_pads
from ...graph.passes.resize_order import convolve_before_growing
from ...graph.passes.views import drop_identities, merge_transposes
from ...graph.passes.windows import explicit_windows
from ...graph.prune import prune


class Lengths(NamedTuple):
    """How long an axis is in a binding, and by how much it is longer in the grown one."""

    start: int
    more: int

    def times(self, factor: int) -> Lengths:
        """So many times as long, but for what is left over when `start` is divided by `more`."""
        return Lengths(self.start + (factor - 1) * self.more, factor * self.more)


_MANY_FACTORS = 2**6 * 3 * 5 * 7
LENGTHS = (
    *(Lengths(64 << shift, 64 << shift) for shift in range(12)),
    *(Lengths(start, more) for start in range(65, 128) for more in (_MANY_FACTORS, start)),
)
"""Those that are tried for the shortest binding: a network may need so many steps for its first output, or may take
lengths alone that leave a certain rest when they are divided."""
LONGER = (1, 8, 64)
"""Multiples of the shortest length that are tried until every output grows: a frame may need more than one step."""

WORKS = "what works: Model.run on the whole signal, or Model.windows on windows of it"
"""The end of every message that says that a network can not stream."""

PREPARED = (prune, explicit_windows, drop_identities, merge_transposes, fold_pads, convolve_before_growing)
"""Passes that make fewer kinds of nodes of a network, or need neighbours that a step cuts apart; all others work on
the step graph."""

Binder = Callable[[Mapping[str, tuple[int, ...]]], Graph]
"""Binds a network to the shapes of its inputs."""
LengthBinder = Callable[[Sequence[int]], Graph]
"""Binds a network to the length of each streaming axis."""


class _LoopError(UnsupportedError):
    """A loop along an axis does not stream; a longer signal would only make it longer."""


@dataclass(frozen=True)
class StreamingAxis:
    """An axis that has not ended yet."""

    name: str
    inputs: Mapping[str, int]
    """Each of the network's inputs -> the dimension along which it arrives."""
    declared: int | None = None
    """How long the network says that it is; None if it may have any length."""


@dataclass(frozen=True)
class Bindings:
    """One network bound to a length of every streaming axis, and to a longer one of each."""

    axes: tuple[StreamingAxis, ...]
    graph: Graph
    grown: tuple[Graph, ...]
    """For each axis, the binding in which that axis is longer."""
    dims: Mapping[str, tuple[int | None, ...]]
    """For each value of the graph and each axis, the dimension along which it streams."""
    bind: LengthBinder
    """Gives the network at any lengths."""
    same_padded: frozenset[str]
    """Names of nodes whose padding is worked out from the length (auto_pad SAME)."""

    def length(self, name: str, axis: int, *, grown: bool = False) -> int | None:
        """A value's length along an axis, in the graph or in the grown one; None where it does not stream."""
        dim = self.dims[name][axis]
        return None if dim is None else (self.grown[axis] if grown else self.graph).types[name].shape[dim]

    def bound_length(self, axis: int, *, grown: bool = False) -> int:
        """The length of the inputs along an axis, in the graph or in the grown one."""
        lengths = (self.length(name, axis, grown=grown) for name in self.graph.inputs)
        return next(length for length in lengths if length is not None)

    def dim(self, name: str, axis: int) -> int:
        """The dimension along which a value streams that is known to stream along this axis."""
        dim = self.dims[name][axis]
        assert dim is not None
        return dim

    def shape(self, name: str, lengths: Sequence[int | None]) -> tuple[int, ...]:
        """A value's shape with these lengths along the axes; where one is None, the graph's own."""
        shape = list(self.graph.types[name].shape)
        for dim, length in zip(self.dims[name], lengths, strict=True):
            if dim is not None and length is not None:
                shape[dim] = length
        return tuple(shape)

    def part(self, name: str, spans: Sequence[tuple[int, int]]) -> tuple[slice, ...]:
        """Where elements `start` to `stop - 1` along each axis lie in an array of a value."""
        index = [slice(None)] * len(self.graph.types[name].shape)
        for dim, (start, stop) in zip(self.dims[name], spans, strict=True):
            if dim is not None:
                index[dim] = slice(start, stop)
        return tuple(index)

    def streams(self, name: str) -> bool:
        """Whether a value streams along any axis."""
        return any(dim is not None for dim in self.dims[name])


def find_axes(bind: Binder, shapes: Mapping[str, tuple[int, ...]], axes: Sequence[StreamingAxis]) -> Bindings:
    """Bind a network to a few lengths and see which dimension of each value grows with which axis.

    Args:
        bind: gives the network's graph for the shapes of all inputs.
        shapes: of every input; the lengths of streaming dimensions do not matter.
        axes: at least one. Every input that is not bound by value streams along each.

    Raises:
        UnsupportedError: an input does not arrive along an axis, a node is unlike in the two bindings, a value grows
            along two dimensions with one axis, or the network can be bound to none of LENGTHS.
    """
    _check_inputs(shapes, axes)

    def bind_lengths(lengths: Sequence[int]) -> Graph:
        sizes = {name: list(shape) for name, shape in shapes.items()}
        for axis, length in zip(axes, lengths, strict=True):
            for name, dim in axis.inputs.items():
                sizes[name][dim] = length
        return bind({name: tuple(shape) for name, shape in sizes.items()})

    shortest, bound = _shortest(bind_lengths, axes)
    found: Bindings | None = None
    refusal: ModelError | None = None
    for factor in LONGER:
        try:
            found = _compared(bind_lengths, axes, bound or _bind_each(bind_lengths, axes, shortest.times(factor)))
        except _LoopError:
            raise
        except ModelError as error:
            refusal = refusal or error
        else:
            if all(None not in found.dims[name] for name in found.graph.outputs):
                break
        bound = None
    if found is None:
        assert refusal is not None
        raise refusal
    return found


def _check_inputs(names: Iterable[str], axes: Sequence[StreamingAxis]) -> None:
    """Raise UnsupportedError if an input does not arrive along every axis."""
    for axis in axes:
        others = [name for name in names if name not in axis.inputs]
        if others:
            raise UnsupportedError(
                f"inputs that do not arrive along {axis.name!r}: {', '.join(map(repr, others))}. One that is the same "
                "for the whole signal has to be bound by value; states that a network takes and returns make it a step "
                "already, which streams as it is when its card names them"
            )


def _shortest(bind: LengthBinder, axes: Sequence[StreamingAxis]) -> tuple[Lengths, list[Graph]]:
    """The shortest of LENGTHS that a network can be bound to, and that binding with the one for each axis grown."""
    first: ModelError | None = None
    for lengths in LENGTHS:
        try:
            return lengths, _bind_each(bind, axes, lengths)
        except ModelError as error:
            first = first or error
    names = " and ".join(repr(axis.name) for axis in axes)
    raise UnsupportedError(
        f"the network takes no other length along {names} than the one that it was written for, so it can not stream; "
        f"what works: Model.windows on windows of that length. With {LENGTHS[0].start}: {first}"
    ) from first


def _bind_each(bind: LengthBinder, axes: Sequence[StreamingAxis], lengths: Lengths) -> list[Graph]:
    """Bind to one length of every axis, then to the longer one of each."""
    return [bind([lengths.start + lengths.more * (grown is axis) for axis in axes]) for grown in (None, *axes)]


def _compared(bind: LengthBinder, axes: Sequence[StreamingAxis], bound: Sequence[Graph]) -> Bindings:
    """See which dimensions grow from the first binding to each of the others."""
    _check_inputs(bound[0].inputs, axes)
    same = frozenset(
        node.name for node in bound[0].nodes if str(node.attributes.get("auto_pad", "")).startswith("SAME")
    )
    graph, *grown = map(prepared, _without_fixed_scans(bound))
    return Bindings(tuple(axes), graph, tuple(grown), growing_dims(axes, graph, grown), bind, same)


def _without_fixed_scans(bound: Sequence[Graph]) -> Sequence[Graph]:
    """Unroll the Scans that take as many steps in every binding: they do not go along a streaming axis."""
    while True:
        first, *others = map(whole_scans, bound)
        fixed = {name for name, steps in first.items() if all(other.get(name) == steps for other in others)}
        if not fixed:
            return bound
        bound = [unroll_scans(graph, fixed) for graph in bound]


def prepared(graph: Graph) -> Graph:
    """The graph as the rules of streams take it."""
    for prepare in PREPARED:
        graph = prepare(graph)
    return graph


def growing_dims(
    axes: Sequence[StreamingAxis], graph: Graph, grown: Sequence[Graph]
) -> dict[str, tuple[int | None, ...]]:
    """For each value and axis, the dimension in which a graph differs from the one in which that axis is longer.

    Raises:
        UnsupportedError: a node is unlike in the two, or a value grows along two dimensions with one axis.
    """
    dims: dict[str, tuple[int | None, ...]] = {}
    for axis, other in zip(axes, grown, strict=True):
        _check_nodes(axis, graph, other)
    for name, tensor in graph.types.items():
        found = [_growing(name, tensor.shape, axis, other) for axis, other in zip(axes, grown, strict=True)]
        inner = [dim for dim in found if dim is not None]
        if len(set(inner)) < len(inner):
            raise UnsupportedError(
                f"value {name!r}: one of its dimensions grows with two of the streaming axes; {WORKS}"
            )
        dims[name] = tuple(found)
    return dims


def _check_nodes(axis: StreamingAxis, graph: Graph, other: Graph) -> None:
    """Raise UnsupportedError if the binding in which an axis is longer has other nodes."""
    unlike = [
        pair
        for pair in zip_longest(graph.nodes, other.nodes)
        if None in pair or len({(node.op, node.name, node.outputs) for node in pair}) > 1
    ]
    if not unlike:
        return
    for loop, twin in zip(graph.unrolled, other.unrolled, strict=False):
        if loop.steps != twin.steps:
            raise _LoopError(
                f"{loop.loop} takes {loop.steps} steps, and {twin.steps} when {axis.name!r} is longer, and one can not "
                f"stand for all: {loop.reason}; {WORKS}"
            )
    first = unlike[0][0] or unlike[0][1]
    raise UnsupportedError(f"{first}: there is another node in its place when {axis.name!r} is longer; {WORKS}")


def _growing(name: str, shape: tuple[int, ...], axis: StreamingAxis, other: Graph) -> int | None:
    if name not in other.types:
        return None
    longer = other.types[name].shape
    if len(longer) != len(shape):
        raise UnsupportedError(f"value {name!r} has {len(shape)} dimensions, {len(longer)} when {axis.name} is longer")
    differing = [dim for dim, sizes in enumerate(zip(shape, longer, strict=True)) if sizes[0] != sizes[1]]
    if len(differing) > 1:
        raise UnsupportedError(
            f"value {name!r} grows from {list(shape)} to {list(longer)} with {axis.name} alone: each step meets every "
            f"other one, which needs the whole signal; {WORKS}"
        )
    return differing[0] if differing else None
