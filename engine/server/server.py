"""The server's life: bind, serve, drain, stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, contextmanager
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from ...proto.v1 import wavetile_pb2 as pb
from ...proto.v1 import wavetile_pb2_grpc as pb_grpc
from ..errors import WavetileError
from ..session.capacity import Capacity
from ..session.scheduler import Scheduler
from . import inference
from .activity import Activity
from .admission import Admission
from .authorisation import Authorisation
from .channelz import add_channelz
from .drain import LEAVE_S, Drain
from .image_call import ImagePools
from .load_watch import LoadWatch
from .measured import measured_message_s
from .model_table import ModelTable
from .options import ServerOptions, join_address
from .parsing import Parsing
from .quotas import Accounts, Quotas
from .release import FIRST_VERSION, prepare
from .resume import Vault
from .served import Loaded, ModelKind, ModelRepository, ServedModel, ServedNetwork
from .service import StreamService
from .updates import Updates
from .web import Instruments, check_doors, open_doors

logger = logging.getLogger(__name__)

PLANNING_THREADS = 4
"""That open streams of images: plans that are there are found while others are made, of each model one at a time."""

SETTLE_S = 5.0
"""For the last snapshots of streams to be kept, where a store is slow or can not be reached."""

SERVICE_NAMES = (pb.DESCRIPTOR.services_by_name["StreamService"].full_name, inference.SERVICE_NAME)


class Server:
    """A gRPC server over `models` (name to model). Make, start and stop it on one event loop.

    `networks` are evaluated whole, for clients of the Open Inference Protocol. The models of `repository` are served
    besides, in versions that can change.
    """

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        options: ServerOptions | None = None,
        networks: Mapping[str, ServedNetwork] | None = None,
        repository: ModelRepository | None = None,
    ) -> None:
        self._options = options or ServerOptions()
        self._fixed = _by_name(models, networks or {})
        self._admission = Admission(self._options.max_streams)
        self._drain = Drain()
        self._activity = Activity({*models, *(networks or {})}, self._options.tracing)
        self._health = health.aio.HealthServicer()  # pyright: ignore[reportAttributeAccessIssue] - set by version
        self._repository = repository
        self._updates: Updates | None = None
        self._tasks: set[asyncio.Task[None]] = set()
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
    def models(self) -> ModelTable:
        """What is served, in which versions; there from `start` on."""
        return self._models

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
        measure = options.max_load > 0
        prepared = [
            prepare(name, FIRST_VERSION, loaded, threads=options.threads, measure=measure)
            for name, loaded in self._fixed.items()
        ]
        self._grpc = grpc.aio.server(
            interceptors=(authorisation, Parsing(self._admission)), options=options.channel_options()
        )
        self._scheduler = Scheduler(options.threads)
        self._models = ModelTable(self._scheduler, self._admission, self._activity)
        quotas = None if options.quotas is None else Quotas.read(options.quotas)
        self._admission.accounts = Accounts(quotas, PLANNING_THREADS - options.security.has_tokens)
        if measure:
            capacity = Capacity({}, options.threads, await measured_message_s())
            self._admission.limit_load(capacity, options.max_load)
        for one in prepared:
            self._models.install(one)
        await self._open_repository(measure)
        self._image_pool = ThreadPoolExecutor(options.threads, thread_name_prefix="wavetile-image")
        self._planning_pool = ThreadPoolExecutor(PLANNING_THREADS, thread_name_prefix="wavetile-planning")
        pools = ImagePools(self._image_pool, self._planning_pool)
        service = StreamService(
            self._models,
            self._scheduler,
            self._admission,
            pools,
            self._activity,
            self._vault,
            self._drain,
            options,
            self._updates,
        )
        pb_grpc.add_StreamServiceServicer_to_server(service, self._grpc)
        self._inference = inference.InferenceService(
            self._models,
            self._scheduler,
            self._admission,
            self._image_pool,
            self._activity,
            options,
            self._updates,
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
            self._go_on_with(LoadWatch(self._admission, self._scheduler).run())
        if self._updates is not None and options.watch_repository_s:
            self._go_on_with(self._updates.watch(options.watch_repository_s))
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        names = sorted(self._models.serving)
        about = {"event": "server_started", "models": names, "address": self.address}
        logger.info("serving %s on %s", ", ".join(names) or "no model", self.address, extra=about)

    def reread(self) -> None:
        """Look into the repository, if there is one, and serve what is new there. Returns at once."""
        if self._updates is not None:
            self._go_on_with(self._reread(self._updates))

    async def _reread(self, updates: Updates) -> None:
        try:
            await updates.reread()
        except OSError as error:
            logger.error("the model repository can not be read: %s", error)

    def _go_on_with(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this beside all else, until it ends or the server stops."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open_repository(self, measure: bool) -> None:
        if self._repository is None:
            return
        self._updates = Updates(self._repository, self._models, threads=self._options.threads, measure=measure)
        try:
            await self._updates.reread()
        except OSError as error:
            raise WavetileError(f"the model repository can not be read: {error}") from error

    async def _open_doors(self, authorisation: Authorisation) -> None:
        instruments = Instruments(
            models=self._models,
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
        """Refuse new streams, give the live ones notice and `grace_s` (default: the options') to end, then end them."""
        grace_s = self._options.stop_grace_s if grace_s is None else grace_s
        about = {"event": "server_stopping", "streams": self.live_streams, "seconds": grace_s}
        logger.info("stopping: %d live streams have %.1f s", self.live_streams, grace_s, extra=about)
        self._admission.drain()
        await self._health.enter_graceful_shutdown()
        # Until the streams have gone the port stays open: health checks and new streams get a clear answer.
        await self._grpc.stop(await self._drain.run(grace_s))
        await self._drain.emptied(LEAVE_S)
        for task in self._tasks:
            task.cancel()
        if self._updates is not None:
            self._updates.close()
        self._inference.close()
        await asyncio.to_thread(self._scheduler.stop)
        await self._vault.settle(SETTLE_S)
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


def _by_name(models: Mapping[str, ServedModel], networks: Mapping[str, ServedNetwork]) -> dict[str, Loaded]:
    """What is served under each name. Raises ValueError: it would be two things of one protocol."""
    for name in models.keys() & networks.keys():
        if models[name].describe().kind is not ModelKind.IMAGE:
            raise ValueError(f"a network and a stream are both called {name!r}; two names would work")
    return {
        name: Loaded(models.get(name), {name: networks[name]} if name in networks else {})
        for name in sorted({*models, *networks})
    }


async def serve(
    models: Mapping[str, ServedModel],
    options: ServerOptions | None = None,
    *,
    networks: Mapping[str, ServedNetwork] | None = None,
    repository: ModelRepository | None = None,
    on_started: Callable[[Server], None] | None = None,
) -> None:
    """Serve `models` and `networks` until SIGINT or SIGTERM, then stop gracefully; a second signal stops at once.

    SIGHUP rereads `repository`, if there is one.

    `on_started` is called once with the server when it listens. Raises WavetileError when the port can not be had.
    """
    server = Server(models, options, networks, repository)
    stop_asked = asyncio.Event()
    stop_at_once = asyncio.Event()

    def ask() -> None:
        (stop_at_once if stop_asked.is_set() else stop_asked).set()

    handlers = {signal.SIGINT: ask, signal.SIGTERM: ask}
    if repository is not None and hasattr(signal, "SIGHUP"):  # which Windows does not have
        handlers[signal.SIGHUP] = server.reread
    with _on_signals(handlers):
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
def _on_signals(handlers: Mapping[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    """Inside the context, signals call their handlers on the running loop."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        for number, handler in handlers.items():
            try:
                loop.add_signal_handler(number, handler)
                stack.callback(loop.remove_signal_handler, number)
            except NotImplementedError:  # the event loops of Windows have none
                before = signal.signal(number, lambda *_, handler=handler: loop.call_soon_threadsafe(handler))
                stack.callback(signal.signal, number, before)
        if hasattr(signal, "pthread_sigmask"):
            # A worker is started with some of them held back, for it could not handle them before.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, handlers)
        yield
