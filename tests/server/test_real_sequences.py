"""Trained models through Triton's client: sequences give what wavetile's own client gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pytest
import soundfile

import wavetile
from wavetile.clients import StreamClient
from wavetile.engine.commands.demo.clip import CLIP_PATH
from wavetile.engine.commands.served import evaluated, served

from .running import exchange, serving
from .triton_client import connected, tensor

CHUNKS = (700, 1, 160, 4000)


@pytest.mark.parametrize("name", ["silero_vad", "gtcrn"])
async def test_a_sequence_equals_a_stream(name: str, trained: Callable[[str], wavetile.Model]) -> None:
    model = trained(name)
    samples = soundfile.read(CLIP_PATH, 24000, dtype="float32")[0]
    cuts = np.cumsum(np.resize(CHUNKS, 40))
    parts = np.split(samples, cuts[cuts < len(samples)])
    async with serving({name: served(model)}) as server:
        async with StreamClient(server.address) as own, own.stream(name) as stream:
            theirs = await exchange(stream, samples, *CHUNKS)
        async with connected(server) as client:
            about = await client.get_model_metadata(name)
            answers = [
                await client.infer(
                    name,
                    [tensor("audio", part, "FP32")],
                    sequence_id="clip",
                    sequence_start=index == 0,
                    sequence_end=index == len(parts) - 1,
                )
                for index, part in enumerate(parts)
            ]
    for output in about.outputs:
        mine = np.concatenate([answer.as_numpy(output.name) for answer in answers])
        if output.name == "events":
            assert [json.loads(text) for text in mine] == [asdict(event) for one in theirs for event in one.events]
            assert len(mine) > 0
            continue
        pieces = [one.samples if output.name == "audio" else one.values[output.name] for one in theirs]
        np.testing.assert_array_equal(mine, np.concatenate([piece for piece in pieces if piece is not None]))
        assert list(mine.shape[1:]) == list(output.shape[1:])
        assert len(mine) > 0


async def test_the_network_of_a_stream_is_evaluated_under_a_name_of_its_own(
    trained: Callable[[str], wavetile.Model],
) -> None:
    model = trained("silero_vad")
    networks = evaluated(model)
    assert list(networks) == ["silero_vad.network"]
    async with serving({"silero_vad": served(model)}, networks=networks) as server, connected(server) as client:
        about = await client.get_model_metadata("silero_vad.network")
        assert [one.name for one in about.inputs] == list(model.inputs)
        assert [one.name for one in about.outputs] == list(model.outputs)
        random = np.random.default_rng(2)
        arrays = {
            "input": random.uniform(-0.3, 0.3, (1, 576)).astype(np.float32),
            "state": random.standard_normal((2, 1, 128)).astype(np.float32),
            "sr": np.array(16000, np.int64),
        }
        inputs = [tensor(name, array, "INT64" if name == "sr" else "FP32") for name, array in arrays.items()]
        result = await client.infer("silero_vad.network", inputs)
        for name, array in model.run(arrays).items():
            np.testing.assert_array_equal(result.as_numpy(name), array)
