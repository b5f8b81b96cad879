"""Reads requests: what they have on the wire is paid for and bounded first, what is no message gets a clear status."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from .admission import Admission
from .authorisation import Continuation, Handler
from .callers import current_caller
from .status import TooManyFieldsError, abort
from .wire import has_more_fields

MAX_FIELDS = 4096
"""Of one request, those of the messages inside it among them (see `has_more_fields`). Each may take a hundred times its
bytes in memory, and microseconds of the event loop to look at."""
_FEWEST_BYTES = 2
"""A field's tag, and its value or length."""

MessageT = TypeVar("MessageT", bound=Message)
MethodT = TypeVar("MethodT", bound=Callable[..., Any])


def parse(kind: type[MessageT], data: bytes) -> MessageT:
    """A request's message. Raises DecodeError, TooManyFieldsError."""
    if len(data) > MAX_FIELDS * _FEWEST_BYTES and has_more_fields(kind, data, MAX_FIELDS):
        raise TooManyFieldsError(
            f"a request has more than {MAX_FIELDS} fields; fewer tensors, and their numbers in "
            "raw_input_contents, would work"
        )
    return kind.FromString(data)


_READS_ITSELF = "reads_itself"


def reads_itself(method: MethodT) -> MethodT:
    """Mark a method of a service: its requests come to it as bytes, for a `Peer` to read."""
    setattr(method, _READS_ITSELF, True)
    return method


class Parsing(grpc.aio.ServerInterceptor):
    """Pays for the requests of methods of one request and one answer, and ends those that can not be read.

    gRPC itself would call these UNKNOWN, with a traceback in the log for each. Methods that `reads_itself` marks do the
    same themselves. What anybody may ask is nobody's to pay for.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """The method's handler, which is only called with a message; None where there is none."""
        handler: Any = await continuation(handler_call_details)
        if handler is None or handler.request_deserializer is None:
            return handler
        if getattr(handler.stream_stream, _READS_ITSELF, False):
            return handler._replace(request_deserializer=bytes)
        if handler.unary_unary is None:
            return handler
        _, service, method = handler_call_details.method.split("/")
        kind: type[Message] = handler.request_deserializer.__self__  # which is its generated `FromString`

        async def answer(data: bytes, context: grpc.aio.ServicerContext) -> Any:
            try:
                if current_caller.get() is not None:
                    await self._admission.account.pay(len(data))
                request = parse(kind, data)
            except Exception as error:  # noqa: BLE001 - of whatever kind, it is what this call ends with
                await abort(context, method, error, service.rpartition(".")[0])
            return await handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(answer, bytes, handler.response_serializer)
