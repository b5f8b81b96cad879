"""A network's stream along one axis: arrays of any length in, all that can be made of them out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import StreamClosedError
from ..plan import from_carrier
from ..plan.streaming import Steps, StreamPlan
from .array_queue import ArrayQueue


class AxisStream:
    """A signal on one network, computed in the caller's thread as soon as a step is complete.

    What comes out over the whole signal is what the network makes of it at once, whatever the chunks.
    """

    def __init__(self, plan: StreamPlan, *, backend: str = "cpu", poisoned: bool = False) -> None:
        """`poisoned`: memory that no step has written is NaN; for tests."""
        (self._axis,) = plan.axes
        self._plan = plan
        self._steps = Steps(plan, backend, poisoned=poisoned)
        graph = plan.bindings.graph
        self._dtypes = {name: graph.types[name].dtype for name in graph.outputs}
        dims = {name: dim for name in graph.inputs if (dim := plan.bindings.dims[name][0]) is not None}
        types = {name: graph.types[name] for name in dims}
        self._queue = ArrayQueue(
            {name: tensor.shape for name, tensor in types.items()},
            dims,
            {name: tensor.dtype for name, tensor in types.items()},
        )
        self._taken = 0  # elements that steps have taken
        self._ended = False

    @property
    def step(self) -> int:
        """Elements that a step takes; chunks of this length are computed without waiting."""
        return self._axis.step

    @property
    def plan(self) -> StreamPlan:
        """What is computed."""
        return self._plan

    def process(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Take the next elements of every input and return what can be made of them, in fresh arrays.

        Raises:
            SignalError: an input is missing or unknown, of another type or shape, or longer than another one.
            StreamClosedError: the stream was flushed.
        """
        if self._ended:
            raise StreamClosedError("the stream has been flushed; open a new one")
        self._queue.append(inputs)
        made = []
        while self._queue.length >= (self._axis.step if self._taken else self._axis.first):
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
        length = self._taken + self._queue.length
        self._plan.lengths([length])
        self._ended = True
        return self._joined([self._advance(self._queue.length, ended=True)] if length else [])

    def _advance(self, count: int, *, ended: bool) -> dict[str, np.ndarray]:
        """Take a step, and return what it makes in fresh arrays."""
        kind = self._axis.kind(self._taken, self._taken + count, ended=ended)
        self._taken += count
        made = self._steps.run((kind,), self._queue.take(count))
        return {name: from_carrier(made[name], dtype) for name, dtype in self._dtypes.items() if name in made}

    def _joined(self, made: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """What steps made, one after the other."""
        if len(made) == 1 and len(made[0]) == len(self._dtypes):
            return made[0]
        bindings = self._plan.bindings
        result = {}
        for name, dtype in self._dtypes.items():
            parts = [part[name] for part in made if name in part]
            result[name] = (
                np.concatenate(parts, bindings.dim(name, 0)) if parts else np.zeros(bindings.shape(name, [0]), dtype)
            )
        return result
