"""Answers requests that are no messages: gRPC itself would call them UNKNOWN, with a traceback in the log for each."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.message import DecodeError

from .authorisation import Continuation, Handler
from .status import abort


class Parsing(grpc.aio.ServerInterceptor):
    """Has methods of one request and one answer end with INVALID_ARGUMENT where the request can not be read.

    Streams read their messages themselves, and see the error there.
    """

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """The method's handler, which is only called with a message; None where there is none."""
        handler: Any = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None or handler.request_deserializer is None:
            return handler
        _, service, method = handler_call_details.method.split("/")

        def read(data: bytes) -> Any:
            try:
                return handler.request_deserializer(data)
            except DecodeError as error:
                return error

        async def answer(request: Any, context: grpc.aio.ServicerContext) -> Any:
            if isinstance(request, DecodeError):
                await abort(context, method, request, service.rpartition(".")[0])
            return await handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(answer, read, handler.response_serializer)
