"""Input shapes: what the caller gave, what the network declares, and that both agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ModelError
from .captures import captured_names
from .fold import WORKED_OUT
from .functions import SHAPED_DEFINITIONS
from .ir import TensorType
from .limits import all_nodes, subgraphs
from .loops import UNROLLED
from .network import DeclaredType, Network
from .sequences import SEQUENCE_OPS

RESOLVED: Mapping[str, Sequence[int]] = {
    **dict.fromkeys(("Constant", "Dropout", "Identity", "If", "Shape", "Size"), ()),
    **dict.fromkeys(("OptionalGetElement", "OptionalHasElement"), ()),
    **SEQUENCE_OPS,
    **UNROLLED,
    **WORKED_OUT,
    **SHAPED_DEFINITIONS,
}
"""Operators that binding replaces, by others or by constants -> the inputs whose values that takes."""

CHOOSING = {"If": (0,), "Loop": (1,)}
"""Operator -> the inputs that choose what runs."""

NEEDS_NO_DATA = frozenset({"OptionalHasElement", "Shape", "Size"})

Bound = dict[str, tuple[int, str]]
"""Symbolic dimension -> (size, the input that gave it)."""


def shaping_inputs(network: Network, operators: Mapping[str, Sequence[int]]) -> set[str]:
    """Return the inputs whose values decide shapes, axes or branches: a program is compiled for each of their values.

    `operators`: those that the caller can run -> the inputs of theirs whose values decide shapes, axes or lengths.

    Found by walking back from these, and from those of `RESOLVED` and `CHOOSING`, also inside the bodies of If, Loop
    and Scan. A float input is no such input for the sake of a branch alone: a signal may not choose one.
    """
    shaping = {**RESOLVED, **operators}
    sources = _sources(network)
    parameters: set[str] = set()
    choices: set[str] = set()
    for node in all_nodes(network.model):
        for names, slots in ((parameters, shaping), (choices, CHOOSING)):
            names.update(node.input[slot] for slot in slots.get(node.op_type, ()) if slot < len(node.input))
    integers = {name for name, declared in network.inputs.items() if declared.dtype.kind != "f"}
    chosen_by = _reached(choices, sources) & integers
    return (_reached(parameters, sources) | chosen_by).intersection(network.inputs)


def _sources(network: Network) -> dict[str, set[str]]:
    """Each value's name -> the names that its value follows from; those that bodies share are taken together."""
    sources: dict[str, set[str]] = defaultdict(set)
    for node in all_nodes(network.model):
        if node.op_type in NEEDS_NO_DATA:
            continue
        for name in node.output:
            sources[name].update(filter(None, node.input), captured_names([node]))
        if node.op_type in UNROLLED:
            (body,) = subgraphs(node)
            later = 1 if node.op_type == "Loop" else 0  # a Loop's body gives its condition first
            for index, (formal, given) in enumerate(zip(body.input, node.input, strict=False)):
                sources[formal.name].add(given)
                if index - later < len(body.output):
                    sources[formal.name].add(body.output[max(index - later, 0)].name)
    return sources


def _reached(names: set[str], sources: Mapping[str, set[str]]) -> set[str]:
    """The names and all that their values follow from."""
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name and name not in seen:
            seen.add(name)
            waiting += sources.get(name, ())
    return seen


def bind_values(network: Network, values: Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
    """Return the given input values as arrays of the declared types.

    Raises ModelError for an unknown input, or a value that the declared type does not hold exactly.
    """
    arrays = {}
    for name, value in values.items():
        declared = _declared(network, name)
        given = np.asarray(value)
        array = given.astype(declared.dtype) if given.dtype.kind in "biuf" else given
        if array.dtype != declared.dtype or not np.array_equal(array, given, equal_nan=given.dtype.kind == "f"):
            raise ModelError(f"input '{name}' is {declared}; the value {value!r} does not fit that type")
        arrays[name] = array
    return arrays


def bind_shapes(
    network: Network, shapes: Mapping[str, Sequence[int]], values: Mapping[str, np.ndarray]
) -> dict[str, TensorType]:
    """Return every input's concrete type.

    An input may be left out if its declared dimensions are numbers, or names that other inputs bind.
    Raises ModelError for missing, unknown or contradicting shapes.
    """
    bound: Bound = {}
    given = {**shapes, **{name: value.shape for name, value in values.items()}}
    for name, shape in given.items():
        _unify(name, _declared(network, name), tuple(shape), bound)
    types = {}
    for name, declared in network.inputs.items():
        shape = tuple(int(dim) for dim in given[name]) if name in given else _from_names(name, declared, bound)
        types[name] = TensorType(shape, declared.dtype)
    return types


def _declared(network: Network, name: str) -> DeclaredType:
    if name not in network.inputs:
        raise ModelError(f"network '{network.name}' has no input '{name}'; its inputs are {_listing(network)}")
    return network.inputs[name]


def _listing(network: Network) -> str:
    return ", ".join(f"'{name}' {declared}" for name, declared in network.inputs.items()) or "none"


def _unify(name: str, declared: DeclaredType, shape: tuple[int, ...], bound: Bound) -> None:
    """Check one given shape against its declaration; remember the sizes of named dimensions."""
    if any(isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or dim < 0 for dim in shape):
        raise ModelError(f"input '{name}': the shape {shape} must be whole numbers of at least 0")
    if declared.dims is None:
        return
    if len(shape) != len(declared.dims):
        raise ModelError(f"input '{name}' is {declared}: {len(declared.dims)} dimensions, not {list(shape)}")
    for axis, (dim, want) in enumerate(zip(shape, declared.dims, strict=True)):
        if isinstance(want, int) and dim != want:
            raise ModelError(
                f"input '{name}' is {declared}: dimension {axis} must be {want}, not {dim} of {list(shape)}"
            )
        if isinstance(want, str):
            size, giver = bound.setdefault(want, (int(dim), name))
            if size != dim:
                raise ModelError(
                    f"input '{name}' is {declared}: '{want}' is {dim} in {list(shape)}, "
                    f"but input '{giver}' made it {size}"
                )


def _from_names(name: str, declared: DeclaredType, bound: Bound) -> tuple[int, ...]:
    """Return the shape of an input that was not given one."""
    shape = []
    for dim in declared.dims if declared.dims is not None else (None,):
        if isinstance(dim, str):
            dim = bound[dim][0] if dim in bound else None
        if dim is None:
            raise ModelError(f"input '{name}' is {declared} and was given no shape; pass shapes={{'{name}': (...)}}")
        shape.append(dim)
    return tuple(shape)
