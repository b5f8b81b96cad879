"""Evaluates one network on whole arrays: a program for each set of shapes, compiled once, run from any thread."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import SignalError
from ..graph import Network, fuse, shaping_inputs, specialise
from ..graph.network import DeclaredType
from ..plan import Program, Workspace, compile_graph, from_carrier, to_carrier

MAX_PROGRAMS = 8
"""Sets of shapes whose programs are kept; the one that was used longest ago goes first."""

Key = tuple[object, ...]


@dataclass(slots=True)
class _Compiled:
    program: Program | None
    """Of the outputs that arrive with the signal; None if none does."""
    dtypes: dict[str, np.dtype]
    """Of the program's outputs; it computes in float32."""
    constants: dict[str, np.ndarray]
    """The other outputs: they follow from shapes and bound values, and never pass through float32."""
    idle: list[_Place] = field(default_factory=list)
    """Appending and popping are atomic."""


class _Place:
    """A workspace of one lane, and its ports: looking them up takes longer than a small network."""

    def __init__(self, program: Program, dtypes: Mapping[str, np.dtype], backend: str) -> None:
        workspace = Workspace(program, backend)
        self.run = workspace.run
        self.inputs = [(name, workspace.input(name)[0, ...]) for name in program.inputs]
        self.outputs = [(name, workspace.output(name)[0, ...], dtypes[name]) for name in program.outputs]


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
        self._bound = shaping_inputs(network)
        """Inputs that are bound by value: shapes, axes or branches follow from them."""

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Evaluate the network.

        Args:
            inputs: every input by its ONNX name, of the declared type. Those that shapes, axes or branches follow from
                are bound by value: each new value compiles a new program.

        Returns:
            Every output by its ONNX name, in fresh arrays.

        Raises:
            SignalError: an input is missing, unknown, or of another type or shape than declared.
            ModelError: shapes that contradict each other, or for which the network can not be compiled.
        """
        arrays = self._checked(inputs)
        shapes = {name: array.shape for name, array in arrays.items() if name not in self._bound}
        compiled = self._compiled(shapes, {name: arrays[name] for name in self._bound})
        outputs = {name: np.array(array) for name, array in compiled.constants.items()}
        if compiled.program is None:
            return outputs
        with self._turn:
            try:
                place = compiled.idle.pop()
            except IndexError:
                place = _Place(compiled.program, compiled.dtypes, self._backend)
            for name, port in place.inputs:
                port[...] = to_carrier(arrays[name])
            place.run(1)
            outputs.update((name, from_carrier(port, dtype)) for name, port, dtype in place.outputs)
            # Never more than `threads` of them: each was taken, or made, by one whose turn it was.
            compiled.idle.append(place)
        return {name: outputs[name] for name in self.network.outputs}

    def program(self, shapes: Mapping[str, tuple[int, ...]]) -> Program | None:
        """The program that `run` would use for inputs of these shapes; None if every output is a constant.

        Raises ModelError as `run`; also if an input is bound by value.
        """
        return self._compiled(shapes, {}).program

    def _compiled(self, shapes: Mapping[str, tuple[int, ...]], values: Mapping[str, np.ndarray]) -> _Compiled:
        """Find or compile the program for shapes of signals and values of other inputs."""
        key: Key = (
            *(shapes.get(name) for name in self.network.inputs),
            *((name, value.shape, value.tobytes()) for name, value in values.items()),
        )
        with self._lock:
            if key in self._programs:
                self._programs.move_to_end(key)
                return self._programs[key]
            graph = specialise(self.network, shapes, values)
            computed = [name for name in graph.outputs if name not in graph.constants]
            rest = replace(graph, outputs=computed)
            compiled = _Compiled(
                compile_graph(fuse(rest), name=self.network.name) if computed else None,
                {name: graph.types[name].dtype for name in computed},
                {name: graph.constants[name] for name in graph.outputs if name in graph.constants},
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
