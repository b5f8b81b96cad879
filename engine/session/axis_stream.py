"""A network's stream along one axis: arrays of any length in, all that can be made of them out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import SignalError, StreamClosedError
from ..plan import from_carrier
from ..plan.streaming import Steps, StreamPlan


class AxisStream:
    """A signal on one network, computed in the caller's thread as soon as a step is complete.

    What comes out over the whole signal is what the network makes of it at once, whatever the chunks.
    """

    def __init__(self, plan: StreamPlan, *, backend: str = "cpu") -> None:
        (self._axis,) = plan.axes
        self._plan = plan
        self._steps = Steps(plan, backend)
        graph = plan.bindings.graph
        self._dims = {name: plan.bindings.dims[name][0] for name in graph.inputs}
        self._dtypes = {name: graph.types[name].dtype for name in graph.outputs}
        self._waiting: dict[str, list[np.ndarray]] = {name: [] for name in graph.inputs}
        self._arrived = 0  # elements in all
        self._taken = 0  # elements that steps have taken
        self._ended = False

    @property
    def step(self) -> int:
        """Elements that a step takes; chunks of this length are computed without waiting."""
        return self._axis.step

    def process(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Take the next elements of every input and return what can be made of them, in fresh arrays.

        Raises:
            SignalError: an input is missing or unknown, or has another shape than the rest of the signal.
            StreamClosedError: the stream was flushed.
        """
        if self._ended:
            raise StreamClosedError("the stream has been flushed; open a new one")
        self._arrived += self._accept(inputs)
        made = []
        while self._arrived - self._taken >= (self._axis.step if self._taken else self._axis.first):
            made.append(self._advance(self._axis.step if self._taken else self._axis.first, ended=False))
        return self._joined(made)

    def flush(self) -> dict[str, np.ndarray]:
        """End the signal and return the rest.

        Raises:
            StreamClosedError: the stream was flushed before.
            ModelError: the network does not take a signal of this length.
        """
        if self._ended:
            raise StreamClosedError("the stream has been flushed; open a new one")
        self._plan.lengths([self._arrived])
        self._ended = True
        return self._joined([self._advance(self._arrived - self._taken, ended=True)] if self._arrived else [])

    def _accept(self, inputs: Mapping[str, np.ndarray]) -> int:
        if inputs.keys() != self._waiting.keys():
            raise SignalError(f"the inputs are {', '.join(inputs) or 'none'}; {', '.join(self._waiting)} would work")
        lengths = {}
        types = self._plan.bindings.graph.types
        for name, array in inputs.items():
            dim, shape = self._dims[name], types[name].shape
            assert dim is not None
            array = np.asarray(array)
            if array.ndim != len(shape) or any(
                size != want for index, (size, want) in enumerate(zip(array.shape, shape, strict=True)) if index != dim
            ):
                wanted = [str(size) if index != dim else "any" for index, size in enumerate(shape)]
                raise SignalError(f"input {name!r} has shape {list(array.shape)}; [{', '.join(wanted)}] would work")
            lengths[name] = array.shape[dim]
        if len(set(lengths.values())) > 1:
            raise SignalError(f"the inputs' lengths along the stream differ: {lengths}; the same for all would work")
        for name, array in inputs.items():
            self._waiting[name].append(np.array(array))
        return next(iter(lengths.values()))

    def _advance(self, count: int, *, ended: bool) -> dict[str, Any]:
        kind = self._axis.kind(self._taken, self._taken + count, ended=ended)
        self._taken += count
        made = self._steps.run((kind,), {name: self._take(name, count) for name in self._waiting})
        return {name: made[name].copy() for name in self._dtypes if name in made}

    def _take(self, name: str, count: int) -> np.ndarray:
        dim = self._dims[name]
        assert dim is not None
        whole = np.concatenate(self._waiting[name], dim)
        part, rest = np.split(whole, [count], dim)
        self._waiting[name] = [rest]
        return part

    def _joined(self, made: list[dict[str, Any]]) -> dict[str, np.ndarray]:
        graph = self._plan.bindings.graph
        result = {}
        for name, dtype in self._dtypes.items():
            dim = self._plan.bindings.dims[name][0]
            assert dim is not None
            shape = list(graph.types[name].shape)
            shape[dim] = 0
            parts = [part[name] for part in made if name in part]
            result[name] = from_carrier(np.concatenate(parts, dim), dtype) if parts else np.zeros(shape, dtype)
        return result
