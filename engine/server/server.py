"""The server's life: bind, serve, drain, stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, contextmanager

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from ...proto.v1 import wavetile_pb2 as pb
from ...proto.v1 import wavetile_pb2_grpc as pb_grpc
from ..errors import WavetileError
from ..session.scheduler import Scheduler
from . import inference
from .activity import Activity
from .admission import Admission
from .authorisation import Authorisation
from .channelz import add_channelz
from .image_call import ImagePools
from .load_watch import LoadWatch
from .measured import measured_capacity, measured_message_s
from .options import ServerOptions, join_address
from .parsing import Parsing
from .quotas import Accounts, Quotas
from .resume import Vault
from .served import ModelKind, ServedModel, ServedNetwork
from .service import StreamService
from .web import Instruments, check_doors, open_doors

logger = logging.getLogger(__name__)

PLANNING_THREADS = 4
"""That open streams of images: plans that are there are found while others are made, of each model one at a time."""

SERVICE_NAMES = (pb.DESCRIPTOR.services_by_name["StreamService"].full_name, inference.SERVICE_NAME)


class Server:
    """A gRPC server over `models` (name to model). Make, start and stop it on one event loop.

    `networks` are evaluated whole, for clients of the Open Inference Protocol.
    """

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        options: ServerOptions | None = None,
        networks: Mapping[str, ServedNetwork] | None = None,
    ) -> None:
        self._options = options or ServerOptions()
        self._models = dict(models)
        self._networks = dict(networks or {})
        self._admission = Admission(self._options.max_streams)
        self._activity = Activity({*models, *(networks or {})}, self._options.tracing)
        self._health = health.aio.HealthServicer()  # pyright: ignore[reportAttributeAccessIssue] - set by version
        self._watching: asyncio.Task[None] | None = None
        self._port = 0
        self._doors = AsyncExitStack()
        self._urls: dict[str, str] = {}

    @property
    def port(self) -> int:
        """The port that the server listens on; 0 before `start`."""
        return self._port

    @property
    def address(self) -> str:
        """host:port for a client."""
        return join_address(self._options.host, self._port)

    @property
    def live_streams(self) -> int:
        """How many streams are open."""
        return self._admission.live

    @property
    def urls(self) -> Mapping[str, str]:
        """Where "metrics" and "dashboard" are, if the options ask for them."""
        return self._urls

    @property
    def admission(self) -> Admission:
        """Who comes in, and the measured load."""
        return self._admission

    @property
    def activity(self) -> Activity:
        """The open streams, and what was refused and computed."""
        return self._activity

    async def start(self) -> None:
        """Make the executors, bind, and say SERVING. Raises WavetileError when the port or a file can not be had."""
        options = self._options
        options.security.check(options.host)
        check_doors(options)
        authorisation = options.security.authorisation(options.host)
        credentials = options.security.credentials()
        self._vault = Vault(options.resume)
        executors = {
            name: [served.executor() for _ in range(options.threads)]
            for name, served in self._models.items()
            if served.describe().kind is not ModelKind.IMAGE
        }
        self._grpc = grpc.aio.server(interceptors=(authorisation, Parsing()), options=options.channel_options())
        self._scheduler = Scheduler(executors, options.threads)
        quotas = None if options.quotas is None else Quotas.read(options.quotas)
        self._admission.accounts = Accounts(quotas, PLANNING_THREADS - options.security.has_tokens)
        if options.max_load:
            message_s = await measured_message_s()
            self._admission.limit_load(
                measured_capacity(self._models, executors, options.threads, message_s), options.max_load
            )
        self._image_pool = ThreadPoolExecutor(options.threads, thread_name_prefix="wavetile-image")
        self._planning_pool = ThreadPoolExecutor(PLANNING_THREADS, thread_name_prefix="wavetile-planning")
        pools = ImagePools(self._image_pool, self._planning_pool)
        service = StreamService(
            self._models, self._scheduler, self._admission, pools, self._activity, self._vault, options
        )
        pb_grpc.add_StreamServiceServicer_to_server(service, self._grpc)
        self._inference = inference.InferenceService(
            self._models,
            self._networks,
            self._scheduler,
            self._admission,
            self._image_pool,
            self._activity,
            options,
        )
        inference.add_to_server(self._inference, self._grpc)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        names = [*SERVICE_NAMES, health.SERVICE_NAME, reflection.SERVICE_NAME]
        files = [pb.DESCRIPTOR, health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR]
        if options.channelz:
            channelz = add_channelz(self._grpc)
            names.extend(service.full_name for service in channelz.services_by_name.values())
            files.append(channelz)
        reflection.enable_server_reflection(names, self._grpc, inference.reflection_pool(*files))
        self._port = self._bind(credentials)
        await self._open_doors(authorisation)
        self._scheduler.start()
        await self._grpc.start()
        if options.max_load:
            self._watching = asyncio.create_task(LoadWatch(self._admission, self._scheduler).run())
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        names = sorted({*self._models, *self._networks})
        about = {"event": "server_started", "models": names, "address": self.address}
        logger.info("serving %s on %s", ", ".join(names) or "no model", self.address, extra=about)

    async def _open_doors(self, authorisation: Authorisation) -> None:
        instruments = Instruments(
            models={name: served.describe() for name, served in self._models.items()},
            networks=tuple(self._networks),
            scheduler=self._scheduler,
            activity=self._activity,
            admission=self._admission,
            calls_refused=authorisation.refused,
            options=self._options,
            started_ns=time.monotonic_ns(),
        )
        doors = await open_doors(instruments, self._doors)
        self._urls = {name: door.url for name, door in doors.items()}

    async def stop(self, grace_s: float | None = None) -> None:
        """Refuse new streams, give the live ones `grace_s` (default: the options') to end, then end them."""
        grace_s = self._options.stop_grace_s if grace_s is None else grace_s
        about = {"event": "server_stopping", "streams": self.live_streams, "seconds": grace_s}
        logger.info("stopping: %d live streams have %.1f s", self.live_streams, grace_s, extra=about)
        self._admission.drain()
        await self._health.enter_graceful_shutdown()
        await self._grpc.stop(grace_s)
        if self._watching is not None:
            self._watching.cancel()
        self._inference.close()
        await asyncio.to_thread(self._scheduler.stop)
        self._vault.close()
        for pool in (self._image_pool, self._planning_pool):
            pool.shutdown(wait=False, cancel_futures=True)
        await self._doors.aclose()
        await asyncio.to_thread(self._options.tracing.close)
        logger.info("stopped", extra={"event": "server_stopped"})

    async def wait(self) -> None:
        """Return when the server has stopped."""
        await self._grpc.wait_for_termination()

    def _bind(self, credentials: grpc.ServerCredentials | None) -> int:
        address = join_address(self._options.host, self._options.port)
        reason = ""
        try:
            if credentials is None:
                port = self._grpc.add_insecure_port(address)
            else:
                port = self._grpc.add_secure_port(address, credentials)
        except RuntimeError as error:
            port, reason = 0, f": {error}"
        if port == 0:
            raise WavetileError(
                f"can not listen on {address}{reason}; is another server there? port 0 takes a free one"
            )
        return port

    async def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for service in ("", *SERVICE_NAMES):
            await self._health.set(service, status)


async def serve(
    models: Mapping[str, ServedModel],
    options: ServerOptions | None = None,
    *,
    networks: Mapping[str, ServedNetwork] | None = None,
    on_started: Callable[[Server], None] | None = None,
) -> None:
    """Serve `models` and `networks` until SIGINT or SIGTERM, then stop gracefully; a second signal stops at once.

    `on_started` is called once with the server when it listens. Raises WavetileError when the port can not be had.
    """
    server = Server(models, options, networks)
    stop_asked = asyncio.Event()
    stop_at_once = asyncio.Event()

    def ask() -> None:
        (stop_at_once if stop_asked.is_set() else stop_asked).set()

    with _on_stop_signals(ask):
        await server.start()
        if on_started is not None:
            on_started(server)
        await stop_asked.wait()
        stopping = asyncio.create_task(server.stop())
        hurried = asyncio.create_task(stop_at_once.wait())
        await asyncio.wait({stopping, hurried}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            await server.stop(grace_s=0)
        hurried.cancel()
        await stopping


@contextmanager
def _on_stop_signals(ask: Callable[[], None]) -> Iterator[None]:
    """Inside the context, SIGINT and SIGTERM call `ask` on the running loop."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, ask)
                stack.callback(loop.remove_signal_handler, number)
            except NotImplementedError:  # the event loops of Windows have none
                before = signal.signal(number, lambda *_: loop.call_soon_threadsafe(ask))
                stack.callback(signal.signal, number, before)
        yield
