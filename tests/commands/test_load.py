"""`wavetile load` on a server that checks who calls."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.commands.said import Command, Said
from tests.server.fakes import GainModel
from tests.server.guards import make_files, write_tokens
from tests.server.running import serving


async def test_a_server_is_told_certificate_and_token(
    wavetile_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make_files(tmp_path)
    tokens = write_tokens(tmp_path / "tokens", ada="stream")
    security = files.tls(client_ca=files.client_ca, tokens=tmp_path / "tokens")
    guards = ("--ca", files.server_ca, "--cert", files.client_cert, "--key", files.client_key)
    async with serving({"gain": GainModel()}, security=security) as server:

        async def load(*more: object) -> Said:
            line = ("load", server.address, "gain", "--streams", 2, "--seconds", 0.5, "--json", *more)
            return await asyncio.to_thread(wavetile_command, *line)

        untold = await load(*guards)
        monkeypatch.setenv("WAVETILE_TOKEN", tokens["ada"])
        told = await load(*guards)
        half = await load(*guards[:-2])
    assert untold.status == 1
    assert "UNAUTHENTICATED" in untold.notices
    assert json.loads(told.output)["endings"] == {"OK": 2}, told.notices
    assert half.status == 1
    assert "a certificate and its key belong together" in half.notices
