"""`wavetile token`: what it prints opens a server that has its file, and the file is for nobody else's eyes."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from wavetile.engine.server.callers import Caller, Permission
from wavetile.engine.server.token_file import TokenFile

from .conftest import Command


def test_a_token_is_printed_once_and_kept_as_a_digest(wavetile_command: Command, tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.touch(mode=0o600)
    path.write_text("# ours")  # no line's end, which the command has to mend
    first = wavetile_command("token", "ada", "--file", str(path), "--allow", "stream")
    second = wavetile_command("token", "bob", "--file", str(path))
    assert (first.status, second.status) == (0, 0)
    tokens = [said.output.strip() for said in (first, second)]
    assert all(re.fullmatch(r"[\w-]{43}", token) for token in tokens)
    assert not any(token in path.read_text() for token in tokens)
    known = TokenFile(path)
    assert known.caller(tokens[0]) == Caller("ada", frozenset((Permission.STREAM,)))
    assert known.caller(tokens[1]) == Caller("bob", frozenset((Permission.STREAM, Permission.INFER)))
    assert known.caller(tokens[0] + "a") is None


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps access lists instead of modes")
def test_a_new_file_is_its_owners(wavetile_command: Command, tmp_path: Path) -> None:
    assert wavetile_command("token", "ada", "--file", str(tmp_path / "tokens")).status == 0
    assert (tmp_path / "tokens").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("two words",), "'two words' can not be a caller's name"),
        (("#ada",), "'#ada' can not be a caller's name"),
        (("ada", "--allow", "everything"), "'everything' is not a valid Permission; stream, infer, administer"),
    ],
)
def test_what_would_be_no_line_is_not_written(
    wavetile_command: Command, tmp_path: Path, arguments: tuple[str, ...], reason: str
) -> None:
    said = wavetile_command("token", *arguments, "--file", str(tmp_path / "tokens"))
    assert said.status == 1
    assert reason in said.notices
    assert not (tmp_path / "tokens").exists()


def test_serve_refuses_to_be_open_before_it_loads_a_model(wavetile_command: Command) -> None:
    said = wavetile_command("serve", "no_such_model", "--host", "0.0.0.0")
    assert said.status == 1
    assert "'0.0.0.0' can be reached from other machines" in said.notices
