"""Evaluates one network on whole arrays: a program for each set of shapes, compiled once, run from any thread."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..errors import SignalError
from ..graph import Network, fuse, specialise
from ..graph.network import DeclaredType
from ..plan import Program, Workspace, compile_graph

MAX_PROGRAMS = 8
"""Sets of shapes whose programs are kept; the one that was used longest ago goes first."""

Key = tuple[tuple[object, ...], ...]


@dataclass(slots=True)
class _Compiled:
    program: Program
    dtypes: dict[str, np.dtype]
    """Of the outputs; a program computes in float32."""
    idle: list[_Place] = field(default_factory=list)
    """Appending and popping are atomic."""


class _Place:
    """A workspace of one lane, and its ports: looking them up takes longer than a small network."""

    def __init__(self, compiled: _Compiled, backend: str) -> None:
        workspace = Workspace(compiled.program, backend)
        self.run = workspace.run
        self.inputs = [(name, workspace.input(name)[0, ...]) for name in compiled.program.inputs]
        self.outputs = [
            (name, workspace.output(name)[0, ...], compiled.dtypes[name]) for name in compiled.program.outputs
        ]


class Evaluator:
    """A network evaluated as ONNX describes it: state inputs are inputs like all others.

    Safe from several threads; `threads` of them compute at the same time, others wait.
    """

    def __init__(self, network: Network, backend: str, threads: int) -> None:
        self.network = network
        self._backend = backend
        self._threads = threads
        self._turn = threading.Semaphore(threads)
        self._lock = threading.Lock()
        self._programs: OrderedDict[Key, _Compiled] = OrderedDict()
        self._bound = {name for name, declared in network.inputs.items() if declared.dtype != np.float32}
        """Inputs that are bound by value: integers and truth values."""

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Evaluate the network.

        Args:
            inputs: every input by its ONNX name, of the declared type. Integers and truth values are bound by value:
                each new value compiles a new program.

        Returns:
            Every output by its ONNX name, in fresh arrays.

        Raises:
            SignalError: an input is missing, unknown, or of another type or shape than declared.
            ModelError: shapes that contradict each other, or for which the network can not be compiled.
        """
        arrays = self._checked(inputs)
        compiled = self.compiled(arrays)
        with self._turn:
            try:
                place = compiled.idle.pop()
            except IndexError:
                place = _Place(compiled, self._backend)
            for name, port in place.inputs:
                port[...] = arrays[name]
            place.run(1)
            outputs = {name: port.astype(dtype) for name, port, dtype in place.outputs}
            # Never more than `threads` of them: each was taken, or made, by one whose turn it was.
            compiled.idle.append(place)
        return outputs

    def program(self, arrays: Mapping[str, np.ndarray]) -> Program:
        """The program that `run` would use for inputs of these shapes."""
        return self.compiled(self._checked(arrays)).program

    def compiled(self, arrays: Mapping[str, np.ndarray]) -> _Compiled:
        """Find or compile the program for checked inputs."""
        key: Key = tuple(
            (array.shape, array.tobytes() if name in self._bound else None) for name, array in arrays.items()
        )
        with self._lock:
            if key in self._programs:
                self._programs.move_to_end(key)
                return self._programs[key]
            shapes = {name: array.shape for name, array in arrays.items() if name not in self._bound}
            graph = specialise(self.network, shapes, {name: arrays[name] for name in self._bound})
            compiled = _Compiled(
                compile_graph(fuse(graph), name=self.network.name),
                {name: graph.types[name].dtype for name in graph.outputs},
            )
            self._programs[key] = compiled
            if len(self._programs) > MAX_PROGRAMS:
                self._programs.popitem(last=False)
            return compiled

    def _checked(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        network = self.network
        for name in inputs:
            if name not in network.inputs:
                raise SignalError(f"network {network.name!r} has no input {name!r}; its inputs are {self._listing()}")
        arrays = {}
        for name, declared in network.inputs.items():
            if name not in inputs:
                raise SignalError(f"input {name!r} of network {network.name!r} is missing; it is {declared}")
            arrays[name] = _fitting(name, declared, np.asarray(inputs[name]))
        return arrays

    def _listing(self) -> str:
        return ", ".join(f"{name!r} {declared}" for name, declared in self.network.inputs.items())


def _fitting(name: str, declared: DeclaredType, array: np.ndarray) -> np.ndarray:
    if array.shape == declared.dims and array.dtype == declared.dtype and array.size:
        return array
    if array.dtype != declared.dtype:
        raise SignalError(
            f"input {name!r} is {declared}, but an array of {array.dtype} was given; "
            f"array.astype(numpy.{declared.dtype.name}) would work"
        )
    dims = declared.dims
    if dims is not None and (
        len(dims) != array.ndim
        or any(isinstance(dim, int) and dim != size for dim, size in zip(dims, array.shape, strict=True))
    ):
        raise SignalError(f"input {name!r} is {declared}; the shape {list(array.shape)} does not fit it")
    if not array.size:
        raise SignalError(f"input {name!r} is empty: its shape is {list(array.shape)}")
    return array
