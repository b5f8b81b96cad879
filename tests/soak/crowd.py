"""Clients that open streams, send, end, cancel, vanish and come back, at random."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import numpy as np

from wavetile.clients.load.connection import Call, Connection, prefixed
from wavetile.proto.v1 import wavetile_pb2 as pb

CLIPS, CLIP_SAMPLES = 8, 1 << 16
MOST_LIVE, STREAMS_A_CONNECTION = 32, 3
WEIGHTS = {"open": 4, "send": 30, "finish": 1.5, "cancel": 1, "vanish": 0.5, "resume": 2}
RECEIVED_EACH = 7
"""Results, after which a stream that can be resumed says what it has."""
PATH = "/wavetile.v1.StreamService/Stream"
PATIENCE_S = 120.0


class Client:
    """One stream, on one call after the other where it is resumed."""

    def __init__(self, clip: np.ndarray, config: pb.StreamConfig) -> None:
        self.clip = clip
        self.config = config
        self.sent = 0
        self.audio = b""
        self.values: dict[str, list[float]] = {}
        self.status: tuple[int, str] | None = None
        self.token = b""
        self.connection: Connection
        self._call: Call
        self._listener: Listener | None = None
        self._written = 0  # of what was sent, to the call of the moment
        self._waits = False  # for its call to say from where to write
        self._is_ended = False
        self._next_sequence = self._next_frame = 0
        self._wrong = ""

    @property
    def can_be_resumed(self) -> bool:
        """Whether it has a token, and is not being resumed already."""
        return bool(self.token) and not self._waits

    def begin(self, connection: Connection) -> None:
        """Open the stream, or go on with it, in a call of its own."""
        self.connection = connection
        if self.token:
            resume = pb.Resume(token=self.token, next_frame_index=self._next_frame)
            resume.next_sequence_number = self._next_sequence
            resume.next_sample_index = len(self.audio) // 4
            self.config.resume.CopyFrom(resume)
            self._waits = True
        self._listener = Listener(self)
        self._call = connection.call(PATH, self._listener)
        self._say(pb.StreamRequest(config=self.config))
        connection.flush()

    def send(self, count: int) -> None:
        """Send so much more of the clip."""
        self.sent += count
        self._write()

    def finish(self) -> None:
        """End the signal."""
        self._is_ended = True
        self._write()

    def cancel(self) -> None:
        """End the call."""
        self._listener = None
        self._call.cancel()
        self.connection.flush()

    def message(self, listener: Listener, data: bytes) -> None:
        """A response has come to a call."""
        if listener is not self._listener:
            return  # the stream goes on in another call
        response = pb.StreamResponse.FromString(data)
        if response.HasField("started"):
            self.token = response.started.resume_token
            if self._waits:
                self._waits, self._written = False, response.started.resume_from
                self._write()
            return
        if not response.HasField("result"):
            return
        result = response.result
        if (result.sequence_number, result.first_frame_index) != (self._next_sequence, self._next_frame):
            self._wrong = self._wrong or f"result {result.sequence_number} came where {self._next_sequence} was due"
        self._next_sequence += 1
        self._next_frame += result.frame_count
        self.audio += result.audio
        for value in result.values:
            self.values.setdefault(value.name, []).extend(value.numbers)
        if self.token and self._next_sequence % RECEIVED_EACH == 0 and not self._is_ended:
            self._say(pb.StreamRequest(received=pb.Received(next_frame_index=self._next_frame)))

    def ended(self, listener: Listener, status: tuple[int, str]) -> None:
        """A call has ended."""
        if listener is self._listener:
            self.status = status

    def _write(self) -> None:
        if self._waits:
            return
        chunk, self._written = self.clip[self._written : self.sent], self.sent
        self._say(pb.StreamRequest(audio=chunk.tobytes()))
        if self._is_ended:
            self._call.send(b"", last=True)
        self.connection.flush()

    def _say(self, request: pb.StreamRequest) -> None:
        self._call.send(prefixed(request.SerializeToString()))

    def differs(self, solo: Callable[[np.ndarray], tuple[bytes, dict[str, list[float]]]]) -> str | None:
        """What is wrong with what came, if anything is."""
        if self.status is None or self.status[0]:
            return f"a stream of {self.sent} samples ended with {self.status}"
        if self._wrong:
            return self._wrong
        audio, values = solo(self.clip[: self.sent])
        if self.audio != audio:
            return f"the audio of a stream of {self.sent} samples differs"
        return None if self.values == values else f"the values of a stream of {self.sent} samples differ"


class Listener:
    """Of one call of a client's."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def message(self, data: bytes) -> None:
        """A response has come."""
        self._client.message(self, data)

    def ended(self, code: int, details: str) -> None:
        """The call has ended."""
        self._client.ended(self, (code, details))


class Crowd:
    """The clients, and what they do next."""

    def __init__(self, address: str, model: str, hop_samples: int, seed: int) -> None:
        self._address = address
        self._hop_samples = hop_samples
        self._draw = random.Random(seed)
        noise = np.random.default_rng(seed).uniform(-0.3, 0.3, (CLIPS, CLIP_SAMPLES))
        self._clips = noise.astype("<f4")
        self._config = pb.StreamConfig(model=model, audio=pb.AudioConfig(encoding=pb.AUDIO_ENCODING_PCM_F32LE))
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
        if operation == "resume" and not client.can_be_resumed:
            operation = "send"
        if operation == "send":  # up to three hops, of any length
            client.send(min(self._draw.randint(0, 3 * self._hop_samples), len(client.clip) - client.sent))
        elif operation == "finish":
            self._finish(client)
        elif operation == "cancel":
            self._live.remove(client)
            client.cancel()
        elif operation == "resume":
            if self._draw.random() < 0.5:  # else the server has yet to find out that nobody listens there
                client.cancel()
            client.begin(await self._connection())
        else:
            await self._vanish(client.connection)
        return operation

    async def end(self) -> None:
        """Finish all, and wait for their last answers."""
        for client in list(self._live):
            self._finish(client)
        await self._answered(self.finished)
        for connection in self._connections:
            connection.close()

    @staticmethod
    async def _answered(clients: list[Client]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while any(client.status is None for client in clients):  # noqa: ASYNC110 - calls have no event
                await asyncio.sleep(0.01)

    async def _open(self) -> None:
        config = pb.StreamConfig(resumable=self._draw.random() < 0.5)
        config.MergeFrom(self._config)
        client = Client(self._draw.choice(list(self._clips)), config)
        client.begin(await self._connection())
        self._live.append(client)

    async def _connection(self) -> Connection:
        """A new one, or one that others use too."""
        taken = Counter(client.connection for client in self._live)
        shared = [one for one in self._connections if one.live and taken[one] < STREAMS_A_CONNECTION]
        if shared and self._draw.random() < 0.5:
            return self._draw.choice(shared)
        connection = Connection(self._address)
        host, _, port = self._address.rpartition(":")
        await asyncio.get_running_loop().create_connection(lambda: connection, host, int(port))
        self._connections.append(connection)
        return connection

    async def _vanish(self, connection: Connection) -> None:
        """Lose a connection; half of its streams that can be resumed are."""
        lost = [client for client in (*self._live, *self.finished) if client.connection is connection]
        back = [client for client in lost if client.can_be_resumed and self._draw.random() < 0.5]
        # Who has sent all is still to be compared, and has to have its answers before.
        await self._answered([client for client in self.finished if client in lost and client not in back])
        self._live = [client for client in self._live if client not in lost or client in back]
        self._connections.remove(connection)
        connection.reset()
        for client in back:
            if client.status is None:
                client.begin(await self._connection())

    def _finish(self, client: Client) -> None:
        self._live.remove(client)
        self.finished.append(client)
        client.finish()
