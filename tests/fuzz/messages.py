"""Mutated messages to a live server: every call ends in time, with a clean status, and leaves nothing behind.

A call may end before all of its messages are read, so what is counted is what the server has read.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
import onnx.parser
from google.protobuf.message import Message

import wavetile
from tests.fuzz.mutate import mutate_fields, mutated_bytes
from tests.fuzz.trial import Answer, Trial
from tests.server.fakes import HOP, GainModel, RowSumModel
from tests.server.resumables import OverlapModel
from wavetile.engine.commands.served import evaluated, served
from wavetile.engine.server import Server, ServerOptions
from wavetile.proto.inference.v2 import inference_pb2 as oip
from wavetile.proto.v1 import wavetile_pb2 as pb

CLEAN = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNIMPLEMENTED,
}
"""How a call of nonsense may end: not in the server's failure, not in silence, and not by a lost connection."""

READ = "damaged messages read by the server"

CALL_HEADER = "fuzz-call"
"""Tells which call a message belongs to."""

LOOKED_AFTER_EVERY = 100
"""Trials after which a sound stream has to give the right numbers, and all streams to be gone."""

NETWORK = """<ir_version: 8, opset_import: ["" : 17]>
picture (float[1, 1, height, width] x) => (float[1, 1, height, width] y) {
    w = Constant <value = float[1, 1, 3, 3] {1, 0, 1, 0, 1, 0, 1, 0, 1}> ()
    y = Conv <pads = [1, 1, 1, 1]> (x, w)
}"""

CARD = """name = "picture"
title = "Sums of neighbours"
task = "segment"
licence = "Apache-2.0"
attribution = "made for this test"
budget_ms = 1000.0

[signal]
kind = "image"

[networks.net]
file = "picture.onnx"
sha256 = "{digest}"
source = "picture.onnx"
"""

Script = tuple[str, Sequence[Message]]
"""A method's path, and the messages of a call that is in order."""


class Reads(grpc.aio.ServerInterceptor):
    """Counts the messages that a server reads of each call, whether they can be parsed or not."""

    def __init__(self) -> None:
        self.by_call: Counter[object] = Counter()

    async def intercept_service(self, continuation: Any, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler, which counts what it parses."""
        handler: Any = await continuation(handler_call_details)
        if handler is None or handler.request_deserializer is None:
            return handler
        number = dict(handler_call_details.invocation_metadata).get(CALL_HEADER)

        def read(data: bytes) -> Any:
            self.by_call[number] += 1
            return handler.request_deserializer(data)

        return handler._replace(request_deserializer=read)


def prepare() -> Trial:
    """A server in this process, and trials that are calls with at least one damaged message."""
    gain, rows, overlap = GainModel(), RowSumModel(), OverlapModel()
    with tempfile.TemporaryDirectory() as folder:
        picture = wavetile.load(str(_written(Path(folder))))
    reads = Reads()
    address, live_streams = _started(
        {"gain": gain, "rows": rows, "overlap": overlap, "picture": served(picture)}, evaluated(picture), reads
    )
    channel = grpc.insecure_channel(address)
    scripts = [*_streams(), *_inference(), *_questions()]

    def at_rest() -> bool:
        taken = overlap.pool.capacity - overlap.pool.free
        return live_streams() == gain.open_sessions == rows.open_sessions == taken == 0

    def review() -> str:
        _look_after(channel)
        _wait_until(at_rest)
        return ""

    def trial(number: int) -> Answer:
        rng = random.Random(number)
        path, messages = rng.choice(scripts)
        sent = damaged(rng, messages)
        words = call(channel, path, [data for data, _ in sent], str(number))
        read = reads.by_call.pop(str(number), 0)
        counts = {
            READ: sum(is_damaged for _, is_damaged in sent[:read]),
            "messages read by the server": read,
            "messages sent": len(sent),
            "calls": 1,
        }
        return Answer(words, counts, review if number % LOOKED_AFTER_EVERY == 0 else None)

    return trial


def damaged(rng: random.Random, messages: Sequence[Message]) -> list[tuple[bytes, bool]]:
    """The messages of a call, some left out or sent twice, one or more of them mutated; whether they are."""
    chosen = rng.randrange(len(messages))
    sent: list[tuple[bytes, bool]] = []
    for place, message in enumerate(messages):
        data = sound = message.SerializeToString(deterministic=True)
        if place == chosen or rng.random() < 0.2:
            if rng.random() < 0.6:
                copy = type(message)()
                copy.CopyFrom(message)
                mutate_fields(rng, copy)
                data = copy.SerializeToString(deterministic=True)
            else:
                data = mutated_bytes(rng, data)
        sent += [(data, data != sound)] * rng.choice((0, 1, 1, 1, 1, 1, 1, 2))
    return sent or [(b"", False)]


def call(channel: grpc.Channel, path: str, messages: Sequence[bytes], name: str) -> str:
    """Make a call, however long it takes, and say how it ended. Raises AssertionError: not as a call may end."""
    method = channel.stream_stream(path)  # of bytes, whatever the method takes
    code = grpc.StatusCode.OK
    details = ""
    try:
        for _ in method(iter(messages), metadata=((CALL_HEADER, name),)):
            pass
    except grpc.RpcError as error:
        code, details = error.code(), error.details() or ""
    assert code in CLEAN, f"{path}: {code.name}: {details}"
    for word in (".py", "Traceback", tempfile.gettempdir()):
        assert word not in details, f"{path}: {details}"
    return f"{path.rsplit('/', maxsplit=1)[-1]} {code.name}"


def _look_after(channel: grpc.Channel) -> None:
    """A stream between the calls of nonsense."""
    samples = np.random.default_rng(0).standard_normal(4 * HOP).astype("<f4")
    audio = pb.AudioConfig(encoding=pb.AUDIO_ENCODING_PCM_F32LE)
    requests = [
        pb.StreamRequest(config=pb.StreamConfig(model="gain", audio=audio)),
        pb.StreamRequest(audio=samples.tobytes()),
    ]
    method = channel.stream_stream(
        "/wavetile.v1.StreamService/Stream",
        request_serializer=pb.StreamRequest.SerializeToString,
        response_deserializer=pb.StreamResponse.FromString,
    )
    heard = b"".join(response.result.audio for response in method(iter(requests)))
    expected = 0.5 * np.concatenate([np.zeros(HOP, np.float32), samples])
    np.testing.assert_array_equal(np.frombuffer(heard, "<f4"), expected)


def _wait_until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds; whoever watches this process sees that it never does."""
    while not condition():
        time.sleep(0.01)


def _started(models: dict[str, Any], networks: dict[str, Any], reads: Reads) -> tuple[str, Callable[[], int]]:
    """Serve on an event loop in a thread of its own; the address, and how to see how many streams are open."""
    make = grpc.aio.server

    def counting(*, interceptors: Sequence[Any], **more: Any) -> grpc.aio.Server:
        return make(interceptors=(reads, *interceptors), **more)

    grpc.aio.server = counting
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    # On a machine that is busy with something else nobody is late, and no stream refused for what others compute.
    options = ServerOptions(port=0, max_image_bytes=1 << 26, max_load=0.0, config_timeout_s=60.0, sequence_idle_s=0.05)

    async def start() -> Server:
        server = Server(models, options, networks)
        await server.start()
        return server

    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    return server.address, lambda: server.live_streams


def _written(folder: Path) -> Path:
    """A card and its network."""
    content = onnx.parser.parse_model(NETWORK).SerializeToString()
    (folder / "picture.onnx").write_bytes(content)
    card = folder / "picture.toml"
    card.write_text(CARD.format(digest=hashlib.sha256(content).hexdigest()))
    return card


def _streams() -> list[Script]:
    """Streams of each kind of signal."""
    audio = pb.AudioConfig(sample_rate_hz=16000, channels=1, encoding=pb.AUDIO_ENCODING_PCM_F32LE)
    whole = pb.AudioConfig(sample_rate_hz=48000, channels=2, encoding=pb.AUDIO_ENCODING_PCM_S16LE)
    native = pb.AudioConfig(encoding=pb.AUDIO_ENCODING_PCM_F32LE)
    features = pb.FeatureConfig(feature_count=3)
    tone = np.sin(np.arange(3 * HOP) / 10)
    images = [
        pb.ImageConfig(height=20, width=24, pixel_type=pb.PIXEL_TYPE_UINT8, order=order, tile_pixels=16, scale=0.5)
        for order in (pb.IMAGE_ORDER_RASTER, pb.IMAGE_ORDER_ANY, pb.IMAGE_ORDER_ROWS, pb.IMAGE_ORDER_UNSPECIFIED)
    ]
    chunk = pb.StreamRequest(audio=tone.astype("<f4").tobytes())
    rows = pb.FeatureFrames(data=np.arange(12, dtype="<f4").tobytes())
    calls = [
        (pb.StreamConfig(model="gain", audio=audio), [chunk] * 3),
        (
            pb.StreamConfig(model="gain", audio=whole, frame_budget_ns=10**7),
            [pb.StreamRequest(audio=(tone * 9999).astype("<i2").tobytes())] * 2,
        ),
        (pb.StreamConfig(model="rows", features=features), [pb.StreamRequest(features=rows)] * 2),
        (
            pb.StreamConfig(model="overlap", audio=native, resumable=True, priority=pb.STREAM_PRIORITY_HIGH),
            [chunk, pb.StreamRequest(received=pb.Received(next_frame_index=1)), chunk],
        ),
        (
            pb.StreamConfig(model="overlap", audio=native, resume=pb.Resume(token=bytes(32), next_frame_index=1)),
            [chunk],
        ),
        *((pb.StreamConfig(model="picture", image=image), _tiles(image)) for image in images),
    ]
    return [
        ("/wavetile.v1.StreamService/Stream", [pb.StreamRequest(config=config), *requests])
        for config, requests in calls
        for _ in range(4)  # more often than a question
    ]


def _tiles(image: pb.ImageConfig) -> list[pb.StreamRequest]:
    """The parts of an image, in an order that every way to send it takes."""
    across = image.width if image.order in (pb.IMAGE_ORDER_ROWS, pb.IMAGE_ORDER_UNSPECIFIED) else image.tile_pixels
    down = image.height if image.order == pb.IMAGE_ORDER_UNSPECIFIED else image.tile_pixels
    requests = []
    for y in range(0, image.height, down):
        for x in range(0, image.width, across):
            height, width = min(down, image.height - y), min(across, image.width - x)
            tile = pb.ImageTile(y=y, x=x, height=height, width=width, data=bytes(height * width))
            requests.append(pb.StreamRequest(tile=tile))
    return requests


def _inference() -> list[Script]:
    """Evaluations and sequences of the Open Inference Protocol."""
    pixels = np.arange(12, dtype="<f4")
    typed = oip.ModelInferRequest(model_name="picture", id="1")
    tensor = typed.inputs.add(name="x", datatype="FP32", shape=[1, 1, 3, 4])
    tensor.contents.fp32_contents.extend(pixels.tolist())
    raw = oip.ModelInferRequest(model_name="picture", raw_input_contents=[pixels.tobytes()])
    raw.inputs.add(name="x", datatype="FP32", shape=[1, 1, 3, 4])
    raw.outputs.add(name="y")
    sequence = []
    for turn in range(3):
        request = oip.ModelInferRequest(model_name="gain", raw_input_contents=[bytes(4 * HOP)])
        request.inputs.add(name="audio", datatype="FP32", shape=[HOP])
        request.parameters["sequence_id"].int64_param = 7
        request.parameters["sequence_start"].bool_param = turn == 0
        request.parameters["sequence_end"].bool_param = turn == 2
        sequence.append(request)
    service = "/inference.GRPCInferenceService/"
    one = [(service + "ModelInfer", [request]) for request in (typed, raw, sequence[0])]
    many = [(service + "ModelStreamInfer", messages) for messages in (sequence, [typed, raw], [*sequence, raw])]
    return [*one, *many] * 3


def _questions() -> list[Script]:
    """Calls that ask."""
    service, streams = "/inference.GRPCInferenceService/", "/wavetile.v1.StreamService/"
    return [
        (streams + "ListModels", [pb.ListModelsRequest()]),
        (streams + "DescribeModel", [pb.DescribeModelRequest(model="picture")]),
        (service + "ModelReady", [oip.ModelReadyRequest(name="gain", version="1")]),
        (service + "ModelMetadata", [oip.ModelMetadataRequest(name="picture")]),
        (service + "ModelConfig", [oip.ModelConfigRequest(name="gain")]),
        (service + "ModelStatistics", [oip.ModelStatisticsRequest(name="picture")]),
        (service + "RepositoryIndex", [oip.RepositoryIndexRequest()]),
        (service + "ServerMetadata", [oip.ServerMetadataRequest()]),
    ]
