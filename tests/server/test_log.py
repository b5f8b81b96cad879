"""What a server's log says of streams: events with names and fields that programs can rely on, and no signals."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.server.fakes import HOP, GainModel
from tests.server.running import process, serving, until
from wavetile.clients import StreamClient
from wavetile.engine.commands.log_lines import JsonLines
from wavetile.engine.errors import ServerError

ALWAYS = {"time", "level", "event", "logger", "message"}


class Lines(logging.Handler):
    """Keeps the lines that a server would write."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self.written: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.written.append(self.format(record))

    def events(self, name: str) -> list[dict[str, Any]]:
        """Those events, each without what all lines have."""
        lines = [json.loads(line) for line in self.written]
        assert all(line.keys() >= ALWAYS for line in lines)
        return [{key: line[key] for key in line.keys() - ALWAYS} for line in lines if line["event"] == name]


@pytest.fixture
def lines() -> Iterator[Lines]:
    logger = logging.getLogger("wavetile")
    before = logger.level
    logger.addHandler(handler := Lines())
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


async def test_a_stream_is_followed_by_its_id(lines: Lines) -> None:
    async with serving({"gain": GainModel()}, max_streams=1) as server, StreamClient(server.address) as client:
        await process(client, np.full(3 * HOP, 0.123456, np.float32), HOP, sample_rate_hz=16_000)
        async with client.stream("gain", sample_rate_hz=16_000) as stream:
            with pytest.raises(ServerError):
                async with client.stream("gain"):
                    pass
            second = stream.info.stream_id
        await until(lambda: len(lines.events("stream_ended")) == 2)
    first, gone = lines.events("stream_ended")
    about = {"protocol": "wavetile.v1", "model": "gain", "model_version": "1", "missed": 0}
    seconds = [event.pop("seconds") for event in (first, gone)]
    assert all(0 < one < 60 for one in seconds)
    assert first == {**about, "stream": first["stream"], "how": "ok", "frames": 4}
    assert gone == {**about, "stream": second, "how": "gone", "frames": 0}
    admitted = lines.events("stream_admitted")
    assert [event["stream"] for event in admitted] == [first["stream"], second]
    assert all(event["peer"].startswith("ipv4:127.0.0.1:") for event in admitted)
    (refused,) = lines.events("stream_refused")
    assert (refused["how"], refused["model"]) == ("too_many_streams", "gain")
    (aborted,) = lines.events("call_aborted")
    assert aborted == {"call": f"stream {refused['stream']}", "status": "RESOURCE_EXHAUSTED"}
    (started,) = lines.events("server_started")
    assert started == {"models": ["gain"], "address": server.address}
    assert len(lines.events("server_stopped")) == 1
    assert not any("0.123" in line for line in lines.written)


def test_a_line_is_one_line_whatever_is_in_it() -> None:
    formatter = JsonLines()
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        trace = (type(error), error, error.__traceback__)
    record = logging.LogRecord("wavetile.x", logging.ERROR, __file__, 1, "a\n%s", ("b\u2028",), trace)
    record.stream, record.payload = "s1", b"secret"
    line = formatter.format(record)
    assert len(line.splitlines()) == 1
    said = json.loads(line)
    assert (said["level"], said["event"], said["stream"], said["message"]) == ("error", "log", "s1", "a\nb\u2028")
    assert "two\nlines" in said["exception"]
    assert "secret" not in line
    assert said["time"].endswith("Z")
