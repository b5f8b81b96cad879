"""The microphone client on a real PortAudio: ALSA devices that read from and write to files."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.patience import PATIENCE_S
from wavetile.clients.microphone import list_devices
from wavetile.engine.errors import BackendError

from ..server.fakes import HOP, GainModel
from ..server.running import serving, until

# The microphone hears what is in a file, the loudspeaker writes to one. There is no clock behind them: they run as
# fast as they are asked, which is the hardest case for the queues between.
ALSA_DEVICES = """
pcm.wavetile_microphone {{
  type file
  slave.pcm {{ type null }}
  file "/dev/null"
  infile "{folder}/heard.raw"
  format raw
  hint {{ show on description "a microphone that hears a file" }}
}}
pcm.wavetile_speaker {{
  type file
  slave.pcm {{ type null }}
  file "{folder}/played.raw"
  format raw
  hint {{ show on description "a loudspeaker that writes a file" }}
}}
"""

SCRIPT = """
import asyncio, json, sys
import numpy as np
from wavetile.clients import StreamClient
from tests.patience import PATIENCE_S
from wavetile.clients.microphone import list_devices, run_duplex

async def main():
    devices = {device.name: device for device in list_devices()}
    microphone, speaker = devices["wavetile_microphone"], devices["wavetile_speaker"]
    results = []
    async with StreamClient(sys.argv[1]) as client:
        report = await run_duplex(
            client, "gain", sample_rate_hz=16000, duration_s=0.3, playback_delay_s=0.01,
            input_device=microphone.index, output_device=speaker.index, on_result=results.append,
        )
        try:
            await run_duplex(client, "gain", sample_rate_hz=16000, input_device=999)
            error = None
        except Exception as caught:
            error = f"{type(caught).__name__}: {caught}"
    samples = np.concatenate([result.samples for result in results])
    print(json.dumps({
        "inputs": microphone.input_channels,
        "host_api": speaker.host_api,
        "in": report.samples_in,
        "out": report.samples_out,
        "events": [event.kind for event in report.events],
        "heard": np.unique(samples).tolist(),
        "silent": int((samples == 0).sum()),
        "error": error,
    }))

asyncio.run(main())
"""


async def duplex(folder: Path, address: str) -> dict[str, Any]:
    """Run SCRIPT in a process of its own: ALSA reads its configuration once."""
    (folder / ".asoundrc").write_text(ALSA_DEVICES.format(folder=folder))
    np.full(16000, 0.75, "<f4").tofile(folder / "heard.raw")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SCRIPT,
        address,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HOME": str(folder)},
    )
    async with asyncio.timeout(PATIENCE_S):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()[-2000:]
    return json.loads(output.splitlines()[-1])


@pytest.mark.skipif(importlib.util.find_spec("pyaudio") is None, reason="PyAudio (extra mic) is not installed")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the devices of this test are ALSA's")
async def test_microphone_to_stream_to_loudspeaker(tmp_path: Path) -> None:
    model = GainModel()
    async with serving({"gain": model}) as server:
        report = await duplex(tmp_path, server.address)
        await until(lambda: model.open_sessions == 0)
    assert report["inputs"] > 0
    assert report["host_api"] == "ALSA"
    assert report["in"] == 4800
    assert report["out"] == 4800 + HOP
    assert report["events"] == ["speech_start", "speech_end"][: len(report["events"])]
    assert report["events"][0] == "speech_start"
    assert report["heard"] == [0.0, 0.375]
    assert report["silent"] == HOP  # the delay
    assert report["error"].startswith("BackendError: can not open input device 999 at 16000 Hz")
    played = np.fromfile(tmp_path / "played.raw", "<f4")
    (tmp_path / "played.raw").unlink()  # large: the device has no clock
    assert set(np.unique(played)) == {0.0, 0.375}


def test_without_pyaudio_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", None)
    with pytest.raises(BackendError, match=r"pip install 'wavetile\[mic\]'"):
        list_devices()
