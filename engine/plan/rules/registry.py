"""How one node becomes instructions: the registry of rules, and what a rule sees of its node.

To add an operator, write a rule `(node, builder) -> views` in the file of its family and register it with `@rule`,
whose words say what else has to be known of the operator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....kernels import packing
from ....kernels.contract import Space, fits_layout
from ....kernels.opcodes import Activation
from ...errors import UnsupportedError
from ...graph import Graph, Node
from ..builder import Builder
from ..carriers import INT64, UINT64, convert, integer_format, to_carrier
from ..view import View

Lower = Callable[["Lowering", Builder], "View | Sequence[View | None]"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What is known of an operator; one place says it all."""

    lower: Lower
    """Emits its instructions and gives its outputs."""
    shaping: tuple[int, ...]
    """The inputs whose values shapes, axes and lengths follow from, in any operator set."""
    keeps_range: bool
    """Whether its outputs' elements fit their type as they are: those of inputs handed on, or limited by the rule."""


RULES: dict[tuple[str, str], Rule] = {}
"""(domain, operator) -> rule."""

ACTIVATIONS = {
    "Relu": Activation.RELU,
    "LeakyRelu": Activation.LEAKY_RELU,
    "Sigmoid": Activation.SIGMOID,
    "Tanh": Activation.TANH,
    "Elu": Activation.ELU,
    "HardSigmoid": Activation.HARD_SIGMOID,
    "HardSwish": Activation.HARD_SWISH,
    "Swish": Activation.SWISH,
    "Clip": Activation.CLIP,
    "PRelu": Activation.PRELU,
}


def activation_operands(
    code: Activation = Activation.NONE, alpha: float = 0.0, beta: float = 0.0, slope: View | None = None
) -> dict[str, Any]:
    """What a kernel does to its result before it writes it, as its operands (`schemas.activation`)."""
    return {"activation": code, "alpha": alpha, "beta": beta, "slope": slope}


def rule(
    *operators: str, domain: str = "", shaping: tuple[int, ...] = (), keeps_range: bool = False
) -> Callable[[Lower], Lower]:
    """Register a rule for one or more operators of a domain; the words are those of `Rule`.

    An output of an operator without `keeps_range` is wrapped or rounded into its type, which costs an instruction
    where that type is narrower than its carrier.
    """

    def register(function: Lower) -> Lower:
        for operator in operators:
            if (domain, operator) in RULES:
                raise ValueError(f"two rules for {domain}.{operator}")
            RULES[domain, operator] = Rule(function, shaping, keeps_range)
        return function

    return register


class Lowering:
    """A node as its rule sees it: inputs as views or constants, attributes, bound shapes, and a way to refuse."""

    def __init__(self, node: Node, graph: Graph, values: dict[str, View], builder: Builder) -> None:
        self.node = node
        self.op = node.op
        self.opset = node.opset
        self._graph = graph
        self._values = values
        self._builder = builder

    def has(self, index: int) -> bool:
        """Whether the input is there."""
        return index < len(self.node.inputs) and bool(self.node.inputs[index])

    def view(self, index: int) -> View:
        """An input as a view; a constant is put into the weights."""
        return self.view_of(self.node.inputs[index])

    def view_of(self, name: str) -> View:
        """A value by name; a constant is put into the weights."""
        if name not in self._values:
            return self._builder.constant(to_carrier(self._graph.constants[name]))
        return self._values[name]

    def operand(self, index: int) -> View:
        """An input as arithmetic takes it: integers in int64, or uint64 if they are that, all else in its carrier."""
        view = self.view(index)
        if integer_format(self.input_type(index)) is None or view.dtype == UINT64:
            return view
        return convert(self._builder, view, INT64)

    def constant(self, index: int) -> np.ndarray | None:
        """An input's value if it is a constant, None if it is absent or arrives with the signal."""
        return self._graph.constants.get(self.node.inputs[index]) if self.has(index) else None

    def needs_constant(self, index: int, what: str) -> np.ndarray:
        """An input's value.

        Raises:
            UnsupportedError: it is not a constant.
        """
        value = self.constant(index)
        if value is None:
            raise self.refuse(f"its {what} is computed from the signal", f"make {what} a constant before export")
        return value

    def argument(self, index: int, attribute: str, default: Any = None) -> Any:
        """What older opsets call an attribute and newer ones an input: its constant value, as nested lists."""
        if self.has(index):
            return self.needs_constant(index, attribute).tolist()
        return self.attribute(attribute, default)

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute's value, or the default where it is absent."""
        value = self.node.attributes.get(name)
        return default if value is None else value

    def shape(self, index: int) -> tuple[int, ...]:
        """Bound shape of an input."""
        return self._graph.types[self.node.inputs[index]].shape

    def output_shape(self, index: int = 0) -> tuple[int, ...]:
        """Bound shape of an output."""
        return self._graph.types[self.node.outputs[index]].shape

    def input_type(self, index: int) -> np.dtype:
        """Element type of an input in the graph."""
        return self._graph.types[self.node.inputs[index]].dtype

    def output_type(self, index: int = 0) -> np.dtype:
        """Element type of an output in the graph."""
        return self._graph.types[self.node.outputs[index]].dtype

    def wants(self, index: int) -> bool:
        """Whether somebody may read the output."""
        return index < len(self.node.outputs) and bool(self.node.outputs[index])

    def activation(self, channels: int) -> dict[str, Any]:
        """The activation that fusion put into this node, as operands of a kernel; `channels` sizes a PRelu slope."""
        name = self.attribute("activation")
        slope = None
        if name == "PRelu":
            slopes = np.broadcast_to(self._graph.constants[self.attribute("slope")].reshape(-1), (channels,))
            slope = self._builder.constant(packing.bias(slopes))
        alpha, beta = (float(self.attribute(f"activation_{letter}", 0.0)) for letter in ("alpha", "beta"))
        return activation_operands(ACTIVATIONS[name] if name else Activation.NONE, alpha, beta, slope)

    def take_over(self, index: int) -> View | None:
        """The view of an input whose memory this node may overwrite, since it alone reads it; else None.

        Nothing else may refer to the buffer: no other value, output or carried state. The input's name is gone then.
        """
        name = self.node.inputs[index]
        view = self._values.get(name)
        if view is None or view.buffer.pinned or view.buffer.space is not Space.ARENA or not view.covers_buffer():
            return None
        shared = sum(other.buffer is view.buffer for other in self._values.values()) > 1
        if shared or name in self._graph.kept_names() or len(self._graph.consumers()[name]) > 1:
            return None
        if not fits_layout("dense", view.shape, view.strides):
            return None
        return self._values.pop(name)

    def refuse(self, what: str, remedy: str) -> UnsupportedError:
        """The error to raise when the node can not be lowered."""
        return UnsupportedError(f"{self.node}: {what}; {remedy}")
