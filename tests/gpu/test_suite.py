"""What the run on a card does without one: its options, its words, and which packages it may need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.benchmarks.rows import Report, Row
from wavetile.engine.commands.measure import Timing

from . import suite
from .bench import DifferenceError, failed, measured

REPOSITORY = Path(__file__).resolve().parents[2]
ABSENT = (
    "aioquic", "cryptography", "grpc_channelz", "grpc_health", "grpc_reflection", "hpack", "jwt", "nibabel", "openvino",
    "pytest_asyncio", "redis", "soundfile", "soxr", "tritonclient", "trustme", "zarr",
)  # fmt: skip
"""Dependencies of ours that a machine with a card need not have."""
WITHOUT = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""


def without(code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + code], cwd=REPOSITORY, env=environment, capture_output=True, text=True
    )


def test_what_runs_on_a_card_imports_only_what_is_there() -> None:
    done = without(
        "import tests.gpu.suite, tests.gpu.bench, wavetile.engine.models.load, wavetile.engine.commands.duel"
    )
    assert done.returncode == 0, done.stderr


def test_every_problem_of_cuda_is_collected_with_only_what_is_there() -> None:
    options = [option for option in suite.PYTEST[2:] if option not in ("-p", "tests.gpu.on_device")]
    done = without(f"import pytest; sys.exit(pytest.main({[*options, '--collect-only', *suite.PROBLEMS]!r}))")
    assert done.returncode == 0, done.stdout + done.stderr
    for wanted in ("test_movement.py", "test_recurrent.py", "test_a_random_network_on_cuda[U-Net]"):
        assert wanted in done.stdout


def test_without_a_card_nothing_is_run_and_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "__init__.py").write_text("raise ImportError('the tests of another package')")
    environment = {**os.environ, "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        ["sh", REPOSITORY / "tests" / "gpu" / "run.sh", "--out", tmp_path / "gpu.json"],
        env=environment, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == suite.NO_CARD, done.stderr
    assert "nothing was run: the back end 'cuda' needs" in done.stdout
    assert not (tmp_path / "gpu.json").exists()


def test_parts_can_be_chosen() -> None:
    assert suite.options(["--only", "times", "--only", "memory"]).only == ["times", "memory"]
    assert suite.options([]).only is None
    with pytest.raises(SystemExit):
        suite.options(["--only", "nothing"])


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("....\n1346 passed in 52.57s\n", "1346 passed in 52.57s"),
        ("=== short ===\nFAILED x\n===== 1 failed, 2 passed in 3s =====\n", "1 failed, 2 passed in 3s"),
        ("Traceback\nDeviceError: no card\n", "DeviceError: no card"),
        ("", "nothing was said"),
    ],
)
def test_a_part_says_what_pytest_counted(output: str, said: str) -> None:
    assert suite.last_line(output) == said


def test_a_part_that_takes_too_long_has_failed(capsys: pytest.CaptureFixture[str]) -> None:
    done = suite._run("sleep", [sys.executable, "-c", "import time; time.sleep(600)"], 0.5)
    assert not done.passed
    assert done.said == "not done in 0 s"


@pytest.mark.parametrize("rest", ["", "; time.sleep(600)"], ids=["in time", "late"])
def test_what_a_part_has_started_ends_with_it(capsys: pytest.CaptureFixture[str], rest: str) -> None:
    start = "import subprocess, sys, time; sleep = [sys.executable, '-c', 'import time; time.sleep(600)']"
    quiet = "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL"
    code = f"{start}; print(subprocess.Popen(sleep, {quiet}).pid, flush=True){rest}"
    done = suite._run("sleep", [sys.executable, "-c", code], 60.0 if not rest else 10.0)
    assert done.passed == (not rest)
    child = int(capsys.readouterr().out.split()[-1])
    deadline = time.monotonic() + 60
    while _runs(child):
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.05)


def _runs(process: int) -> bool:
    """Whether it does; one that has ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_where_the_home_can_not_be_written_what_is_compiled_is_kept_elsewhere(tmp_path: Path) -> None:
    said = tmp_path / "python"
    said.write_text('#!/bin/sh\nprintf "%s\\n" "$CUPY_CACHE_DIR" "$WAVETILE_CACHE"\n')
    said.chmod(0o755)
    kept = [variable for variable in os.environ if variable not in ("CUPY_CACHE_DIR", "WAVETILE_CACHE")]
    environment = {name: os.environ[name] for name in kept} | {"PYTHON": str(said)}
    script = ["sh", REPOSITORY / "tests" / "gpu" / "run.sh"]
    for home, elsewhere in ((tmp_path, False), (tmp_path / "none", True)):
        done = subprocess.run(script, env={**environment, "HOME": str(home)}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert [bool(line) for line in done.stdout.split("\n")[:2]] == 2 * [elsewhere]


def test_the_last_lines_have_the_parts_and_the_rows_of_the_readme() -> None:
    row = Row("tick", "GTCRN, one stream, a tick", "a hop", sides={"wavetile": Timing(9, 25.0, 30.0, 25.0)})
    report = Report({"device": "a card"}, [row])
    parts = [suite.Done("problems", False, "1 failed"), suite.Done("memcheck", True, "it is not here", skipped=True)]
    lines = suite.summary(parts, report)
    assert lines[1:4] == ["device: a card", "problems: FAILED, 1 failed", "memcheck: skipped, it is not here"]
    assert any("25 (30)" in line for line in lines)
    assert "LSTM 128" not in "\n".join(lines)
    assert Report.from_json(json.loads(json.dumps({**report.as_json(), "parts": []}))) == report


def test_rows_that_differ_fail_and_rows_without_time_do_not() -> None:
    def differs() -> Row:
        raise DifferenceError("differs by 1e-1")

    def breaks() -> Row:
        raise MemoryError

    late, wrong = (next(measured(iter([("step", "one", differs)]), deadline)) for deadline in (0.0, float("inf")))
    broken, again = measured(iter([("step", "one", breaks), ("step", "two", differs)]), float("inf"))
    assert (broken.refusal, again.refusal) == ("MemoryError", "differs by 1e-1")
    assert failed(broken)
    assert late.refusal == "skipped: no time was left"
    assert not failed(late)
    assert wrong.refusal == "differs by 1e-1"
    assert failed(wrong)
