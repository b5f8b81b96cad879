"""Which axis of a bare network is meant, and how long the others are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral

from ..errors import ModelError
from ..graph import Network
from ..plan.streaming import StreamingAxis

TIME_NAMES = ("time", "t", "frames", "frame", "steps", "s", "seq", "sequence", "samples", "length", "l")
"""What exporters call the axis along which a signal arrives, in lower case; the first that is there is axis "time"."""

IMAGE_AXES = "rows", "columns"
"""What the axes of an image are called that are given by dimension."""

AxisChoice = str | Mapping[str, int]
"""The name of a free dimension; or each input and its own dimension, free or of the size that the file was made for.

Negative dimensions count from the last.
"""


Sizes = Mapping[str, int] | Mapping[str | tuple[str, int], int]
"""Sizes of dimensions that do not stream: of a free one by its name, of any one by its input and number."""


def fixed_dimensions(network: Network, axes: Sequence[StreamingAxis], sizes: Sizes) -> dict[str, dict[int, str]]:
    """Dimensions that may have another size than the one that the network declares: it may have been exported for one.

    Returns:
        Input -> dimension -> a name for it: those that stream, and those whose size is given by input and number.
    """
    named = [(place, axis.name) for axis in axes for place in axis.inputs.items()]
    named += [(key, f"{key[0]} {key[1]}") for key in sizes if isinstance(key, tuple)]
    fixed: dict[str, dict[int, str]] = {}
    for (name, dim), label in named:
        dims = network.inputs[name].dims
        if dims is not None and isinstance(dims[dim], int):
            fixed.setdefault(name, {})[dim] = label
    return fixed


def chosen_axes(network: Network, choices: Sequence[AxisChoice]) -> list[StreamingAxis]:
    """The axes that are meant. Raises ModelError if one is not there."""
    names = IMAGE_AXES if len(choices) == len(IMAGE_AXES) else [f"axis {index}" for index in range(len(choices))]
    return [_chosen_axis(network, choice, name) for choice, name in zip(choices, names, strict=True)]


def _chosen_axis(network: Network, choice: AxisChoice, default: str) -> StreamingAxis:
    """The axis that is meant; `default`: its name, if it is given by dimension."""
    if isinstance(choice, Mapping):
        places = {}
        for name, dim in choice.items():
            dims = network.inputs[name].dims if name in network.inputs else None
            if dims is None or dim not in range(-len(dims), len(dims)):
                raise ModelError(
                    f"axis {dict(choice)}: input {name!r} has no dimension {dim!r}; {declared_inputs(network)}"
                )
            places[name] = dim % len(dims)
        return StreamingAxis(default, places, _declared_length(network, places))
    free = _free_dimensions(network)
    if choice == "time" and choice not in free:
        choice = next((name for word in TIME_NAMES for name in free if name.lower() == word), choice)
    if choice not in free:
        raise ModelError(f"no input has a free dimension {choice!r}; {declared_inputs(network)}")
    return StreamingAxis(choice, free[choice])


def _declared_length(network: Network, places: Mapping[str, int]) -> int | None:
    """The size that all inputs declare along an axis; None if they do not agree, or leave it free."""
    sizes = {(network.inputs[name].dims or ())[dim] for name, dim in places.items()}
    size = sizes.pop()
    return size if isinstance(size, int) and not sizes else None


def _free_dimensions(network: Network) -> dict[str, dict[str, int]]:
    """Name of each free dimension -> the inputs that have it, and where."""
    free: dict[str, dict[str, int]] = {}
    for name, declared in network.inputs.items():
        for dim, size in enumerate(declared.dims or ()):
            if isinstance(size, str):
                free.setdefault(size, {})[name] = dim
    return free


def input_shapes(network: Network, axes: Sequence[StreamingAxis], sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Shapes of all inputs; 1 along the axes. Raises ModelError if a size is missing, or is of no such dimension."""
    check_counts({f"sizes[{key!r}]": size for key, size in sizes.items()})
    _check_keys(network, axes, sizes)
    batches = {str(declared.dims[0]): 1 for declared in network.inputs.values() if declared.dims}
    sizes = {**batches, **dict(sizes.items())}
    shapes = {}
    for name, declared in network.inputs.items():
        if declared.dims is None:
            raise ModelError(f"input {name!r} is declared without a shape; a network whose inputs have one would work")
        shape = []
        for dim, size in enumerate(declared.dims):
            if any(axis.inputs.get(name) == dim for axis in axes):
                shape.append(1)
            elif (name, dim) in sizes:
                shape.append(sizes[name, dim])
            elif isinstance(size, int):
                shape.append(size)
            elif size is not None and size in sizes:
                shape.append(sizes[size])
            elif dim == 0:
                shape.append(1)
            else:
                raise ModelError(
                    f"input {name!r}: dimension {dim} ({size or 'without a name'}) is free and does not stream; "
                    f"sizes={{{size or (name, dim)!r}: ...}} would work"
                )
        shapes[name] = tuple(shape)
    return shapes


def _check_keys(network: Network, axes: Sequence[StreamingAxis], sizes: Sizes) -> None:
    """Raise ModelError unless each size is of a dimension that is there and does not stream."""
    streaming = {place for axis in axes for place in axis.inputs.items()}
    free = {name for name, places in _free_dimensions(network).items() if places.items() - streaming}
    places = {(name, dim) for name, one in network.inputs.items() for dim in range(len(one.dims or ()))} - streaming
    for key in sizes:
        if key not in (places if isinstance(key, tuple) else free):
            what = (
                f"dimension {key[1]} of input {key[0]!r} is there"
                if isinstance(key, tuple)
                else f"dimension {key!r} is free"
            )
            raise ModelError(f"sizes: no {what} and does not stream; {declared_inputs(network)}")


def check_counts(counts: Mapping[str, object]) -> None:
    """Raise ModelError, which names the count, unless each is a whole number of at least 1."""
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, Integral) or count < 1:
            raise ModelError(f"{name} is {count!r}; a whole number of at least 1 would work")


def declared_inputs(network: Network) -> str:
    """What a network says of its inputs, for messages."""
    return "; ".join(f"{name} is {declared}" for name, declared in network.inputs.items())
