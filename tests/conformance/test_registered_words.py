"""What rules say of their operators when they register, held against ONNX's own schemas and shape inference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import onnx.defs
import pytest
from onnx import NodeProto

from tests.conformance.cases import Case, all_cases
from wavetile.engine.errors import ModelError
from wavetile.engine.graph import RESOLVED
from wavetile.engine.graph.infer import TypeInference
from wavetile.engine.graph.ir import TensorType
from wavetile.engine.plan import OPERATORS
from wavetile.engine.plan.rules import RULES

LIMITED_BY_THEIR_RULES = {"DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "QuantizeLinear"}
"""They make elements of a type of their own, and keep them in its range themselves."""

KEEPING = sorted(operator for (domain, operator), rule in RULES.items() if rule.keeps_range and not domain)


def bound_cases() -> Iterator[tuple[NodeProto, int, dict[str, np.ndarray]]]:
    """(node, operator set, values of its inputs) of every case of one node on arrays."""
    for case in all_cases():
        if case.suite == "node" and len(case.model.graph.node) == 1 and case.reason_to_skip is None:
            (node,) = case.model.graph.node
            inputs, _ = next(case.data())
            names = [value.name for value in case.model.graph.input]
            yield node, opset_of(case), dict(zip(names, inputs, strict=True))


def opset_of(case: Case) -> int:
    return next(entry.version for entry in case.model.opset_import if entry.domain in ("", "ai.onnx"))


def inferred(node: NodeProto, opset: int, values: dict[str, np.ndarray], unknown: str = "") -> object:
    """The types of a node's outputs, by ONNX, if all inputs' values are known but one."""
    types = {name: TensorType(array.shape, array.dtype) for name, array in values.items()}
    known = {name: array for name, array in values.items() if name != unknown}
    try:
        return TypeInference(opset).outputs(node, {name: name for name in values}, types, known)
    except ModelError:
        return "refused"


def test_inputs_that_shape_are_registered() -> None:
    found: dict[str, set[int]] = defaultdict(set)
    for node, opset, values in bound_cases():
        if node.op_type in ("If", "Loop", "Scan"):  # inference does not run their bodies
            continue
        whole = inferred(node, opset, values)
        for index, name in enumerate(node.input):
            if name and inferred(node, opset, values, unknown=name) != whole:
                found[node.op_type].add(index)
    registered = {**RESOLVED, **OPERATORS}
    missing = {operator: slots.difference(registered.get(operator, ())) for operator, slots in found.items()}
    assert len(found) > 25
    assert {operator: slots for operator, slots in missing.items() if slots} == {}


@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_registered_inputs_are_there(operator: str) -> None:
    counts = [schema.max_input for schema in onnx.defs.get_all_schemas_with_history() if schema.name == operator]
    assert all(slot < max(counts) for slot in OPERATORS[operator])


@pytest.mark.parametrize("operator", KEEPING)
def test_who_keeps_the_range_hands_elements_on(operator: str) -> None:
    """Each output is of an input's type, or holds indices, counts or truth values."""
    if operator in LIMITED_BY_THEIR_RULES:
        return
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.name == operator and schema.domain == "":
            read = {formal.type_str for formal in schema.inputs}
            made = {formal.type_str for formal in schema.outputs}
            constraints = {one.type_param_str: set(one.allowed_type_strs) for one in schema.type_constraints}
            for kind in made - read:
                assert constraints.get(kind, {kind}) <= {"tensor(int64)", "tensor(bool)"}, f"makes elements of {kind}"
