"""Free axes: a network that was written down for one size, to be bound at any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..errors import ModelError
from .network import DeclaredType, Network


def free_axes(network: Network, axes: Mapping[str, Mapping[int, str]]) -> Network:
    """Return a network whose inputs may have any size along some of their dimensions.

    Only what the file declares is changed. A network of convolutions, pools and resizes by factors takes other sizes as
    it is; one with the declared size in a Reshape or Resize does not, and `specialise` says at which node.

    Args:
        network: left as it is.
        axes: input -> its dimension, counted from either end -> the name of the axis. Inputs that share a name have to
            agree in its size.

    Raises:
        ModelError: there is no such input or dimension.
    """
    inputs = dict(network.inputs)
    for name, names in axes.items():
        if name not in inputs:
            raise ModelError(f"network '{network.name}' has no input '{name}'; {', '.join(inputs)} would work")
        declared = inputs[name]
        if declared.dims is None:
            continue
        dims = list(declared.dims)
        for dim, axis in names.items():
            if not -len(dims) <= dim < len(dims):
                raise ModelError(f"input '{name}' is {declared}: it has no dimension {dim}")
            dims[dim] = axis
        inputs[name] = DeclaredType(declared.dtype, tuple(dims))
    outputs = {
        name: DeclaredType(one.dtype, None if one.dims is None else (None,) * len(one.dims))
        for name, one in network.outputs.items()
    }
    return replace(network, inputs=inputs, outputs=outputs)
