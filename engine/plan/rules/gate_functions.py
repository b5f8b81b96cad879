"""The activation functions of a recurrent node: which, in each direction, with which alpha and beta."""

from __future__ import annotations

from typing import NamedTuple

from ....kernels.schemas.recurrent_general import Cell, GateActivation
from .registry import Lowering


class GateFunction(NamedTuple):
    """One activation; alpha and beta are those of its ONNX operator where the node gives none."""

    kind: GateActivation
    alpha: float = 0.0
    beta: float = 0.0


SIGMOID, TANH = GateFunction(GateActivation.SIGMOID), GateFunction(GateActivation.TANH)
RELU = GateFunction(GateActivation.RELU)

DEFAULTS = {Cell.RNN: (TANH,), Cell.GRU: (SIGMOID, TANH), Cell.LSTM: (SIGMOID, TANH, TANH)}

_ALPHAS: dict[GateActivation, float | None] = {
    GateActivation.AFFINE: 1.0,
    GateActivation.LEAKYRELU: 0.01,
    GateActivation.THRESHOLDEDRELU: 1.0,
    GateActivation.SCALEDTANH: None,
    GateActivation.HARDSIGMOID: 0.2,
    GateActivation.ELU: 1.0,
}
_BETAS = {GateActivation.AFFINE: 0.0, GateActivation.SCALEDTANH: None, GateActivation.HARDSIGMOID: 0.5}
"""What the operator of that name has where the node gives nothing; None: that operator had no default."""


def gate_functions(node: Lowering, cell: Cell, directions: int) -> list[tuple[GateFunction, ...]]:
    """For each direction its functions f, (f, g) or (f, g, h).

    The numbers of activation_alpha and activation_beta go, in order, to the functions that have such a parameter.

    Raises:
        UnsupportedError: an activation is unknown, or there are not as many as the directions need.
    """
    names = node.attribute("activations")
    if not names:
        return [DEFAULTS[cell]] * directions
    if len(names) != directions * cell.functions:
        raise node.refuse(
            f"attribute activations has {len(names)} names", f"{directions * cell.functions} are needed: {cell.name}"
        )
    alphas, betas = list(node.attribute("activation_alpha", [])), list(node.attribute("activation_beta", []))
    functions = []
    for name in names:
        if name.upper() not in GateActivation.__members__:  # old exporters write them small
            known = ", ".join(member.name.capitalize() for member in GateActivation)
            raise node.refuse(f"attribute activations has {name!r}", f"there are {known}")
        kind = GateActivation[name.upper()]
        alpha, beta = _parameter(kind, _ALPHAS, alphas), _parameter(kind, _BETAS, betas)
        if alpha is None or beta is None:
            raise node.refuse(f"attribute activations has {name!r}", "give activation_alpha and activation_beta")
        functions.append(GateFunction(kind, alpha, beta))
    count = cell.functions
    return [tuple(functions[start : start + count]) for start in range(0, len(functions), count)]


def _parameter(kind: GateActivation, defaults: dict[GateActivation, float | None], given: list[float]) -> float | None:
    if kind not in defaults:
        return 0.0
    return float(given.pop(0)) if given else defaults[kind]
