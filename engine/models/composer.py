"""Grows one graph out of a signal front end and networks: what a frame goes through becomes one program."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import CardError
from ..graph import Graph, Node, State, TensorType
from ..graph.ir import STREAM_DOMAIN

OPSET = 17
"""Of the nodes that come from the card: the last in which every reduction has its axes as an attribute."""

_FLOAT32 = np.dtype(np.float32)


class Composer:
    """A graph under construction. Its own values are called `signal/...`, those of a network `<network>/...`."""

    def __init__(self, name: str, *, frame_samples: int, hop_samples: int, sample_rate_hz: int = 0) -> None:
        self.graph = Graph(name=name, inputs={}, outputs=[], nodes=[], constants={}, types={})
        self.frame_samples = frame_samples
        self.hop_samples = hop_samples
        self.sample_rate_hz = sample_rate_hz
        """0: the frames are not cut from audio."""
        self.lags: dict[str, int] = {}
        """Value -> samples by which it lags the newest of its frame; 0 for those that are not here."""
        self._initial: dict[str, np.ndarray] = {}
        """States that nothing goes on yet."""

    @property
    def bins(self) -> int:
        """Bins of a frame's spectrum."""
        return self.frame_samples // 2 + 1

    def shape(self, value: str) -> tuple[int, ...]:
        """Shape of a value."""
        return self.graph.types[value].shape

    def input(self, name: str, shape: tuple[int, ...], dtype: np.dtype = _FLOAT32) -> str:
        """Add an input of the graph."""
        self.graph.inputs[name] = self.graph.types[name] = TensorType(shape, dtype)
        return name

    def constant(self, name: str, array: np.ndarray) -> str:
        """Add a constant; the same name again must be the same constant."""
        key = f"signal/{name}"
        if key in self.graph.constants and not np.array_equal(self.graph.constants[key], array):
            key = self._fresh(name)
        self.graph.constants[key] = array
        self.graph.types[key] = TensorType(array.shape, array.dtype)
        return key

    def node(self, op: str, inputs: tuple[str, ...], shape: tuple[int, ...], **attributes: Any) -> str:
        """Add a node of the ONNX domain and return its output."""
        return self._add(op, inputs, shape, attributes, OPSET, "")

    def stream_node(self, op: str, value: str, shape: tuple[int, ...], **attributes: Any) -> str:
        """Add one of the project's own stream operators and return its output."""
        return self._add(op, (value,), shape, attributes, 1, STREAM_DOMAIN)

    def state(self, name: str, initial: np.ndarray) -> str:
        """Add a tensor carried from step to step and return its value of before; `carry` says how it goes on."""
        value = self.input(self._fresh(name), initial.shape)
        self._initial[value] = initial
        return value

    def carry(self, before: str, after: str) -> None:
        """Let `after` be, in the next step, the state that `before` is in this one."""
        self.graph.states.append(State(before, after, self.shape(before), self._initial.pop(before)))

    def lag(self, value: str, samples: int) -> None:
        """Note that an operator held a value back by so many samples, beside what its inputs lag."""
        self.lags[value] = self.lags.get(value, 0) + samples

    def slice(self, value: str, axis: int, start: int, stop: int) -> str:
        """Return the positions `start` to `stop` of an axis."""
        shape = self.shape(value)
        if (start, stop) == (0, shape[axis]):
            return value
        bounds = [self.constant(f"index_{n}", np.array([n], np.int64)) for n in (start, stop, axis)]
        return self.node("Slice", (value, *bounds), (*shape[:axis], stop - start, *shape[axis + 1 :]))

    def reshape(self, value: str, shape: tuple[int, ...]) -> str:
        """Return the value in another shape.

        Raises:
            CardError: it has not as many elements.
        """
        current = self.shape(value)
        if current == shape:
            return value
        if math.prod(current) != math.prod(shape):
            raise CardError(f"value {value!r} has shape {list(current)} where {list(shape)} is needed")
        target = self.constant("shape_" + "x".join(map(str, shape)), np.array(shape, np.int64))
        return self.node("Reshape", (value, target), shape, allowzero=0)

    def network(self, name: str, network: Graph, inputs: dict[str, str]) -> dict[str, str]:
        """Add a bound network; its states become the graph's.

        Args:
            name: what its values are called after.
            network: every input is fed by a state or by `inputs`.
            inputs: the network's input -> a value of this graph.

        Returns:
            The network's outputs -> values of this graph.

        Raises:
            CardError: an input is not fed, or there is no such input, or its number of elements is another.
        """
        graph = self.graph
        carried = {state.input for state in network.states}
        if missing := [key for key in network.inputs if key not in carried and key not in inputs]:
            raise CardError(
                f"network {name!r}: nothing feeds input {missing[0]!r}: name it in inputs, states or constants"
            )
        if unknown := [key for key in inputs if key not in network.inputs or key in carried]:
            free = [key for key in network.inputs if key not in carried]
            raise CardError(f"network {name!r} has no input {unknown[0]!r} to feed; it has {', '.join(free)}")
        names = {key: self.reshape(value, network.inputs[key].shape) for key, value in inputs.items()}

        def renamed(value: str) -> str:
            return names.get(value, f"{name}/{value}") if value else ""

        for state in network.states:
            tensor = network.inputs[state.input]
            self.input(renamed(state.input), tensor.shape, tensor.dtype)
            graph.states.append(replace(state, input=renamed(state.input), output=renamed(state.output)))
        for key, array in network.constants.items():
            graph.constants[renamed(key)] = array
        for key, tensor in network.types.items():
            graph.types.setdefault(renamed(key), tensor)
        for node in network.nodes:
            graph.nodes.append(
                replace(
                    node,
                    name=f"{name}/{node.name}",
                    inputs=tuple(map(renamed, node.inputs)),
                    outputs=tuple(map(renamed, node.outputs)),
                )
            )
        latest = max((self.lags.get(value, 0) for value in names.values()), default=0)
        outputs = {key: renamed(key) for key in network.outputs}
        if latest:
            self.lags.update(dict.fromkeys(outputs.values(), latest))
        return outputs

    def _add(
        self,
        op: str,
        inputs: tuple[str, ...],
        shape: tuple[int, ...],
        attributes: dict[str, Any],
        opset: int,
        domain: str,
    ) -> str:
        output = self._fresh(op)
        self.graph.types[output] = TensorType(shape, _FLOAT32)
        self.graph.nodes.append(Node(op, output, inputs, (output,), attributes, opset, domain))
        if latest := max((self.lags.get(value, 0) for value in inputs), default=0):
            self.lags[output] = latest
        return output

    def _fresh(self, base: str) -> str:
        index = 1
        while f"signal/{base}_{index}" in self.graph.types:
            index += 1
        return f"signal/{base}_{index}"
