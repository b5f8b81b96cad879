"""One call whose signal is images: each tile that covers the image is run as a whole, and its outputs come back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import Executor

import grpc
import numpy as np

from ...proto.v1 import wavetile_pb2 as pb
from ..errors import SignalError
from .codec import check_image, decode_tile
from .messages import image_result, kind_number
from .options import ServerOptions
from .served import ServedModel
from .signal_call import wrong_request


class ImageCall:
    """The coroutine of one image stream. Images are computed one after the other, in `pool`'s threads."""

    def __init__(
        self,
        context: grpc.aio.ServicerContext,
        stream_id: str,
        config: pb.StreamConfig,
        served: ServedModel,
        pool: Executor,
        options: ServerOptions,
    ) -> None:
        self._context = context
        self._stream_id = stream_id
        self._config = config
        self._served = served
        self._description = served.describe()
        self._pool = pool
        self._options = options

    async def run(self) -> None:
        """Serve the call to its end. Raises SignalError and whatever else ends it early."""
        if self._config.frame_budget_ns:
            raise SignalError("frame_budget_ns is set; images have no frames, leave it out")
        image = self._config.image
        check_image(image, self._options.max_message_bytes)
        await self._context.write(pb.StreamResponse(started=self._started()))
        sequence_number = 0
        while isinstance(request := await self._context.read(), pb.StreamRequest):
            field = request.WhichOneof("request")
            if field != "tile":
                raise SignalError(wrong_request(field, "tile"))
            await self._context.write(await self._process(sequence_number, decode_tile(request.tile, image)))
            sequence_number += 1

    def _started(self) -> pb.StreamStarted:
        return pb.StreamStarted(
            stream_id=self._stream_id,
            model=self._config.model,
            kind=kind_number(self._description.kind),
            value_names=self._description.value_names,
        )

    async def _process(self, sequence_number: int, pixels: np.ndarray) -> pb.StreamResponse:
        arrived_ns = time.monotonic_ns()
        inputs = {self._description.inputs[0].name: pixels}
        loop = asyncio.get_running_loop()
        outputs, started_ns, ended_ns = await loop.run_in_executor(self._pool, _timed_run, self._served, inputs)
        return image_result(sequence_number, outputs, started_ns - arrived_ns, ended_ns - started_ns)


def _timed_run(served: ServedModel, inputs: Mapping[str, np.ndarray]) -> tuple[Mapping[str, np.ndarray], int, int]:
    started_ns = time.monotonic_ns()
    outputs = served.run(inputs)
    return outputs, started_ns, time.monotonic_ns()
