"""Evaluates one network on whole arrays: a program for each set of shapes, compiled once, run from any thread."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field, replace
from functools import partial
from queue import SimpleQueue

import numpy as np

from ..errors import ModelError, SignalError
from ..graph import Network, Ragged, fuse, shaping_inputs, specialise
from ..graph.network import DeclaredType
from ..plan import OPERATORS, Program, Target, Workspace, compile_graph, from_carrier

MAX_PROGRAMS = 8
"""Sets of shapes whose programs are kept; the one that was used longest ago goes first."""

Key = tuple[object, ...]
"""Shapes and types of all inputs, and the values of those that are bound by value."""


@dataclass(slots=True, eq=False)
class _Compiled:
    inputs: list[tuple[str, tuple[int, ...], np.dtype]]
    """Name, shape and type of each input that it was compiled for."""
    bound: list[tuple[str, bytes]]
    """Those that are bound by value, and the value."""
    program: Program | None
    """Of the outputs that arrive with the signal; None if none does."""
    dtypes: dict[str, np.dtype]
    """Of the program's outputs; it computes in carriers."""
    constants: dict[str, np.ndarray]
    """The other outputs: they follow from shapes and bound values, and never pass through a program."""
    ragged: dict[str, Ragged]
    """Those of the program's outputs whose size depends on the data."""
    idle: list[_Place] = field(default_factory=list)
    """Appending and popping are atomic."""
    threads: int = field(init=False, default=1)
    """How many of them one run takes."""

    def __post_init__(self) -> None:
        if self.program is not None:
            self.threads = self.program.table.threads

    def takes(self, inputs: Mapping[str, np.ndarray]) -> bool:
        """Whether it was compiled for such inputs. Raises KeyError, AttributeError or TypeError for what is no array.

        One comparison after the other: of a small network, a dictionary's key of them would take longer than a layer.
        """
        for name, shape, dtype in self.inputs:
            array = inputs[name]
            if array.shape != shape or (array.dtype is not dtype and array.dtype != dtype):
                return False
        return not self.bound or all(inputs[name].tobytes() == value for name, value in self.bound)


class _Place:
    """A workspace of one lane with its ports at hand: looking them up takes longer than a small network."""

    def __init__(self, compiled: _Compiled, network: Network, backend: str) -> None:
        self.run: Callable[[int], object] = _nothing
        self.inputs: list[tuple[str, np.ndarray]] = []
        """Name and port: assigning casts to the carrier."""
        outputs: dict[str, Callable[[], np.ndarray]] = {}
        for name, constant in compiled.constants.items():
            outputs[name] = partial(np.array, constant)
        if compiled.program is not None:
            workspace = Workspace(compiled.program, backend)
            self.run = workspace.run
            self.inputs = [(name, workspace.input(name)[0, ...]) for name in compiled.program.inputs]
            for name, dtype in compiled.dtypes.items():
                port = workspace.output(name)[0, ...]
                ragged = compiled.ragged.get(name)
                if ragged is not None:
                    outputs[name] = partial(_cut, port, dtype, workspace.output(ragged.count)[0], ragged.axis)
                    continue
                outputs[name] = port.copy if port.dtype == dtype else partial(from_carrier, port, dtype)
        self.outputs = [(name, outputs[name]) for name in network.outputs]
        """Name, and what makes a fresh array of it."""


def _nothing(lanes: int) -> None:
    """What a network computes whose outputs are constants."""


def _cut(port: np.ndarray, dtype: np.dtype, count: np.ndarray, axis: int) -> np.ndarray:
    return from_carrier(port[(*(slice(None),) * axis, slice(int(count[0])))], dtype)


class Evaluator:
    """A network evaluated as ONNX describes it: state inputs are inputs like all others.

    Safe from several threads. `threads` compute at the same time: all of them one run of a large program, or each one
    run of a small one; other runs wait.
    """

    def __init__(self, network: Network, target: Target, threads: int) -> None:
        self.network = network
        self._target = target
        self._names = list(network.inputs)
        bound = shaping_inputs(network, OPERATORS)
        self._bound_at = [index for index, name in enumerate(self._names) if name in bound]
        """Inputs that are bound by value: shapes, axes or branches follow from them."""
        self._turns: SimpleQueue[None] = SimpleQueue()
        """A semaphore: who holds one of its `threads` items may compute. `threading.Semaphore` costs ten times more."""
        for _ in range(threads):
            self._turns.put(None)
        self._threads = threads
        self._cores = 1 if target.on_device else threads  # a card shares out each instruction by itself
        self._together = threading.Lock()
        self._lock = threading.Lock()
        self._programs: OrderedDict[Key, Future[_Compiled]] = OrderedDict()
        """Those that are being compiled among them: the lock is held to look for one, and never to compile one."""
        self._latest: _Compiled | None = None

    @property
    def binds_values(self) -> bool:
        """Whether an input's value decides shapes or branches, so that a program holds for that value alone."""
        return bool(self._bound_at)

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
        compiled = self._known(inputs)
        if compiled is None:
            inputs = self._checked(inputs)
            compiled = self._compiled(list(inputs.values()))
        threads = compiled.threads
        if threads == 1:
            self._turns.get()
        else:
            self._take_turns(threads)
        try:
            try:
                place = compiled.idle.pop()
            except IndexError:  # never more than `threads` places: each was taken, or made, by one whose turn it was
                place = _Place(compiled, self.network, self._target.backend)
            for name, port in place.inputs:
                port[...] = inputs[name]
            place.run(1)
            outputs = {name: fresh() for name, fresh in place.outputs}
            compiled.idle.append(place)
        finally:
            for _ in range(threads):
                self._turns.put(None)
        return outputs

    def _known(self, inputs: Mapping[str, np.ndarray]) -> _Compiled | None:
        """The program of inputs that are like earlier ones, which were checked when it was compiled."""
        latest = self._latest
        if latest is None or len(inputs) != len(self._names):
            return None
        try:
            if latest.takes(inputs):
                return latest
            with self._lock:
                for key, program in reversed(self._programs.items()):
                    if program.done() and program.result().takes(inputs):
                        self._programs.move_to_end(key)
                        self._latest = program.result()
                        return self._latest
        except (KeyError, AttributeError, TypeError):
            pass  # something is wrong with them, and checking them says what
        return None

    def _take_turns(self, threads: int) -> None:
        """Wait until that many threads are free."""
        with self._together:  # two that wait for several would wait for each other
            for _ in range(threads):
                self._turns.get()

    def program(self, shapes: Mapping[str, tuple[int, ...]]) -> Program | None:
        """The program that `run` would use for inputs of these shapes; None if every output is a constant.

        Raises ModelError as `run`; also if an input is bound by value.
        """
        if self._bound_at:
            name = self._names[self._bound_at[0]]
            raise ModelError(f"network {self.network.name!r}: its program follows from the value of input {name!r}")
        inputs = self.network.inputs.items()
        # Shapes without memory: no value of theirs is looked at.
        arrays = [np.broadcast_to(np.zeros((), declared.dtype), shapes[name]) for name, declared in inputs]
        return self._compiled(arrays).program

    def _key(self, arrays: Sequence[np.ndarray]) -> Key:
        key = (*[array.shape for array in arrays], *[array.dtype for array in arrays])
        if self._bound_at:
            key += tuple([arrays[index].tobytes() for index in self._bound_at])
        return key

    def _compiled(self, arrays: Sequence[np.ndarray]) -> _Compiled:
        """Find the program for inputs in the network's order; compile it, or wait for who does, if it is new."""
        key = self._key(arrays)
        while True:
            with self._lock:
                known = self._programs.get(key)
                program = Future() if known is None else known
                self._programs[key] = program
                self._programs.move_to_end(key)
                if len(self._programs) > MAX_PROGRAMS:
                    self._programs.popitem(last=False)
            if known is None:
                self._fulfil(program, key, arrays)
            try:
                self._latest = program.result()
            except CancelledError:
                continue  # who compiled it was interrupted, which is no affair of those who wait
            return self._latest

    def _fulfil(self, program: Future[_Compiled], key: Key, arrays: Sequence[np.ndarray]) -> None:
        """Compile a program for all who wait for it. One that fails is not kept."""
        try:
            program.set_result(self._compile(arrays))
        except BaseException as error:
            with self._lock:
                if self._programs.get(key) is program:
                    del self._programs[key]
            if not isinstance(error, Exception):
                program.cancel()
                raise
            program.set_exception(error)

    def _compile(self, arrays: Sequence[np.ndarray]) -> _Compiled:
        bound = {self._names[index]: arrays[index] for index in self._bound_at}
        shapes = {name: one.shape for name, one in zip(self._names, arrays, strict=True) if name not in bound}
        graph = specialise(self.network, shapes, bound, operators=OPERATORS)
        computed = [name for name in graph.outputs if name not in graph.constants]
        ragged = {name: graph.ragged[name] for name in computed if name in graph.ragged}
        rest = replace(graph, outputs=[*computed, *dict.fromkeys(one.count for one in ragged.values())])
        program = None
        if computed:
            program = compile_graph(fuse(rest), name=self.network.name, threads=self._cores, target=self._target)
        return _Compiled(
            inputs=[(name, one.shape, one.dtype) for name, one in zip(self._names, arrays, strict=True)],
            bound=[(name, one.tobytes()) for name, one in bound.items()],
            program=program,
            dtypes={name: graph.types[name].dtype for name in computed},
            constants={name: graph.constants[name] for name in graph.outputs if name in graph.constants},
            ragged=ragged,
        )

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
    if array.shape == declared.dims and array.dtype == declared.dtype:
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
    return array
