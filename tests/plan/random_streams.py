"""Random networks that stream: values of [1, channels, one or two streaming axes], built layer by layer.

Of every value it is known how long it is for any length of the inputs, so that branches join where their lengths agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx.printer
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

LONGEST = 400
"""Elements that a value may have along an axis for inputs of the shorter probe."""

Length = Callable[[int], int]
Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass(frozen=True)
class Value:
    """A tensor [1, channels, *streaming axes] under construction."""

    name: str
    channels: int
    axes: tuple[int, ...]
    """For each dimension behind the channels, the number of the axis that runs along it."""
    lengths: tuple[Length, ...]
    """For each of these dimensions, its length for so many elements of the inputs along that axis."""


@dataclass(frozen=True)
class Window:
    """Numbers of a window along one dimension."""

    kernel: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def reach(self) -> int:
        """Elements from the window's first to its last."""
        return (self.kernel - 1) * self.dilation + 1


class Network:
    """A network under construction, on `rank` streaming axes; each layer appends to `values`."""

    def __init__(self, draw: Draw, rank: int, inputs: int | None = None) -> None:
        self.draw, self.rank = draw, rank
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.conditions: list[tuple[int, Callable[[int], bool]]] = []
        """What has to be true of the length of the inputs along an axis."""
        self.inputs = ["x", "z"][: inputs or self.integer(1, 4) // 4 + 1]
        self.rest = self.choice((0, 0, 0, 0, 1, 2, 3))
        """What is left of the lengths that the network takes when they are divided by 4; 0: any lengths may be left."""
        self.probes = (64 + self.rest, 64 + self.rest + 6720) if self.rest else (64, 128)
        """Lengths that the network has to take, whatever is drawn: the planner binds it to these, or to others."""
        self._rng = np.random.default_rng(self.integer(0, 99))
        axes = tuple(range(rank))
        self.channels = self.integer(1, 3)
        self.values = [Value(name, self.channels, axes, (lambda length: length,) * rank) for name in self.inputs]

    # What is drawn

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def choice(self, options: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(options))

    def weights(self, *shape: int, fan_in: int = 1) -> str:
        return self.constant((self._rng.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32))

    # What a network is made of

    def constant(self, array: np.ndarray | Sequence[int]) -> str:
        name = f"c{len(self.constants)}"
        array = array if isinstance(array, np.ndarray) else np.array(array, np.int64)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        names = [name] + [f"{name}_{index}" for index in range(1, outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=f"{op}_{name}", **attributes))
        return name

    def require(self, axis: int, condition: Callable[[int], bool]) -> None:
        self.conditions.append((axis, condition))

    def fits(self, axis: int, length: int) -> bool:
        """Whether the network takes inputs of this length along an axis."""
        return all(condition(length) for number, condition in self.conditions if number == axis)

    def derived(
        self, value: Value, name: str, lengths: Sequence[Callable[[int], int]], channels: int | None = None
    ) -> Value:
        """A value of other lengths, each a function of the old one; every one has to be at least 1."""
        composed = tuple(
            (lambda length, old=old, change=change: change(old(length)))
            for old, change in zip(value.lengths, lengths, strict=True)
        )
        for axis, length in zip(value.axes, composed, strict=True):
            self.require(axis, lambda total, length=length: length(total) >= 1)
        result = Value(name, value.channels if channels is None else channels, value.axes, composed)
        self.values.append(result)
        return result

    def divides(self, value: Value, dim: int, number: int) -> bool:
        """Require that a value's length is a multiple; False, and nothing is required, if that cannot be had."""
        length = value.lengths[dim]
        if any(length(probe) % number for probe in self.probes):
            return False
        self.require(value.axes[dim], lambda total: length(total) % number == 0)
        return True

    def windows(self, *, same: bool = False, most_padding: int = 0, dilates: bool = True) -> list[Window]:
        """A random window for each dimension; padding below its reach, or up to `most_padding` more."""
        result = []
        for _ in range(self.rank):
            kernel, dilation = self.integer(1, 4), self.choice((1, 1, 2, 3)) if dilates else 1
            reach = (kernel - 1) * dilation + 1
            if same:
                before = self.integer(0, reach - 1)
                result.append(Window(kernel, 1, dilation, before, reach - 1 - before))
            else:
                most = reach - 1 + most_padding
                result.append(
                    Window(kernel, self.choice((1, 1, 2, 3)), dilation, self.integer(0, most), self.integer(0, most))
                )
        return result

    def slid(self, windows: Sequence[Window], *, ceil: bool = False) -> list[Callable[[int], int]]:
        """The length of the windows' output for that of their input. Source: ONNX MaxPool."""

        def count(length: int, window: Window) -> int:
            room = length + window.before + window.after - window.reach
            if room < 0:
                return 0
            made = (-(-room // window.stride) if ceil else room // window.stride) + 1
            return made - (ceil and (made - 1) * window.stride >= length + window.before)

        return [lambda length, window=window: count(length, window) for window in windows]

    def shape(self, value: Value, *sizes: int | None) -> str:
        """A shape tensor: each size, or the length of the value's next streaming dimension where it is None."""
        whole = self.node("Shape", value.name)
        parts, dim = [], 1
        for size in sizes:
            if size is None:
                dim += 1
                parts.append(self.node("Gather", whole, self.constant([dim]), axis=0))
            else:
                parts.append(self.constant([size]))
        return self.node("Concat", *parts, axis=0)

    def difference(self, first: Value, second: Value) -> list[int] | None:
        """How many elements longer the first value is along each dimension; None if that depends on the length."""
        if first.axes != second.axes:
            return None
        result = []
        for axis, one, other in zip(first.axes, first.lengths, second.lengths, strict=True):
            fitting = [length for length in range(24, 160) if self.fits(axis, length)]
            found = {one(length) - other(length) for length in fitting}
            if len(found) != 1:
                return None
            result.append(found.pop())
        return result

    def grow(self, layer: Callable[[Network, Value], Value]) -> None:
        """Append a layer, on the last value; take it back if no length would fit any more."""
        before = len(self.nodes), len(self.constants), len(self.conditions), len(self.values)
        layer(self, self.values[-1])
        if not self.still_streams():
            for grown, size in zip((self.nodes, self.constants, self.conditions, self.values), before, strict=True):
                del grown[size:]

    def still_streams(self) -> bool:
        """Whether the lengths that the planner tries fit, and nothing has grown too long."""
        lengths = [
            (axis, length) for value in self.values for axis, length in zip(value.axes, value.lengths, strict=True)
        ]
        return all(self.fits(axis, probe) for axis in range(self.rank) for probe in self.probes) and all(
            2 <= length(self.probes[0]) <= LONGEST for _, length in lengths
        )

    def model(self, outputs: Sequence[Value]) -> onnx.ModelProto:
        names = ["H", "W"][-self.rank :]

        def port(value: Value, axes: Sequence[Any]) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(value.name, TensorProto.FLOAT, [1, value.channels, *axes])

        graph = helper.make_graph(
            self.nodes,
            "random",
            [port(value, names) for value in self.values[: len(self.inputs)]],
            [port(value, [f"{value.name}_{axis}" for axis in value.axes]) for value in outputs],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class Drawn:
    """A network, and what it takes."""

    def __init__(self, network: Network, outputs: Sequence[Value], longest: int) -> None:
        self.model = network.model(outputs)
        self.inputs, self.channels, self.rank = tuple(network.inputs), network.channels, network.rank
        lengths = [[each for each in range(1, longest) if network.fits(axis, each)] for axis in range(network.rank)]
        self.lengths = [fitting or [network.probes[0]] for fitting in lengths]
        """For each axis, the lengths below `longest` that the network takes."""

    def __repr__(self) -> str:
        """ONNX's text syntax, and the shortest lengths."""
        return f"{onnx.printer.to_text(self.model)}\nlengths from {[fitting[:9] for fitting in self.lengths]}"
