"""inference.GRPCInferenceService: answers what the server has, hands requests on, and turns errors into gRPC status."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import wraps
from typing import Any, TypeVar, cast

import grpc

from ....proto.inference.v2 import inference_pb2 as pb
from ....proto.inference.v2 import inference_pb2_grpc as pb_grpc
from ...errors import SignalError
from ...session.scheduler import Scheduler
from ..activity import Activity
from ..admission import Admission
from ..callers import caller_of
from ..messages import MESSAGE_ROOM_BYTES
from ..model_table import ModelTable, check_version
from ..options import ServerOptions
from ..parsing import reads_itself
from ..peer import Peer
from ..status import abort
from ..updates import Updates
from .catalogue import Catalogue, Entry, NetworkEntry, StreamEntry
from .evaluation import evaluate
from .handlers import PACKAGE
from .metadata import EXTENSIONS, PLATFORM, config_message, metadata_message
from .parameters import Parameters, read_parameters
from .repository import READY, changeable, check_unload, repository_index, wanted_version
from .sequence_request import Send, advance
from .sequences import Owner, SequenceTable
from .statistics import statistics_message
from .stream_call import MAX_OPEN_REQUESTS, StreamCall
from .turns import TurnQueue

MAX_WAITING_REQUESTS = 8
"""Of one sequence whose requests are calls of their own."""

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
    """The Open Inference Protocol over a table's networks, and over its streams of audio or feature frames."""

    def __init__(
        self,
        models: ModelTable,
        scheduler: Scheduler,
        admission: Admission,
        pool: Executor,
        activity: Activity,
        options: ServerOptions,
        updates: Updates | None,
    ) -> None:
        self._models = models
        self._catalogue = Catalogue(models)
        self._scheduler = scheduler
        self._admission = admission
        self._pool = pool
        self._activity = activity
        self._options = options
        self._updates = updates
        self._turns = TurnQueue(options.threads, options.max_queued_evaluations)
        self._sequences = self._table(MAX_WAITING_REQUESTS)

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
        """The counters of one model, or of all, of each version apart; those that drain come after those that serve."""
        entries = [entry for release in self._models.live for entry in self._catalogue.of(release)]
        asked = (request.name, request.version)
        found = [one for one in entries if asked[0] in ("", one.name) and asked[1] in ("", one.release.version)]
        if request.name and not found:
            found = [self._catalogue.find(*asked)]  # which says what is there
        return pb.ModelStatisticsResponse(
            model_stats=[
                statistics_message(
                    entry.name,
                    entry.release.version,
                    entry.counts,
                    self._scheduler.counts_of(entry.release.scheduled) if isinstance(entry, StreamEntry) else None,
                )
                for entry in found
            ]
        )

    @_answered
    async def RepositoryIndex(  # noqa: N802
        self, request: pb.RepositoryIndexRequest, context: grpc.aio.ServicerContext
    ) -> pb.RepositoryIndexResponse:
        """All models in all versions that are served or in the repository; while the server drains none is ready."""
        index = pb.RepositoryIndexResponse()
        states = repository_index(self._catalogue, self._updates, self._admission.draining)
        for state in sorted(states, key=lambda one: (one.name, int(one.version))):
            if state.state == READY or not request.ready:
                index.models.add(name=state.name, version=state.version, state=state.state, reason=state.reason)
        return index

    @_answered
    async def RepositoryModelLoad(  # noqa: N802
        self, request: pb.RepositoryModelLoadRequest, context: grpc.aio.ServicerContext
    ) -> pb.RepositoryModelLoadResponse:
        """Serve a version of a model; answered once it does."""
        updates = changeable(self._updates, self._options)
        await updates.load(request.model_name, wanted_version(request.parameters))
        return pb.RepositoryModelLoadResponse()

    @_answered
    async def RepositoryModelUnload(  # noqa: N802
        self, request: pb.RepositoryModelUnloadRequest, context: grpc.aio.ServicerContext
    ) -> pb.RepositoryModelUnloadResponse:
        """Serve nothing new of a model; what it has goes on."""
        updates = changeable(self._updates, self._options)
        check_unload(request.parameters)
        await updates.unload(request.model_name)
        return pb.RepositoryModelUnloadResponse()

    # Requests.

    @_answered
    async def ModelInfer(  # noqa: N802
        self, request: pb.ModelInferRequest, context: grpc.aio.ServicerContext
    ) -> pb.ModelInferResponse:
        """One request and its answer; a sequence goes on with its caller's next call by the same connection."""
        answers: list[pb.ModelInferResponse] = []

        async def keep(answer: pb.ModelInferResponse, final: bool) -> None:
            answers.append(answer)

        parameters = read_parameters(request)
        if parameters.several_answers:
            raise SignalError(
                "triton_enable_empty_final_response asks for several answers; in ModelStreamInfer it would work"
            )
        with self._activity.tracing.inside(context.invocation_metadata() or ()):
            await self._respond(request, parameters, self._sequences, _owner(context), keep)
        return answers[0]

    @reads_itself
    async def ModelStreamInfer(  # noqa: N802
        self, request_iterator: object, context: grpc.aio.ServicerContext
    ) -> None:
        """Many requests, read from `context`: those of one sequence in their order, all others side by side."""
        sequences = self._table(MAX_OPEN_REQUESTS)
        try:
            with (
                self._activity.tracing.inside(context.invocation_metadata() or ()),
                Peer(context, pb.ModelInferRequest, self._options, self._admission.account) as peer,
            ):
                await StreamCall(peer, self._respond, _owner(context), self._options).run(sequences)
        except Exception as error:  # noqa: BLE001 - the call's outermost frame: every error becomes a status
            sequences.close(error)
            with self._admission.linger():
                await abort(context, "ModelStreamInfer", error, PACKAGE)
        finally:
            sequences.close()

    def _table(self, max_waiting: int) -> SequenceTable:
        return SequenceTable(self._scheduler, self._admission, self._activity, self._options, max_waiting)

    def close(self) -> None:
        """End the sequences that live from call to call."""
        self._sequences.close()

    async def _respond(
        self,
        request: pb.ModelInferRequest,
        parameters: Parameters,
        sequences: SequenceTable,
        owner: Owner,
        send: Send,
    ) -> None:
        """Answer a request, and count it; `send` takes each answer, and whether it is the last."""
        entry = self._entry(request, parameters, sequences, owner)
        max_bytes = self._options.max_message_bytes - MESSAGE_ROOM_BYTES
        started_ns = time.monotonic_ns()
        answered = False
        with entry.release.lease():
            try:
                if isinstance(entry, NetworkEntry):
                    with self._activity.evaluation(entry.name) as evaluation:
                        answer = await evaluate(
                            entry, request, parameters, self._turns, self._pool, evaluation, max_bytes
                        )
                    await send(answer, True)
                else:
                    await advance(entry, request, parameters, sequences, owner, send, max_bytes)
                answered = True
            finally:
                entry.counts.answered(started_ns, answered)

    def _entry(
        self, request: pb.ModelInferRequest, parameters: Parameters, sequences: SequenceTable, owner: Owner
    ) -> Entry:
        """What answers a request: a sequence goes on with the version that it was started with."""
        name, version = request.model_name, request.model_version
        if not parameters.sequence_start:
            entry = sequences.entry(owner, name, parameters.sequence_id)
            if entry is not None:
                check_version(name, version, entry.release)
                return entry
        return self._catalogue.find(name, version)


def _owner(context: grpc.aio.ServicerContext) -> Owner:
    return Owner(context.peer(), caller_of(context))
