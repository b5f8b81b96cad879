"""What a server keeps of its streams for those who run it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.server.fakes import HOP, GainModel, InvertModel
from tests.server.running import exchange, serving, until
from wavetile.clients import Part, StreamClient
from wavetile.engine.errors import ServerError, SignalError
from wavetile.engine.server.activity import reason_of
from wavetile.engine.server.status import TooManyStreamsError


async def test_streams_are_seen_while_they_live_and_counted_when_they_end() -> None:
    async with serving({"gain": GainModel()}) as server, StreamClient(server.address) as client:
        activity, counts = server.activity, server.activity.of("gain")
        async with client.stream("gain", sample_rate_hz=16_000, channels=2) as stream:
            await stream.send(np.ones((3 * HOP, 2), np.float32))
            await until(lambda: [one.frames for one in activity.open.values()] == [3])
            ((stream_id, seen),) = activity.open.items()
            assert (seen.stream_id, stream.info.stream_id) == (stream_id, stream_id)
            assert (seen.model, seen.protocol, seen.sample_rate_hz, seen.channels) == ("gain", "wavetile.v1", 16_000, 2)
            assert seen.state_bytes == 2 * 640
            assert seen.compute_ns > 0
            await exchange(stream, np.zeros((HOP, 2), np.float32), HOP)
        await until(lambda: not activity.open)
        assert (counts.opened, dict(counts.ended), dict(counts.refused)) == (1, {"ok": 1}, {})
        async with client.stream("gain", sample_rate_hz=16_000):
            assert len(activity.open) == 1
        await until(lambda: counts.ended["gone"] == 1)
        assert (counts.opened, activity.open) == (2, {})


async def test_refusals_are_counted_by_reason_and_unknown_names_are_not_kept() -> None:
    async with serving({"gain": GainModel()}, max_streams=1) as server, StreamClient(server.address) as client:
        async with client.stream("gain", sample_rate_hz=16_000):
            for model, rate_hz in (("gain", 16_000), ("nobody", 16_000), ("gain", 12_345)):
                with pytest.raises(ServerError):
                    async with client.stream(model, sample_rate_hz=rate_hz):
                        pass
            await until(lambda: server.activity.of("nobody").refused["unknown_model"] == 1)
        assert server.activity.by_model.keys() == {"gain"}
        assert dict(server.activity.of("gain").refused) == {"too_many_streams": 2}


async def test_parts_of_images_are_timed() -> None:
    async with serving({"invert": InvertModel()}) as server, StreamClient(server.address) as client:
        async with client.stream_images("invert", height=4, width=6, pixel_type="float32") as stream:
            await stream.send(Part(np.zeros((4, 6), np.float32)))
            await stream.finish()
            results = [result async for result in stream]
        assert results[-1].finished_share == 1.0
        parts = server.activity.of("invert").parts
        assert (parts.compute.count, parts.queue.count) == (1, 1)
        assert parts.compute.total_ns > 0


def test_a_reason_is_a_stable_word() -> None:
    assert reason_of(TooManyStreamsError("")) == "too_many_streams"
    assert reason_of(SignalError("")) == "signal"
