"""One call whose signal is images: tiles come in the order that the config says, and what each finishes goes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass

import grpc

from ...proto.v1 import wavetile_pb2 as pb
from ..errors import SignalError
from .activity import OpenStream
from .codec import decode_tile, image_format
from .jobs import in_pool
from .messages import ImageResultCounter, image_output, kind_number, notice_message
from .options import ServerOptions
from .peer import Peer
from .quotas import Account
from .release import Release
from .served import ServedImages
from .signal_call import wrong_request
from .status import CallError, DrainingError


@dataclass(frozen=True, slots=True)
class ImagePools:
    """The threads of all image streams."""

    computing: Executor
    planning: Executor
    """Apart: a stream that is planned for the first time would keep the tiles of others waiting."""


class ImageCall:
    """The coroutine of one image stream. Its tiles are computed one after the other, in the threads of `pools`."""

    def __init__(
        self,
        peer: Peer,
        stream: OpenStream,
        config: pb.StreamConfig,
        release: Release,
        pools: ImagePools,
        account: Account,
        options: ServerOptions,
    ) -> None:
        self._peer = peer
        self._stream = stream
        self._config = config
        self._served = release.stream
        self._description = release.description
        self._version = release.version
        self._pools = pools
        self._account = account
        self._options = options
        self._counter = ImageResultCounter(options.max_message_bytes)
        self._writing = asyncio.Lock()
        self._limit: asyncio.Timeout | None = None
        """Of the call, as long as it is served."""
        self._noticing: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()

    def notice(self, grace_s: float) -> None:
        """See `Leaver`."""
        self._noticing = asyncio.create_task(self._give_notice(notice_message(grace_s)))

    def leave(self) -> None:
        """See `Leaver`."""
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Serve the call to its end. Raises SignalError and whatever else ends it early."""
        limit = self._limit = asyncio.timeout(None)
        try:
            async with limit:
                await self._run()
        except TimeoutError:
            if not limit.expired():
                raise
            raise DrainingError("the server is stopping; the image can begin anew on another one") from None
        finally:
            self._limit = None
            if self._noticing is not None:
                self._noticing.cancel()

    async def _run(self) -> None:
        if self._config.frame_budget_ns:
            raise SignalError("frame_budget_ns is set; images have no frames, leave it out")
        if self._config.late_policy:
            raise SignalError("late_policy is set; images have no frames that could be late, leave it out")
        if self._config.priority:
            raise SignalError("priority is set; images are computed apart from streams of frames, leave it out")
        image = self._config.image
        form = image_format(image, self._options.max_message_bytes)
        images = await self._account.plan(
            self._pools.planning, self._served.open_images, form, self._options.max_image_bytes
        )
        await self._write(pb.StreamResponse(started=self._started(images)))
        self._begun.set()
        self._stream.form = form
        self._stream.channels, self._stream.state_bytes = form.channels, images.kept_bytes
        self._stream.begin()
        while isinstance(request := await self._peer.read(), pb.StreamRequest):
            field = request.WhichOneof("request")
            if field != "tile":
                raise SignalError(wrong_request(field, "tile"))
            await self._process(images, request.tile)
        await self._answer(lambda: self._rest(images))

    def _started(self, images: ServedImages) -> pb.StreamStarted:
        return pb.StreamStarted(
            stream_id=self._stream.stream_id,
            model=self._config.model,
            model_version=self._version,
            kind=kind_number(self._description.kind),
            value_names=self._description.value_names,
            image_outputs=[image_output(output) for output in images.outputs],
            kept_bytes=images.kept_bytes,
        )

    async def _process(self, images: ServedImages, tile: pb.ImageTile) -> None:
        arrived_ns = time.monotonic_ns()
        queue_ns = compute_ns = 0

        def finished() -> list[pb.StreamResponse]:
            nonlocal queue_ns, compute_ns
            started_ns = time.monotonic_ns()
            pixels = decode_tile(tile, self._config.image)
            result = images.put(tile.z, tile.y, tile.x, pixels)
            queue_ns, compute_ns = started_ns - arrived_ns, time.monotonic_ns() - started_ns
            tap = self._stream.tap  # read once: the event loop may take it away at any time
            if tap is not None:
                tap.part_done(tile.z, tile.y, tile.x, pixels, result)
            self._stream.finished_share = result.finished_share
            return list(self._counter.results(result, 1, queue_ns, compute_ns))

        await self._answer(finished)
        self._stream.count_part(arrived_ns, queue_ns, compute_ns)

    def _rest(self, images: ServedImages) -> list[pb.StreamResponse]:
        result = images.finish()
        return [] if result is None else list(self._counter.results(result, 0))

    async def _answer(self, make: Callable[[], list[pb.StreamResponse]]) -> None:
        """Send what `make` makes in the pool: megabytes become messages there, where no other stream waits for it."""
        for response in await in_pool(self._pools.computing, make):
            await self._write(response)

    async def _give_notice(self, notice: pb.StreamResponse) -> None:
        await self._begun.wait()
        with suppress(CallError, grpc.aio.BaseError):  # of a client that is gone, the call's own writes tell
            await self._write(notice)

    async def _write(self, response: pb.StreamResponse) -> None:
        async with self._writing:
            await self._peer.write(response)
