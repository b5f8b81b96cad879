"""ModelStreamInfer calls whose clients do not take their answers: they are told so, whichever answer it was."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from tests.patience import PATIENCE_S
from tests.server.fakes import Doubled
from tests.server.running import serving, until
from wavetile.engine.server import ServerOptions
from wavetile.engine.server.inference.parameters import Parameters
from wavetile.engine.server.inference.sequence_request import Send
from wavetile.engine.server.inference.sequences import Owner, SequenceTable
from wavetile.engine.server.inference.stream_call import MAX_OPEN_REQUESTS, StreamCall
from wavetile.engine.server.status import SlowClientError
from wavetile.proto.inference.v2 import inference_pb2 as pb

SMALL_WINDOW = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 65536),
]
"""Of a client that is sent no more than this ahead."""
OWNER = Owner("here", "anyone")


@pytest.mark.parametrize("requests", [1, 3])
async def test_a_client_that_does_not_take_the_first_answer_is_told_once_it_reads(requests: int) -> None:
    request = pb.ModelInferRequest(model_name="doubled", raw_input_contents=[bytes(1 << 20)])
    request.inputs.add(name="x", datatype="FP32", shape=[1 << 18])
    async with (
        serving({}, networks={"doubled": Doubled()}, slow_client_timeout_s=0.3) as server,
        grpc.aio.insecure_channel(server.address, options=SMALL_WINDOW) as channel,
    ):
        call: Any = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")()
        for _ in range(requests):
            await call.write(request.SerializeToString())
        await until(lambda: server.admission._lingering == 1)
        async with asyncio.timeout(PATIENCE_S):
            assert len(await call.read()) > 1 << 20
            with pytest.raises(grpc.aio.AioRpcError, match=r"the client has read nothing for 0\.3 s") as caught:
                await call.read()
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: server.admission._lingering == 0)


class Deaf:
    """A client that has sent some requests of some bytes, and takes no answer."""

    def __init__(self, requests: int, bytes_read: int = 0) -> None:
        self._left = requests
        self.bytes_read = bytes_read
        self.begun = 0
        """Answers."""

    async def begin(self) -> None:
        pass

    async def read(self) -> pb.ModelInferRequest:
        self._left -= 1
        if self._left < 0:
            await asyncio.Event().wait()
        return pb.ModelInferRequest()

    async def write(self, response: pb.ModelStreamInferResponse) -> None:
        self.begun += 1
        await asyncio.sleep(0)
        raise SlowClientError("the client has read nothing")


async def test_no_other_answer_is_begun_after_one_that_was_given_up() -> None:
    async def respond(
        request: pb.ModelInferRequest, parameters: Parameters, sequences: SequenceTable, owner: Owner, send: Send
    ) -> None:
        await send(pb.ModelInferResponse(), True)

    peer: Any = Deaf(requests=5)
    sequences: Any = None
    with pytest.raises(SlowClientError):
        await asyncio.wait_for(StreamCall(peer, respond, OWNER, ServerOptions()).run(sequences), PATIENCE_S)
    assert peer.begun == 1


@pytest.mark.parametrize(("size", "together"), [(10, MAX_OPEN_REQUESTS), (1000, 4), (9000, 1)])
async def test_requests_are_read_ahead_up_to_a_number_and_up_to_the_bytes_of_a_message(
    size: int, together: int
) -> None:
    begun = 0
    go_on = asyncio.Event()

    async def respond(*_: object) -> None:
        nonlocal begun
        begun += 1
        await go_on.wait()

    peer: Any = Deaf(1000, size)
    sequences: Any = None
    options = ServerOptions(max_message_bytes=4999)
    task = asyncio.create_task(StreamCall(peer, respond, OWNER, options).run(sequences))
    for _ in range(3000):  # far longer than all of them take to begin
        await asyncio.sleep(0)
    assert begun == together
    go_on.set()
    await until(lambda: begun == 1000)
    task.cancel()
