"""ONNX's conformance suite on every back end: nothing fails, and what is left out has a reason in `skips`."""

from __future__ import annotations

import pytest

from tests.conformance.cases import Case, all_cases
from tests.conformance.skips import CASES, OPERATORS
from wavetile.engine.graph.limits import all_nodes
from wavetile.engine.onnx_backend import CpuBackend, ReferenceBackend
from wavetile.engine.plan import OPERATORS as CLAIMED

ALL = all_cases()
RUN = [case for case in ALL if case.reason_to_skip is None]


@pytest.mark.parametrize("backend", [CpuBackend, ReferenceBackend], ids=["cpu", "reference"])
@pytest.mark.parametrize("case", RUN, ids=lambda case: f"{case.suite}-{case.name}")
def test_case(case: Case, backend: type[CpuBackend]) -> None:
    case.check(backend)


def test_enough_is_run() -> None:
    assert sum(case.suite == "node" for case in RUN) >= 1000
    assert all(case in RUN for case in ALL if case.suite.startswith("pytorch"))


def test_no_claimed_operator_is_skipped() -> None:
    assert not CLAIMED & OPERATORS.keys()


def test_every_skip_still_skips_something() -> None:
    assert CASES.keys() <= {case.name for case in ALL}
    assert OPERATORS.keys() <= {node.op_type for case in ALL for node in all_nodes(case.model)}
