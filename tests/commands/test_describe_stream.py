"""`wavetile describe --axis`: the proof and the facts of a network's stream, as tables, as JSON and as a page."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.commands.said import Command
from tests.plan.networks import parse, signal

NETWORK = parse(
    "(float[1,3,T] x) => (float[1,4,U] y) { a = Conv<pads=[2,1]>(x, k) y = MaxPool<kernel_shape=[2], strides=[2]>(a) }",
    constants={"k": signal((4, 3, 4), 1)},
)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "network.onnx"
    path.write_bytes(NETWORK.SerializeToString())
    return path


def test_facts_of_every_node(wavetile_command: Command, network: Path) -> None:
    said = wavetile_command("describe", network, "--axis", "T", "--step", "5", "--json")
    facts = json.loads(said.output)
    # The look-ahead of one waits for one element; steps are even, since the pool takes two.
    assert facts["steps"] == [{"axis": "T", "step": 6, "first": 6, "grain": 2}]
    assert facts["certificate"]["max_difference"] < 1e-5
    by_value = {node["value"]: node for node in facts["nodes"]}
    assert by_value["x"]["axes"] == [{"rate": 1.0, "delay": 0.0, "kept": 3}]
    assert by_value["x"]["kept_bytes"] == 3 * 3 * 4
    assert by_value["a"]["axes"] == [{"rate": 1.0, "delay": 1.0, "kept": 1}]
    assert by_value["y"]["axes"] == [{"rate": 0.5, "delay": 2.0, "kept": 0}]
    assert by_value["y"]["reads"] == ["a"]


def test_delays_in_time(wavetile_command: Command, network: Path) -> None:
    facts = json.loads(wavetile_command("describe", network, "--axis", "T", "--rate", "62.5", "--json").output)
    assert facts["delay_ms"] == {"y": 32.0}
    assert "y 32 ms" in wavetile_command("describe", network, "--axis", "T", "--rate", "62.5").output
    assert wavetile_command("describe", network, "--axis", "T", "--rate", "0").status == 2


def test_the_page_draws_every_value(wavetile_command: Command, network: Path, tmp_path: Path) -> None:
    page = tmp_path / "stream.html"
    assert wavetile_command("describe", network, "--axis", "T", "--page", page).status == 0
    text = page.read_text("utf-8")
    drawing = ET.fromstring(text[text.index("<svg") : text.index("</svg>") + len("</svg>")])
    names = [title.text or "" for title in drawing.iter("{http://www.w3.org/2000/svg}title")]
    assert [name.split(":")[0] for name in names] == ["x", "a", "y"]
    assert len(list(drawing.iter("{http://www.w3.org/2000/svg}path"))) == 2
    assert "largest difference" in text


def test_tables_and_refusals(wavetile_command: Command, network: Path) -> None:
    said = wavetile_command("describe", network, "--axis", "T")
    assert "largest difference" in said.output
    assert "MaxPool" in said.output
    said = wavetile_command("describe", network, "--axis", "Z")
    assert said.status == 1
    assert "no input has a free dimension 'Z'" in said.notices
    said = wavetile_command("describe", network, "--axis", "T", "--size", "W")
    assert "NAME=64 would work" in said.notices


def test_what_windows_share(wavetile_command: Command, network: Path) -> None:
    said = wavetile_command("describe", network, "--axis", "x=2", "--window", "40", "--hop", "6", "--json")
    facts = json.loads(said.output)
    assert (facts["window"], facts["hop"], facts["values"]) == (40, 6, [])
    assert "which saves no time; share=True would share up to" in facts["limit"]
    said = wavetile_command("describe", network, "--axis", "T", "--window", "40", "--hop", "5")
    assert "each is computed whole" in said.output
    said = wavetile_command("describe", network, "--axis", "T", "--window", "40")
    assert "windows of 40 do not overlap with a hop of 40" in " ".join(said.output.split())
    said = wavetile_command("describe", network, "--axis", "T", "--hop", "5", "--step", "2")
    assert "without them would work" in said.notices
    said = wavetile_command("describe", network, "--hop", "5")
    assert said.status == 1
    assert "--axis was given 0 times; once would work" in said.notices
