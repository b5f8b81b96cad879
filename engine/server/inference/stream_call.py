"""One ModelStreamInfer call: requests side by side, their answers one after the other, errors as messages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import grpc
from google.protobuf.message import DecodeError

from ....proto.inference.v2 import inference_pb2 as pb
from ..bell import Bell
from ..options import ServerOptions
from ..peer import Peer
from ..status import CallError, SlowClientError, status_of
from .parameters import Parameters, read_parameters
from .sequence_request import Send
from .sequences import Owner, SequenceTable

logger = logging.getLogger(__name__)

MAX_OPEN_REQUESTS = 64
"""Of one call that are being answered; the next is read when one of them has its answer. Nor does the next one begin
while they have more bytes with it than a message may have."""

Respond = Callable[[pb.ModelInferRequest, Parameters, SequenceTable, Owner, Send], Awaitable[None]]


class StreamCall:
    """The coroutine of one call; `respond` answers a request."""

    def __init__(self, peer: Peer, respond: Respond, owner: Owner, options: ServerOptions) -> None:
        self._peer = peer
        self._respond = respond
        self._owner = owner
        self._max_bytes = options.max_message_bytes
        self._writing = asyncio.Lock()
        self._given_up: Exception | None = None
        """Why the last answer was not written: no other one can be, for gRPC still holds it."""
        self._open = self._open_bytes = 0
        self._answered = Bell()

    async def run(self, sequences: SequenceTable) -> None:
        """Answer requests until the client half-closes. Raises DecodeError for what is no message, CallError."""
        failure = None
        try:
            async with asyncio.TaskGroup() as group:
                await self._peer.begin()
                while True:
                    try:
                        request = await self._peer.read()
                    except (DecodeError, CallError) as error:
                        # Requests before it are answered first: no call can be ended during a write that was given up.
                        failure = error
                        break
                    if not isinstance(request, pb.ModelInferRequest):
                        break
                    size = self._peer.bytes_read
                    await self._make_room(size)
                    # Tasks start in the order in which they are made, so a sequence's requests queue up in theirs.
                    group.create_task(self._answer(request, sequences)).add_done_callback(
                        lambda _, size=size: self._give_room(size)
                    )
        except BaseExceptionGroup as errors:
            error = errors.exceptions[0]
            if not isinstance(error, grpc.aio.BaseError):
                raise error from None
            logger.info("a client of ModelStreamInfer is gone")
        if failure is not None:
            raise failure

    async def _make_room(self, size: int) -> None:
        while self._open == MAX_OPEN_REQUESTS or (self._open and self._open_bytes + size > self._max_bytes):
            await self._answered.next()
        self._open += 1
        self._open_bytes += size

    def _give_room(self, size: int) -> None:
        self._open -= 1
        self._open_bytes -= size
        self._answered.ring()

    async def _answer(self, request: pb.ModelInferRequest, sequences: SequenceTable) -> None:
        async def send(answer: pb.ModelInferResponse, final: bool) -> None:
            answer.parameters["triton_final_response"].bool_param = final
            await self._write(pb.ModelStreamInferResponse(infer_response=answer))

        try:
            await self._respond(request, read_parameters(request), sequences, self._owner, send)
        except (grpc.aio.BaseError, SlowClientError):  # writing failed: there is nobody to tell
            raise
        except Exception as error:  # a request's outermost frame: the call goes on
            code, message = status_of(error)
            if code is grpc.StatusCode.INTERNAL:
                logger.error("a request of ModelStreamInfer failed", exc_info=error)
            refused = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
            refused.parameters["triton_final_response"].bool_param = True
            await self._write(pb.ModelStreamInferResponse(error_message=message, infer_response=refused))

    async def _write(self, response: pb.ModelStreamInferResponse) -> None:
        async with self._writing:
            if self._given_up is not None:
                raise self._given_up
            try:
                await self._peer.write(response)
            except Exception as error:
                self._given_up = error
                raise
