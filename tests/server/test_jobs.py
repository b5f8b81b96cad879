"""Work that clients have given up: what waits lets go of its memory, what is computed keeps its turn and its place."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest

from tests.patience import PATIENCE_S
from wavetile.engine.server import ServerOptions
from wavetile.engine.server.activity import Activity, OpenStream
from wavetile.engine.server.image_call import ImageCall, ImagePools
from wavetile.engine.server.inference.turns import TurnQueue
from wavetile.engine.server.jobs import in_pool
from wavetile.engine.server.quotas import Account, Quota
from wavetile.engine.session import ImageFormat, ImageResult
from wavetile.proto.inference.v2 import inference_pb2
from wavetile.proto.v1 import wavetile_pb2 as pb

from .fakes import Doubled, InvertImages, InvertModel
from .running import serving, until


@pytest.fixture
def go_on() -> Iterator[threading.Event]:
    """What work in `pool` waits for; set at the latest when the test ends."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def pool(go_on: threading.Event) -> Iterator[ThreadPoolExecutor]:
    """Return a pool of one thread."""
    with ThreadPoolExecutor(1) as pool:
        yield pool
        go_on.set()


async def some_turns() -> None:
    """Return when all has happened that needs nothing but the event loop."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_work_that_is_given_up_before_it_begins_lets_go_of_what_it_holds(
    pool: ThreadPoolExecutor, go_on: threading.Event
) -> None:
    pool.submit(go_on.wait)
    payload = np.zeros(1000)
    held = weakref.ref(payload)
    task = asyncio.create_task(in_pool(pool, np.sum, payload))
    await some_turns()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    del payload, task
    gc.collect()
    assert pool._work_queue.qsize() == 1  # the pool itself keeps what it is to find cancelled
    assert held() is None


async def test_who_is_cancelled_stays_until_what_has_begun_is_over(
    pool: ThreadPoolExecutor, go_on: threading.Event
) -> None:
    begun = threading.Event()

    def work() -> None:
        begun.set()
        assert go_on.wait(PATIENCE_S)

    task = asyncio.create_task(in_pool(pool, work))
    await until(begun.is_set)
    task.cancel()
    await some_turns()
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_work_is_the_callers(pool: ThreadPoolExecutor) -> None:
    with pytest.raises(ZeroDivisionError):
        await in_pool(pool, divmod, 1, 0)
    assert await in_pool(pool, divmod, 7, 4) == (1, 3)


class Held(Doubled):
    """A network that is computed when it is told to be, and counts what it was asked."""

    def __init__(self, go_on: threading.Event) -> None:
        self.asked = 0
        self._go_on = go_on

    def run(self, inputs: Any) -> dict[str, np.ndarray]:
        self.asked += 1
        assert self._go_on.wait(PATIENCE_S)
        return super().run(inputs)


async def test_an_evaluation_that_is_given_up_keeps_its_turn_until_it_is_over(go_on: threading.Event) -> None:
    network = Held(go_on)
    request = inference_pb2.ModelInferRequest(model_name="held", raw_input_contents=[bytes(8)])
    request.inputs.add(name="x", datatype="FP32", shape=[2])
    hurried = inference_pb2.ModelInferRequest()
    hurried.CopyFrom(request)
    hurried.parameters["timeout"].int64_param = 1000
    async with (
        serving({}, networks={"held": network}) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        infer: Any = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=inference_pb2.ModelInferRequest.SerializeToString,
            response_deserializer=inference_pb2.ModelInferResponse.FromString,
        )
        turns, jobs = server._inference._turns, server._image_pool._work_queue
        first = infer(request)
        await until(lambda: network.asked == 1)
        first.cancel()
        for _ in range(3):
            given_up = infer(request)
            await until(lambda: turns.waiting == 1)
            given_up.cancel()
            await until(lambda: turns.waiting == 0)
        assert jobs.qsize() == 0
        with pytest.raises(grpc.aio.AioRpcError, match=r"waited longer than its timeout of 0\.001 s"):
            await infer(hurried)
        go_on.set()
        assert len((await infer(request)).raw_output_contents[0]) == 8
        assert network.asked == 2


async def turn_of(queue: TurnQueue, begun: list[str], name: str, gate: asyncio.Event) -> str:
    """Hold a turn until the gate opens."""
    async with queue.turn(2, None):
        begun.append(name)
        await gate.wait()
    return name


@pytest.mark.parametrize("first_cancelled", [False, True])
async def test_a_turn_that_comes_when_its_caller_goes_is_the_next_ones(first_cancelled: bool) -> None:
    """Whoever of the two is heard first: who ends its turn, or who waits and is cancelled."""
    queue = TurnQueue(1, 8)
    begun: list[str] = []
    gate, last = asyncio.Event(), asyncio.Event()
    holder = asyncio.create_task(turn_of(queue, begun, "holder", gate))
    await some_turns()
    waiter = asyncio.create_task(turn_of(queue, begun, "waiter", gate))
    others = [asyncio.create_task(turn_of(queue, begun, name, last)) for name in ("third", "fourth")]
    await some_turns()
    if first_cancelled:
        waiter.cancel()
        gate.set()
    else:
        gate.set()
        waiter.cancel()
    await some_turns()
    assert await holder == "holder"
    assert waiter.cancelled()
    assert begun == ["holder", "third"]  # one turn, which is one task's
    last.set()
    assert await asyncio.gather(*others) == ["third", "fourth"]
    assert (queue._free, queue.waiting) == (1, 0)


class OneImage:
    """The peer of an image's call: sends one image, and then nothing."""

    def __init__(self) -> None:
        self.written: list[pb.StreamResponse] = []
        tile = pb.ImageTile(height=4, width=6, data=np.zeros(24, np.float32).tobytes())
        self._requests = self._sent([pb.StreamRequest(tile=tile)])

    async def _sent(self, requests: list[pb.StreamRequest]) -> AsyncIterator[pb.StreamRequest]:
        for request in requests:
            yield request
        await asyncio.get_running_loop().create_future()

    async def read(self) -> pb.StreamRequest:
        return await anext(self._requests)

    async def write(self, response: pb.StreamResponse) -> None:
        self.written.append(response)


class HeldImages(InvertImages):
    """Are computed when they are told to be."""

    def __init__(self, form: ImageFormat, begun: threading.Event, go_on: threading.Event) -> None:
        super().__init__(form)
        self._begun, self._go_on = begun, go_on

    def put(self, z: int, y: int, x: int, pixels: np.ndarray) -> ImageResult:
        self._begun.set()
        assert self._go_on.wait(PATIENCE_S)
        return super().put(z, y, x, pixels)


def image_call(peer: OneImage, stream: OpenStream, pool: ThreadPoolExecutor, *gates: threading.Event) -> ImageCall:
    """Return the call of one image stream, without a server."""
    model = InvertModel()
    fakes: Any = SimpleNamespace(
        peer=peer,
        release=SimpleNamespace(
            stream=SimpleNamespace(open_images=lambda form, _: HeldImages(form, *gates)),
            description=model.describe(),
            version="1",
        ),
    )
    image = pb.ImageConfig(height=4, width=6, pixel_type=pb.PIXEL_TYPE_FLOAT32)
    config = pb.StreamConfig(model="invert", image=image)
    pools = ImagePools(pool, pool)
    return ImageCall(fakes.peer, stream, config, fakes.release, pools, Account(Quota(), 1), ServerOptions())


async def test_an_image_stream_keeps_its_place_until_its_part_is_computed(
    pool: ThreadPoolExecutor, go_on: threading.Event
) -> None:
    begun = threading.Event()
    call = image_call(OneImage(), Activity({"invert"}).stream("test", "invert"), pool, begun, go_on)
    task = asyncio.create_task(call.run())  # which ends before its place is given up
    await until(begun.is_set)
    task.cancel()
    await some_turns()
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task


def looked_at_once(tap: Any) -> OpenStream:
    """Return a stream whose `tap` is gone after it was read."""
    looks = [tap]
    look = property(lambda _: looks.pop() if looks else None, lambda *_: None)
    return type("LookedAtOnce", (OpenStream,), {"tap": look})(Activity({"invert"}), "1", "test", "invert")


async def test_nobody_has_to_look_on_until_a_part_is_computed(pool: ThreadPoolExecutor, go_on: threading.Event) -> None:
    go_on.set()
    seen: list[tuple[int, int, int]] = []
    stream = looked_at_once(SimpleNamespace(part_done=lambda z, y, x, pixels, result: seen.append((z, y, x))))
    peer = OneImage()
    task = asyncio.create_task(image_call(peer, stream, pool, threading.Event(), go_on).run())
    await until(lambda: task.done() or len(peer.written) == 2)
    assert seen == [(0, 0, 0)]
    assert peer.written[1].result.finished_share == 1.0
    task.cancel()
