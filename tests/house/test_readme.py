"""The README against the code: links, commands, the port, and the operators it promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.benchmarks import readme
from wavetile.engine.models.card import card_names
from wavetile.engine.server import ServerOptions

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_links_lead_somewhere() -> None:
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", README) if "://" not in target]
    assert len(targets) > 10
    assert [target for target in targets if not (REPOSITORY / target).exists()] == []


def test_commands_exist() -> None:
    listing = subprocess.run(
        [sys.executable, "-m", "wavetile.engine", "--help"], capture_output=True, text=True, check=True, cwd="/"
    ).stdout
    used = set(re.findall(r"^wavetile (\w+)", README.split("**From the shell:**")[1], re.MULTILINE))
    assert used >= {"models", "run", "describe", "bench", "serve", "warmup"}
    assert {command for command in used if not re.search(rf"\b{command}\b", listing)} == set()


def test_the_port_is_the_default() -> None:
    assert set(re.findall(r"127\.0\.0\.1:(\d+)", README)) == {str(ServerOptions().port)}


def test_every_card_is_listed() -> None:
    assert {name for name in card_names() if f"| `{name}` |" not in README} == set()


def test_performance_section_is_what_the_results_give() -> None:
    assert readme.with_section(README, readme.section()) == README, "run `make bench-readme`"
