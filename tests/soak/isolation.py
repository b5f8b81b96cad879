"""Streams that open, send, end, are cancelled and vanish in random order: does any touch another's state?

    python tests/soak/isolation.py [MODEL] [--operations N] [--seed N]

Client and server share this process. What every stream gives that came to its end must be, to the bit, what the same
signal gives alone; and when all is over every slot must be free. Weights are found through WAVETILE_MODELS, else in
../shared/models.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from wavetile.clients.load.connection import Call, Connection
    from wavetile.engine.server import ServedModel
    from wavetile.engine.session import Session, StreamSpec

REPOSITORY = Path(__file__).resolve().parents[2]
OPERATIONS = 10_000
CLIPS, CLIP_SAMPLES = 8, 1 << 16
MOST_LIVE, STREAMS_A_CONNECTION = 32, 3
WEIGHTS = {"open": 4, "send": 30, "finish": 1.5, "cancel": 1, "vanish": 0.5}
PATIENCE_S = 120.0
PATH = "/wavetile.v1.StreamService/Stream"


@dataclass
class Tally:
    """What has happened."""

    operations: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    """Streams that came to their end."""
    wrong: list[str] = field(default_factory=list)
    slots_held: int = 0
    """After all."""

    @property
    def passed(self) -> bool:
        """Whether all outputs were right and all slots given back."""
        return self.compared > 0 and not self.wrong and not self.slots_held


class Client:
    """One stream; a listener of its call."""

    def __init__(self, connection: Connection, clip: np.ndarray) -> None:
        self.connection = connection
        self.clip = clip
        self.sent = 0
        self.audio = b""
        self.values: dict[str, list[float]] = {}
        self.status: tuple[int, str] | None = None
        self.call: Call

    def message(self, data: bytes) -> None:
        """A response has come."""
        from wavetile.proto.v1 import wavetile_pb2 as pb

        result = pb.StreamResponse.FromString(data).result
        self.audio += result.audio
        for value in result.values:
            self.values.setdefault(value.name, []).extend(value.numbers)

    def ended(self, code: int, details: str) -> None:
        """The call has ended."""
        self.status = code, details

    def differs(self, solo: Callable[[np.ndarray], tuple[bytes, dict[str, list[float]]]]) -> str | None:
        """What is wrong with what came, if anything is."""
        if self.status is None or self.status[0]:
            return f"a stream of {self.sent} samples ended with {self.status}"
        audio, values = solo(self.clip[: self.sent])
        if self.audio != audio:
            return f"the audio of a stream of {self.sent} samples differs"
        return None if self.values == values else f"the values of a stream of {self.sent} samples differ"


class Crowd:
    """The clients, and what they do next."""

    def __init__(self, address: str, model: str, hop_samples: int, seed: int) -> None:
        from wavetile.clients.load.connection import prefixed
        from wavetile.proto.v1 import wavetile_pb2 as pb

        self._address = address
        self._hop_samples = hop_samples
        self._draw = random.Random(seed)
        noise = np.random.default_rng(seed).uniform(-0.3, 0.3, (CLIPS, CLIP_SAMPLES))
        self._clips = noise.astype("<f4")
        audio = pb.AudioConfig(encoding=pb.AUDIO_ENCODING_PCM_F32LE)
        config = pb.StreamConfig(model=model, audio=audio)
        self._config = prefixed(pb.StreamRequest(config=config).SerializeToString())
        self._connections: list[Connection] = []
        self._live: list[Client] = []
        self.finished: list[Client] = []

    async def act(self) -> str:
        """One operation of one stream; returns which."""
        operation = self._draw.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if not self._live or (operation == "open" and len(self._live) >= MOST_LIVE):
            operation = "send" if self._live else "open"
        if operation == "open":
            await self._open()
            return operation
        client = self._draw.choice(self._live)
        if operation == "send":
            self._send(client)
        elif operation == "finish":
            self._finish(client)
        elif operation == "cancel":
            self._live.remove(client)
            client.call.cancel()
        else:
            # Who has sent all is still to be compared, and has to have its answers before.
            await self._answered([other for other in self.finished if other.connection is client.connection])
            self._live = [other for other in self._live if other.connection is not client.connection]
            self._connections.remove(client.connection)
            client.connection.reset()
        client.connection.flush()
        return operation

    async def end(self) -> None:
        """Finish all, and wait for their last answers."""
        for client in list(self._live):
            self._finish(client)
            client.connection.flush()
        await self._answered(self.finished)
        for connection in self._connections:
            connection.close()

    @staticmethod
    async def _answered(clients: list[Client]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while any(client.status is None for client in clients):  # noqa: ASYNC110 - calls have no event
                await asyncio.sleep(0.01)

    async def _open(self) -> None:
        from wavetile.clients.load.connection import Connection

        taken = Counter(client.connection for client in self._live)
        shared = [one for one in self._connections if one.live and taken[one] < STREAMS_A_CONNECTION]
        if shared and self._draw.random() < 0.5:
            connection = self._draw.choice(shared)
        else:
            connection = Connection(self._address)
            host, _, port = self._address.rpartition(":")
            await asyncio.get_running_loop().create_connection(lambda: connection, host, int(port))
            self._connections.append(connection)
        client = Client(connection, self._draw.choice(list(self._clips)))
        client.call = connection.call(PATH, client)
        client.call.send(self._config)
        connection.flush()
        self._live.append(client)

    def _send(self, client: Client) -> None:
        """Up to three hops, of any length."""
        from wavetile.clients.load.connection import prefixed
        from wavetile.proto.v1 import wavetile_pb2 as pb

        count = min(self._draw.randint(0, 3 * self._hop_samples), len(client.clip) - client.sent)
        chunk = client.clip[client.sent : client.sent + count]
        client.sent += count
        client.call.send(prefixed(pb.StreamRequest(audio=chunk.tobytes()).SerializeToString()))

    def _finish(self, client: Client) -> None:
        self._live.remove(client)
        self.finished.append(client)
        client.call.send(b"", last=True)


async def isolate(
    name: str,
    served: ServedModel,
    solo: Callable[[np.ndarray], tuple[bytes, dict[str, list[float]]]],
    slots_held: Callable[[], int],
    *,
    operations: int = OPERATIONS,
    seed: int = 0,
) -> Tally:
    """Let a crowd act on a server of `served`; `solo` says what a signal gives alone: bytes of float32, and values."""
    from wavetile.engine.server import Server, ServerOptions

    tally = Tally()
    server = Server({name: served}, ServerOptions(port=0, max_load=0.0))
    await server.start()
    crowd = Crowd(server.address, name, served.describe().hop_samples, seed)
    try:
        for number in range(operations):
            tally.operations[await crowd.act()] += 1
            await asyncio.sleep(0.02 if number % 50 == 0 else 0)
        await crowd.end()
        async with asyncio.timeout(PATIENCE_S):
            while slots_held():  # noqa: ASYNC110 - slots have no event
                await asyncio.sleep(0.01)
    except TimeoutError:
        tally.wrong.append("some streams did not end, or did not give back their slots")
    finally:
        await server.stop(grace_s=0)
    tally.slots_held = slots_held()
    for client in crowd.finished:
        tally.compared += 1
        if (wrong := client.differs(solo)) is not None:
            tally.wrong.append(wrong)
    return tally


def solo_run(stream: Any, samples: np.ndarray) -> tuple[bytes, dict[str, list[float]]]:
    """What an `engine.session.Stream` gives for a whole signal."""
    outputs = [stream.process(samples), stream.flush()]
    stream.close()
    audio = b"".join(output.samples.tobytes() for output in outputs if output.samples is not None)
    values: dict[str, list[float]] = {}
    for output in outputs:
        for name, numbers in output.values.items():
            values.setdefault(name, []).extend(numbers.ravel().tolist())
    return audio, {name: numbers for name, numbers in values.items() if numbers}


@dataclass(frozen=True)
class SpecModel:
    """A model without weights behind the server's door: any `StreamSpec`."""

    spec: StreamSpec
    pool: Any

    def describe(self) -> Any:
        """See `ServedModel`."""
        from wavetile.engine.server import ModelDescription, ModelKind

        return ModelDescription(
            name=self.spec.name,
            kind=ModelKind.AUDIO,
            inputs=(),
            outputs=(),
            sample_rate_hz=self.spec.sample_rate_hz,
            hop_samples=self.spec.hop_samples,
            delay_samples=self.spec.delay_samples,
            returns_audio=self.spec.audio is not None,
            value_names=tuple(self.spec.values),
        )

    def open_session(self, sample_rate_hz: int, channels: int, *, bypass: bool = False) -> Session:
        """See `ServedModel`."""
        from wavetile.engine.session import Session

        return Session(self.spec, self.pool, sample_rate_hz=sample_rate_hz, channels=channels)

    def open_kept_session(self, sample_rate_hz: int, channels: int, **options: Any) -> Any:
        """No stream here asks for it."""
        raise NotImplementedError

    def executor(self) -> Any:
        """See `ServedModel`."""
        from wavetile.engine.session import Executor

        return Executor(self.spec, 16, self.pool)

    def batch_costs(self, executor: Any) -> dict[int, float]:
        """Not known: any number of streams is let in."""
        return {}

    def open_images(self, form: Any, max_bytes: int) -> Any:
        """It has none."""
        raise NotImplementedError


def main() -> int:
    """Run it on a trained model, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="gtcrn", metavar="MODEL", help="an audio model (default: gtcrn)")
    parser.add_argument("--operations", type=int, default=OPERATIONS, metavar="N", help=f"default: {OPERATIONS}")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ.setdefault("WAVETILE_MODELS", str(REPOSITORY.parent / "shared" / "models"))

    import wavetile
    from wavetile.engine.commands.served import served

    model = wavetile.load(options.model)
    pool = model._state_pool()
    tally = asyncio.run(
        isolate(
            options.model,
            served(model),
            lambda samples: solo_run(model.stream(), samples),
            lambda: pool.capacity - pool.free,
            operations=options.operations,
            seed=options.seed,
        )
    )
    done = ", ".join(f"{count} {name}" for name, count in sorted(tally.operations.items()))
    print(f"{sum(tally.operations.values())} operations: {done}")
    print(f"{tally.compared} streams compared with solo runs, {len(tally.wrong)} wrong; {tally.slots_held} slots held")
    for wrong in tally.wrong[:10]:
        print(f"  {wrong}")
    return 0 if tally.passed else 1


if __name__ == "__main__":
    sys.exit(main())
