"""Everything that a card is needed for, in less than ten minutes: `sh tests/gpu/run.sh`.

Problems of all kernels and whole networks on the card, memory checks of a sample by compute-sanitizer, and times beside
torch (cuDNN) and onnxruntime. A short table comes last; --out gets everything as JSON, for `python -m tests.gpu.page`.
Ends with 0 if all is well, 1 if something failed, and 3 if there is no card.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.rows import Report
from tests.conftest import MODELS_VARIABLE, shared_folder

from .bench import failed, measured, rows
from .page import read_floors, table

if TYPE_CHECKING:
    from wavetile.kernels.cuda.device import Device

FAILED, NO_CARD = 1, 3
REPOSITORY = Path(__file__).resolve().parents[2]
PARTS = ("problems", "memory", "times")
PROBLEMS = ("tests/kernels", "tests/gpu/test_on_device.py")
SAMPLE = ("tests/kernels/test_gru_small.py", "tests/kernels/test_movement.py")
"""Of the problems: kernels whose threads wait for each other, and some that do not."""
PYTEST = (
    "-m", "pytest", "-q", "-c", "tests/gpu/device.ini", "--rootdir", ".", "--confcutdir", ".",
    "-p", "tests.gpu.on_device", "--ignore", "tests/kernels/cuda", "-k", "cuda",
)  # fmt: skip
NATIVE_SECONDS, PROBLEMS_SECONDS, MEMORY_SECONDS, TIMES_SECONDS = 80, 230, 45, 140
ROW_SECONDS = 1.0
WORKERS = 12
TAIL_LINES = 40
"""Of what a part says, which are shown."""


@dataclass(frozen=True)
class Done:
    """What one part came to."""

    name: str
    passed: bool
    said: str
    skipped: bool = False
    """Not done, which is no fault."""


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        "run.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=REPOSITORY / "benchmark-results" / "gpu.json", help="file to write")
    parser.add_argument("--only", choices=PARTS, action="append", help="of the parts; all if not given")
    parser.add_argument("--row-seconds", type=float, default=ROW_SECONDS, help="of each row of times")
    return parser.parse_args(arguments)


def native_kernels() -> Done:
    """The CPU's kernels, compiled by all processors for the rows that compare with them; those can do without."""
    done = _run("kernels of the CPU", [sys.executable, "-m", "wavetile.engine", "warmup"], NATIVE_SECONDS)
    return replace(done, passed=True, skipped=not done.passed)


def problems() -> Done:
    """Every kernel's problems and whole networks, on the card."""
    workers = ["-n", str(WORKERS), "--dist", "worksteal"] if find_spec("xdist") else []
    return _run("problems", [sys.executable, *PYTEST, *workers, *PROBLEMS], PROBLEMS_SECONDS)


def memory_checks() -> list[Done]:
    """A sample under compute-sanitizer."""
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        return [Done("compute-sanitizer", True, "it is not here", skipped=True)]
    return [
        _run(
            tool,
            [sanitizer, "--tool", tool, "--error-exitcode", "9", sys.executable, *PYTEST, "-x", *SAMPLE],
            MEMORY_SECONDS,
        )
        for tool in ("memcheck", "racecheck")
    ]


def _run(name: str, command: Sequence[str], seconds: float) -> Done:
    """What a command comes to. All that it has started ends with it: times are taken next."""
    print(f"== {name}", flush=True)
    with subprocess.Popen(
        command, cwd=REPOSITORY, start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        output, late = "", False
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            late = True
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        if late:
            output, _ = process.communicate()
    print("\n".join(output.splitlines()[-TAIL_LINES:]))
    if late:
        return Done(name, False, f"not done in {seconds:.0f} s")
    return Done(name, process.returncode == 0, last_line(output))


def last_line(output: str) -> str:
    """What pytest says in the end, without its frame."""
    counted = re.findall(r"^=*\s*(\d+ (?:passed|failed|error|skipped|deselected).*?)\s*=*$", output, re.MULTILINE)
    return counted[-1] if counted else (output.strip().splitlines() or ["nothing was said"])[-1]


def times(device: Device, machine: dict[str, str], row_seconds: float, *, native: bool) -> Report:
    """Every row beside its peers; `native`: beside our own CPU, too."""
    report = Report(machine)
    for row in measured(rows(device, row_seconds, native=native), time.monotonic() + TIMES_SECONDS):
        print(
            f"{row.name}: {row.refusal or {name: round(one.median_us, 2) for name, one in row.sides.items()}}",
            flush=True,
        )
        report.rows.append(row)
    return report


def facts(device: Device) -> dict[str, str]:
    """What was measured on, and when."""
    runtime: Any = __import__("cupy").cuda.runtime
    return {
        "device": device.facts.name,
        "driver": f"CUDA {runtime.driverGetVersion()}, {_driver()}",
        "runtime": f"CUDA {runtime.runtimeGetVersion()}",
        "Python": platform.python_version(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _driver() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "version unknown"
    command = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "version unknown"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts, write the results and print the table."""
    given = options(arguments)
    from wavetile.kernels.cuda.cupy_device import CupyDevice
    from wavetile.kernels.cuda.device import DeviceError

    try:
        device = CupyDevice()
    except DeviceError as error:
        print(f"nothing was run: {error}")
        return NO_CARD
    wanted = given.only or PARTS
    os.environ[MODELS_VARIABLE] = str(shared_folder(MODELS_VARIABLE, "models"))  # as for the tests
    done: list[Done] = [native_kernels()] if "times" in wanted else []
    if "problems" in wanted:
        done.append(problems())
    if "memory" in wanted:
        done += memory_checks()
    report = Report(facts(device))
    if "times" in wanted:
        report = times(device, facts(device), given.row_seconds, native=not done[0].skipped)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps({**report.as_json(), "parts": [vars(one) for one in done]}, indent=1), "utf-8")
    print("\n".join(summary(done, report)))
    return FAILED if any(not one.passed for one in done) or any(map(failed, report.rows)) else 0


def summary(done: Sequence[Done], report: Report) -> list[str]:
    """The last lines: the machine, the parts, the rows that the README shows."""
    lines = ["", "; ".join(f"{key}: {value}" for key, value in report.machine.items())]
    for one in done:
        outcome = "skipped" if one.skipped else "passed" if one.passed else "FAILED"
        lines.append(f"{one.name}: {outcome}, {one.said}")
    return lines + table([row for row in read_floors() if row.headline], report) if report.rows else lines


if __name__ == "__main__":
    sys.exit(main())
