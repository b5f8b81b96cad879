"""What a benchmark's report says of its rows, and that JSON keeps all of it."""

from __future__ import annotations

import json

import pytest

from tests.benchmarks import readme
from tests.benchmarks.rows import OURS, PEER, Report, Row, select
from tests.benchmarks.targets import TARGETS, recurrent_target, targets
from tests.models.real_networks import REAL_NETWORKS
from wavetile.engine.commands.measure import Timing


def timing(median_us: float, p99_us: float) -> Timing:
    return Timing(9, median_us, p99_us, p99_us)


REPORT = Report(
    {"processor": "one"},
    [
        Row(
            "networks", "fast", "T = 1", 2e-6,
            {OURS: timing(10.0, 12.5), PEER: timing(45.0, 60.0), "openvino": timing(30.0, 31.0)},
            {PEER: 4, "openvino": 3.5, "libdf": 6}, 5.0, "memory", 7, "a note",
        ),
        Row("networks", "refused", "", refusal="Loop 'a|b': there is no rule for this operator" + "; and so on" * 20),
        Row("streams", "slow", "frame", 0.0, {OURS: timing(20.0, 20.0), PEER: timing(10.0, 10.0)}, {PEER: 3}),
    ],
)  # fmt: skip


def test_json_keeps_everything() -> None:
    assert Report.from_json(json.loads(json.dumps(REPORT.as_json()))) == REPORT


def test_markdown_tells_ratios_targets_and_refusals() -> None:
    lines = REPORT.markdown().splitlines()
    rows = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line
    }
    assert rows["fast (a note)"] == [
        "fast (a note)", "T = 1", "2e-06", "10 (12)", "45 (60)", "4.5x", "4x reached, 3.5x openvino missed",
        "30 (31), 3x", "7", "5.0, memory", "2.0",
    ]  # fmt: skip
    assert rows["slow"][4:7] == ["10 (10)", "0.5x", "3x missed"]
    assert rows["refused"][2].startswith("Loop 'a/b': there is no rule for this operator")
    assert len(rows["refused"]) == len(rows["fast (a note)"])
    assert len({line.count("|") for line in lines if line.startswith(("| fast", "| refused"))}) == 1


def test_every_target_has_its_row() -> None:
    streams = {"gtcrn", "silero_vad", "dtln", "rnnoise"}
    assert TARGETS.keys() <= {real.path for real in REAL_NETWORKS} | streams | {"deepfilternet3, three networks"}
    assert targets("nuclei_unet/weights.onnx") == {"onnxruntime": 1.5, "openvino": 1}
    assert targets("gpvad/gpvad_sre.onnx") == {}
    assert (recurrent_target(64), recurrent_target(128)) == (3, 1.5)


def test_rows_are_chosen_by_parts_of_their_names() -> None:
    assert select(["gtcrn", "dtln", "LSTM 8"], ["tc", "8"]) == ["gtcrn", "LSTM 8"]
    assert select(["gtcrn", "dtln"], []) == ["gtcrn", "dtln"]


def test_the_readme_changes_between_its_markers_alone() -> None:
    text = f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n"
    changed = readme.with_section(text, "new")
    assert changed == f"before\n{readme.BEGIN}\n\nnew\n\n{readme.END}\nafter\n"
    assert readme.with_section(changed, "new") == changed
    with pytest.raises(ValueError, match="no section"):
        readme.with_section("nothing", "new")
