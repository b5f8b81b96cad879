"""One HTTP/2 connection that carries many gRPC calls, at the cost of a few microseconds a message.

A generator on the machine of the server that it measures takes that server's processor time: grpc.aio spends as much on
a message as a server does. This speaks the part of RFC 9113 that a gRPC client needs, on asyncio's transports; header
blocks are packed by the package `hpack` (RFC 7541).
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from typing import Any, Literal, Protocol
from urllib.parse import unquote

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, PRIORITY = 0x4, 0x8, 0x20
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 4, 5
CANCEL = 8
OK, UNKNOWN, UNAVAILABLE = 0, 2, 14
"""gRPC's status codes where no trailer tells one."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER = struct.Struct(">BHBBI")  # length in 8 + 16 bits, type, flags, stream
PREFIX = struct.Struct(">BI")  # of a gRPC message: compressed or not, length
SETTING = struct.Struct(">HI")
WORD = struct.Struct(">I")
LARGEST_WINDOW = 2**31 - 1
DEFAULT_WINDOW = 65535
RENEWED_BYTES = 2**28
"""Received bytes after which a window is opened anew."""


def frame(kind: int, flags: int, call: int, payload: bytes = b"") -> bytes:
    """One HTTP/2 frame."""
    return FRAME_HEADER.pack(len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, call) + payload


def prefixed(message: bytes) -> bytes:
    """A message as gRPC puts it into a stream of bytes."""
    return PREFIX.pack(0, len(message)) + message


class Listener(Protocol):
    """Who has made a call."""

    def message(self, data: bytes, /) -> None:
        """A response has come."""
        ...

    def ended(self, code: int, details: str, /) -> None:
        """The call has ended with this gRPC status, by its server or because the connection is gone."""
        ...


class Call:
    """One call; made by `Connection.call`."""

    def __init__(self, connection: Connection, number: int, listener: Listener, window: int) -> None:
        self.number = number
        self.listener = listener
        self.window = window
        self.arrived = b""  # of a message that has not come whole
        self.received = 0
        self.status: tuple[int, str] | None = None
        self.waiting: deque[tuple[bytes, bool]] = deque()  # data that the windows have no room for
        self._connection = connection

    def send(self, message: bytes, *, last: bool = False) -> None:
        """Send a message (already `prefixed`), and nothing after it if it is the `last`; it may wait for room."""
        self._connection.send(self, message, last)

    def cancel(self) -> None:
        """End the call at once, telling the server."""
        self._connection.cancel(self)


class Connection(asyncio.Protocol):
    """A gRPC channel of one connection. What is written goes out with `flush`."""

    def __init__(
        self, authority: str, metadata: tuple[tuple[str, str], ...] = (), *, scheme: Literal["http", "https"] = "http"
    ) -> None:
        import hpack

        self._encoder: Any = hpack.Encoder()
        self._decoder: Any = hpack.Decoder()
        self._authority = authority
        self._metadata = metadata
        self._scheme = scheme
        self._calls: dict[int, Call] = {}
        self._next = 1
        self._rest = b""
        self._out: list[bytes] = []
        self._block: tuple[int, int, bytes] | None = None  # call, flags, header block so far
        self._window = DEFAULT_WINDOW
        self._call_window = DEFAULT_WINDOW
        self._largest_frame = 16384
        self._received = 0
        self._transport: Any = None
        self.live = True

    # Calls.

    def call(self, path: str, listener: Listener) -> Call:
        """Begin a call of the method at `path`, such as "/package.Service/Method"."""
        call = Call(self, self._next, listener, self._call_window)
        self._next += 2
        self._calls[call.number] = call
        headers = [
            (":method", "POST"), (":scheme", self._scheme), (":path", path), (":authority", self._authority),
            ("te", "trailers"), ("content-type", "application/grpc"), *self._metadata,
        ]  # fmt: skip
        self._out.append(frame(HEADERS, END_HEADERS, call.number, self._encoder.encode(headers)))
        return call

    def send(self, call: Call, data: bytes, last: bool) -> None:
        """See `Call.send`."""
        if call.waiting or len(data) > min(self._window, call.window, self._largest_frame):
            call.waiting.append((data, last))
            self._send_waiting(call)
            return
        self._window -= len(data)
        call.window -= len(data)
        self._out.append(frame(DATA, END_STREAM if last else 0, call.number, data))

    def cancel(self, call: Call) -> None:
        """See `Call.cancel`."""
        if self._calls.pop(call.number, None) is not None:
            self._out.append(frame(RST_STREAM, 0, call.number, WORD.pack(CANCEL)))

    def flush(self) -> None:
        """Hand what was written to the socket."""
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
            self._out.clear()

    def reset(self) -> None:
        """Vanish: drop the connection without a goodbye, as a client that is killed; its calls end untold."""
        self.live = False
        self._calls.clear()
        if self._transport is not None:
            peer = self._transport.get_extra_info("socket")
            # The system then answers with RST, and sends nothing of what is still unsent.
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    def close(self) -> None:
        """Say goodbye and close."""
        self.live = False
        self._out.append(frame(GOAWAY, 0, 0, bytes(8)))
        self.flush()
        if self._transport is not None:
            self._transport.close()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce the client, with windows that a server never fills."""
        self._transport = transport
        settings = SETTING.pack(2, 0) + SETTING.pack(INITIAL_WINDOW_SIZE, LARGEST_WINDOW)  # no pushes
        more = frame(WINDOW_UPDATE, 0, 0, WORD.pack(LARGEST_WINDOW - DEFAULT_WINDOW))
        self._out.insert(0, PREFACE + frame(SETTINGS, 0, 0, settings) + more)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """End all calls."""
        self.live = False
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.listener.ended(*(call.status or (UNAVAILABLE, "the connection is gone")))

    def data_received(self, data: bytes) -> None:
        """Take whole frames, keep the rest."""
        if self._rest:
            data = self._rest + data
        start, size = 0, len(data)
        while size - start >= FRAME_HEADER.size:
            high, low, kind, flags, number = FRAME_HEADER.unpack_from(data, start)
            begin = start + FRAME_HEADER.size
            end = begin + (high << 16 | low)
            if end > size:
                break
            if kind == DATA:
                self._take_data(number, flags, data[begin:end])
            else:
                self._take_control(kind, flags, number, data[begin:end])
            start = end
        self._rest = data[start:]
        self.flush()

    # Frames.

    def _take_data(self, number: int, flags: int, payload: bytes) -> None:
        self._received += len(payload)
        if self._received >= RENEWED_BYTES:
            self._out.append(frame(WINDOW_UPDATE, 0, 0, WORD.pack(self._received)))
            self._received = 0
        call = self._calls.get(number)
        if call is None:
            return  # cancelled meanwhile
        call.received += len(payload)
        if call.received >= RENEWED_BYTES:
            self._out.append(frame(WINDOW_UPDATE, 0, number, WORD.pack(call.received)))
            call.received = 0
        if flags & PADDED:
            payload = payload[1 : len(payload) - payload[0]]
        arrived = call.arrived + payload if call.arrived else payload
        start, size = 0, len(arrived)
        while size - start >= PREFIX.size:
            end = start + PREFIX.size + PREFIX.unpack_from(arrived, start)[1]
            if end > size:
                break
            call.listener.message(arrived[start + PREFIX.size : end])
            start = end
        call.arrived = arrived[start:]
        if flags & END_STREAM:
            self._end(call)

    def _take_control(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind in (HEADERS, CONTINUATION):
            self._take_headers(kind, flags, number, payload)
        elif kind == WINDOW_UPDATE:
            self._open_window(number, WORD.unpack(payload)[0] & LARGEST_WINDOW)
        elif kind == SETTINGS and not flags & ACK:
            self._take_settings(payload)
        elif kind == PING and not flags & ACK:
            self._out.append(frame(PING, ACK, 0, payload))
        elif kind == RST_STREAM and (call := self._calls.get(number)) is not None:
            reason = WORD.unpack(payload)[0]
            call.status = call.status or (UNKNOWN, f"reset with HTTP/2's error {reason}")
            self._end(call)
        elif kind == GOAWAY:
            self.live = False  # for new calls

    def _take_headers(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == HEADERS:
            if flags & PADDED:
                payload = payload[1 : len(payload) - payload[0]]
            if flags & PRIORITY:
                payload = payload[5:]
            self._block = (number, flags, payload)
        elif self._block is not None:
            self._block = (*self._block[:2], self._block[2] + payload)
        if not flags & END_HEADERS or self._block is None:
            return
        number, opened, block = self._block
        headers = dict(self._decoder.decode(block))
        call = self._calls.get(number)
        if call is None:
            return
        if "grpc-status" in headers:
            call.status = int(headers["grpc-status"]), unquote(headers.get("grpc-message", ""))
        if opened & END_STREAM:
            self._end(call)

    def _take_settings(self, payload: bytes) -> None:
        for start in range(0, len(payload), SETTING.size):
            name, number = SETTING.unpack_from(payload, start)
            if name == INITIAL_WINDOW_SIZE:
                more, self._call_window = number - self._call_window, number
                for call in list(self._calls.values()):
                    call.window += more
                    self._send_waiting(call)
            elif name == MAX_FRAME_SIZE:
                self._largest_frame = number
        self._out.append(frame(SETTINGS, ACK, 0))

    def _open_window(self, number: int, more: int) -> None:
        if number:
            if (call := self._calls.get(number)) is not None:
                call.window += more
                self._send_waiting(call)
            return
        self._window += more
        for call in list(self._calls.values()):
            self._send_waiting(call)

    def _send_waiting(self, call: Call) -> None:
        """Send what fits of the data that waits, in frames that the server takes."""
        while call.waiting and (room := min(self._window, call.window, self._largest_frame)) > 0:
            data, last = call.waiting.popleft()
            if len(data) > room:
                call.waiting.appendleft((data[room:], last))
                data, last = data[:room], False
            self._window -= len(data)
            call.window -= len(data)
            self._out.append(frame(DATA, END_STREAM if last else 0, call.number, data))

    def _end(self, call: Call) -> None:
        if self._calls.pop(call.number, None) is None:
            return  # cancelled by whoever took its last message
        call.listener.ended(*(call.status or (UNKNOWN, "ended without a status")))
