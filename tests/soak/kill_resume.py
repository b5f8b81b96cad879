"""Kills servers under live streams and compares what comes with what undisturbed streams give: one command.

    python -m tests.soak.kill_resume [--streams 20] [--kills 5] [--seconds 30] [--models gtcrn silero_vad dtln]

Two places for a server share a folder of snapshots and a key. Streams go to one of them in real time; each few seconds
the server that they are on is ended by SIGKILL and started again in its place, while the streams go on at the other.
Ends with 1 unless every stream's audio, values and events are those of a stream that nobody disturbed, bit for bit,
with sequence numbers without a gap or a repetition.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import signal
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from wavetile.clients import StreamClient, StreamResult

CHUNK_S = 0.02
START_TIMEOUT_S = 180.0


class Place:
    """An address at which a server runs, is killed, and runs again."""

    def __init__(self, models: Sequence[str], folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._command = [sys.executable, "-m", "wavetile.engine", "serve", *models, "--port", str(self.port)]
        self._command += ["--max-load", "0"]  # whoever else computes here, no stream is refused
        self._command += ["--snapshots", str(folder / "kept"), "--snapshot-key", str(folder / "key")]
        self._process: Process | None = None

    async def start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=environment
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(START_TIMEOUT_S):
            line = await self._process.stdout.readline()
        assert line.startswith(b"ready on "), line

    async def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()


async def at_pace(samples: np.ndarray, chunk: int, paced: bool) -> AsyncIterator[np.ndarray]:
    began_s = time.monotonic()
    for number, start in enumerate(range(0, len(samples), chunk)):
        if paced:
            await asyncio.sleep(max(0.0, began_s + number * CHUNK_S - time.monotonic()))
        yield samples[start : start + chunk]


async def stream(
    client: StreamClient, model: str, rate_hz: int, samples: np.ndarray, *, paced: bool
) -> tuple[list[StreamResult], float]:
    """All results, and the longest pause between two of them in seconds."""
    results, longest_s = [], 0.0
    async with client.stream(model, sample_rate_hz=rate_hz, resumable=True) as live:
        last_s = time.monotonic()
        async for result in live.exchange(at_pace(samples, int(CHUNK_S * rate_hz), paced)):
            now_s = time.monotonic()
            longest_s, last_s = max(longest_s, now_s - last_s), now_s
            results.append(result)
    return results, longest_s


def difference(results: list[StreamResult], expected: list[StreamResult]) -> str:
    """What is wrong with `results`; nothing: ""."""
    if [result.sequence_number for result in results] != list(range(len(results))):
        return "sequence numbers"
    frames = 0
    for result in results:
        if result.first_frame_index != frames:
            return "frame numbers"
        frames += result.frame_count
    for name in expected[0].values:
        mine, theirs = (np.concatenate([one.values[name] for one in side]) for side in (results, expected))
        if not np.array_equal(mine, theirs):
            return f"value {name}"
    if [event for one in results for event in one.events] != [event for one in expected for event in one.events]:
        return "events"
    if expected[0].samples is not None:
        mine, theirs = (
            np.concatenate([one.samples for one in side if one.samples is not None]) for side in (results, expected)
        )
        if not np.array_equal(mine, theirs):
            return "audio"
    return ""


async def run(options: argparse.Namespace) -> int:
    rng = np.random.default_rng(7)
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "key").touch(mode=0o600)
        (folder / "key").write_text(secrets.token_hex(32))
        places = [Place(options.models, folder) for _ in range(2)]
        await asyncio.gather(*(place.start() for place in places))
        kinds = [(model, rate_hz) for model in options.models for rate_hz in (16000, 48000)]
        chosen = [kinds[index % len(kinds)] for index in range(options.streams)]
        # Noise that comes and goes as speech does: recordings would tie the script to a folder.
        signals = {}
        for index, (_, rate_hz) in enumerate(chosen):
            envelope = np.abs(np.sin(np.arange(options.seconds * rate_hz) * (2.0 + index) / rate_hz)) ** 3
            signals[index] = (0.3 * envelope * rng.standard_normal(len(envelope))).astype(np.float32)
        async with StreamClient(places[0].address) as client:
            expected = [
                (await stream(client, *kind, signals[index], paced=False))[0] for index, kind in enumerate(chosen)
            ]
        async with StreamClient([place.address for place in places]) as client:
            running = [
                asyncio.create_task(stream(client, *kind, signals[index], paced=True))
                for index, kind in enumerate(chosen)
            ]
            kills = 0
            for number in range(options.kills):
                await asyncio.sleep(options.seconds / (options.kills + 1) * rng.uniform(0.8, 1.0))
                if all(task.done() for task in running):
                    break
                victim = places[number % 2]
                await victim.kill()
                kills += 1
                await victim.start()
            outcomes = await asyncio.gather(*running, return_exceptions=True)
        for place in places:
            await place.kill()
    return report(chosen, outcomes, expected, kills)


def report(
    chosen: list[tuple[str, int]],
    outcomes: Sequence[tuple[list[StreamResult], float] | BaseException],
    expected: list[list[StreamResult]],
    kills: int,
) -> int:
    wrong = 0
    print("| model | rate | streams | results | longest pause | outcome |\n| --- | --- | --- | --- | --- | --- |")
    for kind in dict.fromkeys(chosen):
        said, results, pause_s, count = [], 0, 0.0, 0
        for outcome, right, of in zip(outcomes, expected, chosen, strict=True):
            if of != kind:
                continue
            count += 1
            if isinstance(outcome, BaseException):
                said.append(str(outcome))
                continue
            results, pause_s = results + len(outcome[0]), max(pause_s, outcome[1])
            said += filter(None, [difference(outcome[0], right)])
        wrong += len(said)
        print(
            f"| {kind[0]} | {kind[1]} Hz | {count} | {results} | {pause_s:.2f} s | {'; '.join(said) or 'same bits'} |"
        )
    print(f"\n{kills} servers killed, {len(chosen)} streams, {wrong} wrong")
    return 1 if wrong or not kills else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--models", nargs="+", default=["gtcrn", "silero_vad", "dtln"])
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
