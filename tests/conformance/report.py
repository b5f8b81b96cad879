"""`make conformance`: passed, failed and skipped cases of ONNX's suite, by suite and operator.

python -m tests.conformance.report [cpu|reference]
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter, defaultdict

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.conformance.cases import Case, all_cases
from wavetile.engine.onnx_backend import CpuBackend, ReferenceBackend

BACKENDS = {"cpu": CpuBackend, "reference": ReferenceBackend}
OUTCOMES = ("passed", "failed", "skipped")


def main(arguments: list[str]) -> int:
    """Run every case, print the tables, and return 1 if one failed."""
    console = Console(width=120)
    failures: list[str] = []
    for name in arguments or list(BACKENDS):
        cases = all_cases()
        results: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        reasons: Counter[str] = Counter()
        for case in track(cases, f"conformance on {name}", console=console):
            outcome = _outcome(case, BACKENDS[name], failures, reasons)
            results[case.suite, case.operator][outcome] += 1
        _print(console, name, results, reasons)
    for failure in failures:
        console.print(failure, style="red", markup=False)
    return 1 if failures else 0


def _outcome(case: Case, backend: type[CpuBackend], failures: list[str], reasons: Counter[str]) -> str:
    reason = case.reason_to_skip
    if reason is not None:
        reasons[reason] += 1
        return "skipped"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            case.check(backend)
    # A case can fail in any way; all are reported together at the end.
    except Exception as error:  # noqa: BLE001
        failures.append(f"{case.suite} {case.name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
        return "failed"
    return "passed"


def _print(console: Console, name: str, results: dict[tuple[str, str], Counter[str]], reasons: Counter[str]) -> None:
    table = Table("suite", "operator", *OUTCOMES, title=f"ONNX conformance, back end {name}")
    for (suite, operator), counts in sorted(results.items()):
        table.add_row(suite, operator, *(str(counts[outcome] or "") for outcome in OUTCOMES))
    console.print(table)
    summary = Table("suite", *OUTCOMES, title=f"By suite, back end {name}")
    for suite in dict.fromkeys(suite for suite, _ in results):
        totals = sum((counts for (other, _), counts in results.items() if other == suite), Counter())
        summary.add_row(suite, *(str(totals[outcome]) for outcome in OUTCOMES))
    console.print(summary)
    skipped = Table("skipped", "reason", title="Why")
    for reason, number in reasons.most_common():
        skipped.add_row(str(number), reason)
    console.print(skipped)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
