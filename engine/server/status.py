"""The one table from errors to gRPC status codes."""

from __future__ import annotations

import logging
import math
from typing import NoReturn

import grpc
from google.protobuf.message import DecodeError

from ..errors import SignalError, SnapshotError, StreamClosedError, WavetileError

logger = logging.getLogger(__name__)


class CallError(WavetileError):
    """A call that is refused for a reason that only the server knows of."""

    code = grpc.StatusCode.INTERNAL
    retry_after_s: float | None = None
    """When it is worth while to ask again, where the server knows."""


class UnknownModelError(CallError):
    """No model of that name is served."""

    code = grpc.StatusCode.NOT_FOUND


class RefusedVersionError(CallError):
    """A version of a model can not be served."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class OrderError(CallError):
    """A chunk came before the config."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class TooManyStreamsError(CallError):
    """The server has as many streams as it takes."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class AtCapacityError(CallError):
    """One stream more would make others late."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class ShedError(CallError):
    """A stream that was let in has to go, so that others are in time."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class QuotaError(CallError):
    """A caller asks for more than its quota."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class TooManyFieldsError(CallError):
    """A request is made of more parts than any use needs."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class SlowClientError(CallError):
    """A client reads or sends too slowly to keep its place."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class DrainingError(CallError):
    """The server is stopping and takes no new streams."""

    code = grpc.StatusCode.UNAVAILABLE


class QueueFullError(CallError):
    """As many evaluations, or requests of a sequence, wait as may."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class QueueTimeoutError(CallError):
    """The request waited longer than it said that it would."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class RefusedError(CallError):
    """Something that the protocol has and this server does not do."""

    code = grpc.StatusCode.UNIMPLEMENTED


class UnknownTokenError(CallError):
    """No stream is kept under a resume token."""

    code = grpc.StatusCode.NOT_FOUND


class AnotherCallerError(CallError):
    """A resume token is not this caller's."""

    code = grpc.StatusCode.PERMISSION_DENIED


class CannotResumeError(CallError):
    """A stream is kept, but can not go on like this."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class TakenOverError(CallError):
    """Another call has resumed this call's stream."""

    code = grpc.StatusCode.ABORTED


class NotKeptError(CallError):
    """A resumable stream can not be kept now."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class ConfigTimeoutError(CallError):
    """The call sent no config in time."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


# What is not here is the operator's business (files, nodes, devices) and becomes INTERNAL without a word of it.
_CODES: tuple[tuple[type[Exception], grpc.StatusCode], ...] = (
    (SignalError, grpc.StatusCode.INVALID_ARGUMENT),
    (StreamClosedError, grpc.StatusCode.FAILED_PRECONDITION),
    (SnapshotError, grpc.StatusCode.FAILED_PRECONDITION),
)
MAX_MESSAGE_CHARACTERS = 1000
"""Of what a client is told: some of it may be its own words, of any length, and it goes into the log too."""
MAX_QUOTED_CHARACTERS = 100
INTERNAL_MESSAGE = "the server failed to process this stream; its log has the reason under the stream's id"


def status_of(error: Exception) -> tuple[grpc.StatusCode, str]:
    """The status code and the sentence that a client is told; never a path, a trace or another stream's name."""
    if isinstance(error, CallError):
        return error.code, _clipped(error)
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code, _clipped(error)
    return grpc.StatusCode.INTERNAL, INTERNAL_MESSAGE


def quoted(words: str) -> str:
    """A client's own words for a message, between quotation marks: the first of them, where there are many."""
    return repr(words) if len(words) <= MAX_QUOTED_CHARACTERS else f"{words[:MAX_QUOTED_CHARACTERS]!r}..."


RETRY_AFTER = "retry-after-ms"
"""The trailing metadata that says when to ask again."""


def _hint(error: Exception) -> tuple[tuple[str, str], ...]:
    """Trailing metadata."""
    retry_after_s = error.retry_after_s if isinstance(error, CallError) else None
    return () if retry_after_s is None else ((RETRY_AFTER, str(math.ceil(1000 * retry_after_s))),)


def _clipped(error: Exception) -> str:
    message = str(error)
    return message if len(message) <= MAX_MESSAGE_CHARACTERS else f"{message[:MAX_MESSAGE_CHARACTERS]} ..."


async def abort(context: grpc.aio.ServicerContext, what: str, error: Exception, package: str) -> NoReturn:
    """End the call with the status of `error`, and log it of `what`; `package` is whose messages the call carries."""
    code, message = (
        (grpc.StatusCode.INVALID_ARGUMENT, f"a request is not a valid message of {package}")
        if isinstance(error, DecodeError)
        else status_of(error)
    )
    if code is grpc.StatusCode.INTERNAL:
        logger.error(
            "%s: failed", what, exc_info=error, extra={"event": "call_failed", "call": what, "status": code.name}
        )
    else:
        about = {"event": "call_aborted", "call": what, "status": code.name}
        logger.info("%s: %s: %s", what, code.name, message, extra=about)
    await context.abort(code, message, _hint(error))
    raise AssertionError("abort always raises")
