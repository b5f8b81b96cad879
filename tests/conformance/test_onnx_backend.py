"""ONNX's conformance suite on every back end: nothing fails, and what is left out has a reason in `skips`.

On CUDA kernels, which the processor runs, one case of each operator.
"""

from __future__ import annotations

import pytest

from tests.conformance.cases import Case, all_cases
from tests.conformance.skips import CASES, OPERATORS
from tests.kernels.cuda.host import COMPILER, compiler_is_here
from tests.kernels.cuda.host_device import cuda_on_host
from wavetile.engine.errors import WavetileError
from wavetile.engine.graph import RESOLVED
from wavetile.engine.graph.functions import is_defined_by_others
from wavetile.engine.graph.limits import all_nodes
from wavetile.engine.onnx_backend import CpuBackend, ReferenceBackend
from wavetile.engine.plan import OPERATORS as RULED

CLAIMED = RULED.keys() | RESOLVED.keys()
ALL = all_cases()
RUN = [case for case in ALL if case.reason_to_skip is None]
SKIPPED = [case for case in ALL if case.reason_to_skip is not None]
ONE_EACH = {(case.suite, case.operator, "_empty" in case.name): case for case in reversed(RUN)}.values()
"""The first case of each operator, and the first one of nothing."""


class CudaBackend(CpuBackend):
    """Networks on CUDA kernels."""

    back_end = "cuda"


@pytest.mark.parametrize("backend", [CpuBackend, ReferenceBackend], ids=["cpu", "reference"])
@pytest.mark.parametrize("case", RUN, ids=lambda case: f"{case.suite}-{case.name}")
def test_case(case: Case, backend: type[CpuBackend]) -> None:
    case.check(backend)


@pytest.mark.skipif(not compiler_is_here(), reason=f"there is no {COMPILER} here")
@pytest.mark.parametrize("case", ONE_EACH, ids=lambda case: f"{case.suite}-{case.name}")
def test_case_on_cuda(case: Case) -> None:
    with cuda_on_host():
        case.check(CudaBackend)


def test_enough_is_run() -> None:
    assert sum(case.suite == "node" for case in RUN) >= 1000
    assert all(case in RUN for case in ALL if case.suite.startswith("pytorch"))


def operators_of(case: Case) -> set[str]:
    return {node.op_type for node in all_nodes(case.model)}


def test_no_claimed_operator_is_skipped() -> None:
    assert not CLAIMED & OPERATORS.keys()
    assert set().union(*(operators_of(case) for case in ALL if case.name in CASES)) <= CLAIMED


def test_what_is_run_is_claimed() -> None:
    unclaimed = set().union(*map(operators_of, RUN)) - CLAIMED
    assert {operator for operator in unclaimed if not is_defined_by_others(operator)} == set()


@pytest.mark.parametrize("case", SKIPPED, ids=lambda case: f"{case.suite}-{case.name}")
def test_what_is_skipped_is_refused(case: Case) -> None:
    with pytest.raises(WavetileError):
        case.check(ReferenceBackend)


def test_every_skip_still_skips_something() -> None:
    assert CASES.keys() <= {case.name for case in ALL}
    assert OPERATORS.keys() <= {node.op_type for case in ALL for node in all_nodes(case.model)}
