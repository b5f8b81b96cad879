"""The one error tree of wavetile.

WavetileError
├── ModelError              a network or a model card can not be used
│   ├── LimitError          a limit on file, tensor, node count or nesting was passed
│   ├── UnsupportedError    an operator, attribute or shape that is not there
│   ├── CardError           a model card is wrong
│   └── WeightsError        weights were not found, or their sha256 differs
├── SignalError             a chunk or a stream configuration that can not be used
├── StreamClosedError       the stream has been closed
├── SnapshotError           bytes from which no stream can go on here
├── CapacityError           every place for another stream is taken
├── BackendError            a back end is missing, or its device is
└── ServerError             what the server told a client

Every message names the thing (node, input, file), the value, and what would work.
"""

from __future__ import annotations


class WavetileError(Exception):
    """Root of every error that wavetile raises on purpose."""


class ModelError(WavetileError):
    """A network or a model card can not be used."""


class LimitError(ModelError):
    """A limit on file size, tensor size, node count or nesting was passed."""


class UnsupportedError(ModelError):
    """An operator, attribute or shape that is not there: names node, operator, attribute, and what would work."""


class CardError(ModelError):
    """A model card is wrong."""


class WeightsError(ModelError):
    """A model's weights were not found, or their sha256 is not the card's."""


class SignalError(WavetileError):
    """A chunk or a stream configuration can not be used: wrong rate, NaN, odd byte count, wrong type or shape."""


class StreamClosedError(WavetileError):
    """The stream has been closed."""


class SnapshotError(WavetileError):
    """These bytes are no snapshot of a stream, or not of one that can go on here."""


class CapacityError(WavetileError):
    """Every place for another stream is taken; one that closes makes room."""


class BackendError(WavetileError):
    """A back end is missing, or the device that it needs is."""


class ServerError(WavetileError):
    """What the server told a client.

    `code` is the gRPC status name (such as "RESOURCE_EXHAUSTED"), `message` the server's sentence. `retry_after_s` is
    when to ask again, where the server says so.
    """

    def __init__(self, code: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s
