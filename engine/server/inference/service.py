"""inference.GRPCInferenceService: answers what the server has, hands requests on, and turns errors into gRPC status."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from functools import wraps
from typing import Any, TypeVar, cast

import grpc

from ....proto.inference.v2 import inference_pb2 as pb
from ....proto.inference.v2 import inference_pb2_grpc as pb_grpc
from ...session.scheduler import Scheduler
from ..admission import Admission
from ..messages import MESSAGE_ROOM_BYTES
from ..options import ServerOptions
from ..served import ServedModel, ServedNetwork
from ..status import RefusedError, abort
from .catalogue import VERSION, Catalogue, NetworkEntry, StreamEntry
from .describe import EXTENSIONS, PLATFORM, config_message, metadata_message
from .evaluation import evaluate
from .handlers import PACKAGE
from .parameters import read_parameters
from .statistics import RequestCounts, statistics_message
from .turns import TurnQueue

MethodT = TypeVar("MethodT", bound=Callable[..., Awaitable[Any]])


def _answered(method: MethodT) -> MethodT:
    """The method, every error of which becomes a status."""

    @wraps(method)
    async def answer(service: Any, request: Any, context: grpc.aio.ServicerContext) -> Any:
        try:
            return await method(service, request, context)
        except Exception as error:  # noqa: BLE001 - the call's outermost frame
            await abort(context, method.__name__, error, PACKAGE)

    return cast("MethodT", answer)


class InferenceService(pb_grpc.GRPCInferenceServiceServicer):
    """The Open Inference Protocol over `networks`, and over those of `models` that stream audio or feature frames."""

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        networks: Mapping[str, ServedNetwork],
        scheduler: Scheduler,
        admission: Admission,
        pool: Executor,
        options: ServerOptions,
    ) -> None:
        self._catalogue = Catalogue(models, networks)
        self._scheduler = scheduler
        self._admission = admission
        self._pool = pool
        self._options = options
        self._turns = TurnQueue(options.threads, options.max_queued_evaluations)
        self._counts = {entry.name: RequestCounts() for entry in self._catalogue.entries}

    # What the server is and has.

    @_answered
    async def ServerLive(  # noqa: N802 - the service definition's name, as of all methods here
        self, request: pb.ServerLiveRequest, context: grpc.aio.ServicerContext
    ) -> pb.ServerLiveResponse:
        """True: it answers."""
        return pb.ServerLiveResponse(live=True)

    @_answered
    async def ServerReady(  # noqa: N802
        self, request: pb.ServerReadyRequest, context: grpc.aio.ServicerContext
    ) -> pb.ServerReadyResponse:
        """Whether streams and evaluations are taken."""
        return pb.ServerReadyResponse(ready=not self._admission.draining)

    @_answered
    async def ModelReady(  # noqa: N802
        self, request: pb.ModelReadyRequest, context: grpc.aio.ServicerContext
    ) -> pb.ModelReadyResponse:
        """Whether the model is here and the server takes requests."""
        here = self._catalogue.has(request.name, request.version)
        return pb.ModelReadyResponse(ready=here and not self._admission.draining)

    @_answered
    async def ServerMetadata(  # noqa: N802
        self, request: pb.ServerMetadataRequest, context: grpc.aio.ServicerContext
    ) -> pb.ServerMetadataResponse:
        """Name, version, and the extensions of the protocol that are here."""
        return pb.ServerMetadataResponse(name=PLATFORM, version=self._options.version, extensions=EXTENSIONS)

    @_answered
    async def ModelMetadata(  # noqa: N802
        self, request: pb.ModelMetadataRequest, context: grpc.aio.ServicerContext
    ) -> pb.ModelMetadataResponse:
        """One model's tensors."""
        return metadata_message(self._catalogue.find(request.name, request.version))

    @_answered
    async def ModelConfig(  # noqa: N802
        self, request: pb.ModelConfigRequest, context: grpc.aio.ServicerContext
    ) -> pb.ModelConfigResponse:
        """One model's configuration."""
        entry = self._catalogue.find(request.name, request.version)
        return pb.ModelConfigResponse(config=config_message(entry, self._options.sequence_idle_s))

    @_answered
    async def ModelStatistics(  # noqa: N802
        self, request: pb.ModelStatisticsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ModelStatisticsResponse:
        """One model's counters, or those of all."""
        entries = [self._catalogue.find(request.name, request.version)] if request.name else self._catalogue.entries
        return pb.ModelStatisticsResponse(
            model_stats=[
                statistics_message(
                    entry.name,
                    self._counts[entry.name],
                    self._scheduler.counts(entry.name) if isinstance(entry, StreamEntry) else None,
                )
                for entry in entries
            ]
        )

    @_answered
    async def RepositoryIndex(  # noqa: N802
        self, request: pb.RepositoryIndexRequest, context: grpc.aio.ServicerContext
    ) -> pb.RepositoryIndexResponse:
        """All models; while the server drains none is ready."""
        draining = self._admission.draining
        index = pb.RepositoryIndexResponse()
        for entry in [] if draining and request.ready else self._catalogue.entries:
            index.models.add(
                name=entry.name,
                version=VERSION,
                state="UNAVAILABLE" if draining else "READY",
                reason="the server is stopping" if draining else "",
            )
        return index

    # Requests.

    @_answered
    async def ModelInfer(  # noqa: N802
        self, request: pb.ModelInferRequest, context: grpc.aio.ServicerContext
    ) -> pb.ModelInferResponse:
        """One request and its answer."""
        entry = self._catalogue.find(request.model_name, request.model_version)
        counts = self._counts[entry.name]
        started_ns = time.monotonic_ns()
        answered = False
        try:
            parameters = read_parameters(request)
            if isinstance(entry, NetworkEntry):
                response = await evaluate(
                    entry, request, parameters, self._turns, self._pool, counts, self._max_tensor_bytes
                )
            else:
                raise RefusedError(f"model {entry.name!r} is a stream; wavetile.v1.StreamService would work")
            answered = True
            return response
        finally:
            counts.answered(started_ns, answered)

    @property
    def _max_tensor_bytes(self) -> int:
        return self._options.max_message_bytes - MESSAGE_ROOM_BYTES
