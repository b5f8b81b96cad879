"""wavetile.v1.StreamService: admits streams, hands each to its call, and turns errors into gRPC status."""

from __future__ import annotations

import logging
from contextlib import ExitStack

import grpc

from ...proto.v1 import wavetile_pb2 as pb
from ...proto.v1 import wavetile_pb2_grpc as pb_grpc
from ..errors import SignalError
from ..session.scheduler import Scheduler
from .activity import Activity, OpenStream
from .admission import Admission
from .drain import Drain
from .image_call import ImageCall, ImagePools
from .messages import description_message, summary_message
from .model_table import ModelTable
from .options import ServerOptions
from .parsing import reads_itself
from .peer import Peer
from .release import Release
from .resume import Vault, resumption
from .served import ModelDescription, ModelKind
from .signal_call import SignalCall
from .status import CannotResumeError, ConfigTimeoutError, OrderError, abort
from .updates import Updates

logger = logging.getLogger(__name__)

PACKAGE = "wavetile.v1"

_SIGNAL_FIELDS = {ModelKind.AUDIO: "audio", ModelKind.FEATURES: "features", ModelKind.IMAGE: "image"}


class StreamService(pb_grpc.StreamServiceServicer):
    """The public service over the models of a table."""

    def __init__(  # noqa: PLR0913 - what its calls need of the server
        self,
        models: ModelTable,
        scheduler: Scheduler,
        admission: Admission,
        image_pools: ImagePools,
        activity: Activity,
        vault: Vault,
        drain: Drain,
        options: ServerOptions,
        updates: Updates | None,
    ) -> None:
        self._vault = vault
        self._updates = updates
        self._drain = drain
        self._models = models
        self._scheduler = scheduler
        self._admission = admission
        self._image_pools = image_pools
        self._activity = activity
        self._options = options

    @reads_itself
    async def Stream(  # noqa: N802 - the service definition's name
        self, request_iterator: object, context: grpc.aio.ServicerContext
    ) -> None:
        """One live signal; requests are read from `context`."""
        stream = self._activity.stream(PACKAGE)
        with ExitStack() as drained:  # until the client has been told how its stream has ended
            try:
                with (
                    self._activity.tracing.inside(context.invocation_metadata() or ()),
                    stream.counted(),
                    Peer(context, pb.StreamRequest, self._options, self._admission.account) as peer,
                ):
                    await self._serve(stream, context, peer, drained)
            except grpc.aio.InternalError:  # reading or writing failed, before the cancellation has come
                return
            except Exception as error:  # noqa: BLE001 - the call's outermost frame: every error becomes a status
                with self._admission.linger():
                    await abort(context, f"stream {stream.stream_id}", error, PACKAGE)

    async def ListModels(  # noqa: N802 - the service definition's name
        self, request: pb.ListModelsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListModelsResponse:
        """The served models, sorted by name."""
        return pb.ListModelsResponse(
            models=[summary_message(name, one.version, one.description) for name, one in self._models.streams.items()]
        )

    async def DescribeModel(  # noqa: N802 - the service definition's name
        self, request: pb.DescribeModelRequest, context: grpc.aio.ServicerContext
    ) -> pb.DescribeModelResponse:
        """One model's description."""
        try:
            release = self._models.find(request.model, request.model_version)
            message = description_message(request.model, release.version, release.description)
            return pb.DescribeModelResponse(model=message)
        except Exception as error:  # noqa: BLE001 - the call's outermost frame: every error becomes a status
            await abort(context, "DescribeModel", error, PACKAGE)

    async def _serve(
        self, stream: OpenStream, context: grpc.aio.ServicerContext, peer: Peer, drained: ExitStack
    ) -> None:
        config = await self._read_config(peer)
        if config.HasField("resume"):
            release = self._models.last(config.model)
        else:
            release = self._models.find(config.model, config.model_version)
        stream.model, stream.model_version, stream.kind = config.model, release.version, release.description.kind
        _check_signal(config, release.description)
        with self._admission.admit() as seat:
            stream.admitted(context.peer())
            kept = None
            if stream.kind is not ModelKind.IMAGE:
                kept = await resumption(self._vault, config, context)
            elif config.resumable or config.HasField("resume"):
                raise SignalError(f"model {config.model!r} takes images, whose streams can not be resumed")
            if kept is not None and kept.model_version is not None:  # a resumed stream: nothing else has waited so far
                release = await self._own_version(config.model, kept.model_version)
                stream.model_version = release.version
            with release.lease():
                if stream.kind is ModelKind.IMAGE:
                    call = ImageCall(peer, stream, config, release, self._image_pools, seat.account, self._options)
                else:
                    call = SignalCall(peer, stream, config, release, self._scheduler, seat, self._options, kept)
                drained.enter_context(self._drain.member(call))
                await call.run()

    async def _own_version(self, model: str, version: str) -> Release:
        """The version that a stream goes on with. Raises CannotResumeError."""
        kept = self._models.kept(model, version)
        if kept is not None:
            return kept
        if self._updates is None:
            raise CannotResumeError(f"the stream was on version {version} of model {model!r}, which is not here")
        return await self._updates.version_for(model, version)

    async def _read_config(self, peer: Peer) -> pb.StreamConfig:
        timeout_s = self._options.config_timeout_s
        try:
            request = await peer.read_within(timeout_s)
        except TimeoutError:
            raise ConfigTimeoutError(
                f"no config within {timeout_s:g} s; a stream's first message is its config"
            ) from None
        if not isinstance(request, pb.StreamRequest):
            raise OrderError("the stream ended before its config; a stream's first message is its config")
        field = request.WhichOneof("request")
        if field != "config":
            raise OrderError(f"the first message holds {field or 'nothing'!r}; a stream's first message is its config")
        return request.config


def _check_signal(config: pb.StreamConfig, description: ModelDescription) -> None:
    expected = _SIGNAL_FIELDS[description.kind]
    field = config.WhichOneof("signal")
    if field != expected:
        raise SignalError(f"the config's signal is {field or 'missing'!r}; model {config.model!r} takes {expected!r}")
