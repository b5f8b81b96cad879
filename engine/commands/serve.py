"""Serve models over gRPC until interrupted.

Streams are served by wavetile.v1 and, as sequences, by the Open Inference Protocol (KServe v2) that Triton's clients
speak; networks are evaluated whole by the latter, a bare one (.onnx) under its name, a stream's under MODEL.network.
Without a model, all known ones are served whose weights are here; the weights of those that are named are fetched if
need be. --repository serves models in versions from a folder instead, or besides: of each the highest version that can
be served. SIGHUP has the folder read again, and administrators can load and unload its models: new streams then get the
new version, and those that are open stay with theirs. The first start on a machine compiles the kernels; later ones
load them. When the server can be used, a line "ready on HOST:PORT" goes to standard output.
"""

from __future__ import annotations

import argparse
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from .arguments import above_zero, listening, memory, port, positive, share, zero_or_more

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ..models.description import ModelDescription
    from ..server import ResumeOptions, Security, ServerOptions, Tracing
    from .repository import FolderRepository

NAME = "serve"
DASHBOARD_PORT = 50080
METRICS_PORT = 9464  # what OpenTelemetry's exporters for Prometheus use
SUMMARY = "serve models over gRPC"
SWITCH_INTERVAL_S = 0.0005
"""What a compute thread waits at most for Python's lock while messages are handled; Python's own 5 ms are a third of a
hop, twice a batch."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Models, where to listen, and limits."""
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="a model's name, or the path of a card (.toml) or network (.onnx)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine)")
    parser.add_argument("--port", type=port, default=50051, help="default: %(default)s; 0 takes a free one")
    parser.add_argument("--max-streams", type=positive, default=1024, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--max-load", type=share, default=0.7, metavar="SHARE",
        help="take streams up to this share of what can be computed in time, as measured (default: 0.7); 0: any number",
    )  # fmt: skip
    parser.add_argument(
        "--quotas", type=Path, metavar="FILE", help="what each caller may take: streams, bytes a second (TOML)"
    )
    parser.add_argument("--threads", type=positive, default=1, metavar="N", help="compute threads (default: 1)")
    parser.add_argument(
        "--workers", type=positive, default=1, metavar="N",
        help="processes that share the port, each with its own models, threads, streams and limits; the pages of "
        "--metrics and --dashboard are on a port each, from the given one on (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--backend", default="cpu",
        help="cpu; cuda, an NVIDIA card (extra `cuda`); or reference: plain NumPy, slow (default: cpu)",
    )  # fmt: skip
    parser.add_argument(
        "--device-memory", type=memory, metavar="BYTES",
        help="with --backend cuda: what the models of each worker may take of the card, such as 8G "
        "(default: the environment's WAVETILE_DEVICE_MEMORY, or a share of what is free)",
    )  # fmt: skip
    parser.add_argument(
        "--slow-client-timeout", type=above_zero, default=60.0, metavar="S",
        help="end streams whose results nobody reads for S seconds (default: 60)",
    )  # fmt: skip
    parser.add_argument(
        "--stop-grace", type=zero_or_more, default=5.0, metavar="S",
        help="live streams may go on for S seconds after a stop was asked for, of which they are told (default: 5)",
    )  # fmt: skip
    _add_repository(parser)
    _add_security(parser)
    _add_seeing(parser)
    _add_resume(parser)
    parser.add_argument("--verbose", action="store_true", help="log every stream")
    parser.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="lines for people, or JSON (default: text)"
    )


def _add_repository(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("versions", "models that can be changed while they are served")
    group.add_argument(
        "--repository", type=Path, metavar="DIR",
        help="a folder of models: DIR/NAME/VERSION/ holds a card (.toml) or a network (.onnx), VERSION being 1, 2, ...",
    )  # fmt: skip
    group.add_argument(
        "--watch", type=above_zero, default=0.0, metavar="S",
        help="look into it every S seconds, and serve what is new there and no longer being written (default: only at "
        "SIGHUP, and where administrators ask for it)",
    )  # fmt: skip


def _add_security(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("security", "what a server needs that listens beyond this machine")
    group.add_argument("--tls-cert", type=Path, metavar="FILE", help="the server's certificate (PEM, with its chain)")
    group.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key (PEM, for the server's eyes only)")
    group.add_argument(
        "--client-ca", type=Path, metavar="FILE", help="ask clients for certificates of these authorities"
    )
    group.add_argument("--tokens", type=Path, metavar="FILE", help="ask for bearer tokens; `wavetile token` makes them")
    group.add_argument("--jwks", type=Path, metavar="FILE", help="take web tokens (JWT) that these public keys verify")
    group.add_argument("--jwt-audience", default="", metavar="NAME", help="of web tokens that are for this server")
    group.add_argument("--jwt-issuer", default="", metavar="NAME", help="of the web tokens to take")
    group.add_argument(
        "--insecure", action="store_true", help="listen beyond this machine in the clear, or without asking who calls"
    )


def _add_seeing(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("seeing it", "what shows how the server does, under the same security")
    group.add_argument(
        "--dashboard", type=listening, nargs="?", const=("127.0.0.1", DASHBOARD_PORT), metavar="[HOST:]PORT",
        help="a page in the browser: streams, latencies, load, signals as they pass "
        f"(extra `dashboard`; default port: {DASHBOARD_PORT})",
    )  # fmt: skip
    group.add_argument(
        "--metrics", type=listening, nargs="?", const=("127.0.0.1", METRICS_PORT), metavar="[HOST:]PORT",
        help=f"/metrics for Prometheus (extra `metrics`; default port: {METRICS_PORT})",
    )  # fmt: skip
    group.add_argument(
        "--traces", action="store_true",
        help="send OpenTelemetry's traces where its environment variables say, such as OTEL_EXPORTER_OTLP_ENDPOINT "
        "(extra `telemetry`)",
    )  # fmt: skip
    group.add_argument(
        "--channelz", action="store_true", help="let administrators ask gRPC for its connections (extra `channelz`)"
    )


def _add_resume(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("resuming", "streams that outlive their connections and their servers")
    group.add_argument(
        "--resume-for", type=zero_or_more, default=60.0, metavar="S",
        help="keep streams that ask for it for S seconds after they broke off (default: 60; 0: not at all)",
    )  # fmt: skip
    group.add_argument(
        "--snapshots", default="", metavar="PLACE",
        help="where: a folder, or redis://HOST:PORT/N, that several servers may share (default: this server's memory)",
    )  # fmt: skip
    group.add_argument(
        "--snapshot-key", type=Path, metavar="FILE", help="what seals them, for the eyes of servers that share them"
    )
    group.add_argument(
        "--snapshot-interval", type=above_zero, default=1.0, metavar="S",
        help="seconds of signal from one to the next (default: 1)",
    )  # fmt: skip


def execute(options: argparse.Namespace) -> int:
    """Load, compile, serve: here, or in several processes."""
    from .console import notices, output

    def announce(address: str) -> None:
        notices().print("Ctrl-C stops; a second one stops at once", style="dim")
        output().print(f"ready on {address}", soft_wrap=True)

    _configure_log(options)
    _bound_device_memory(options)
    _security(options).check(options.host)  # before the models, which may take minutes
    _resume(options).check()
    _check_repository(options)
    if options.workers == 1:
        return _serve(options, announce)
    from ..server.options import join_address
    from .warmup import warm_up_visibly
    from .workers import Workers, check_pages, shared_port

    check_pages(options)
    if options.backend == "cpu":
        warm_up_visibly()  # once, and not in each of them
    with shared_port(options.host, options.port) as shared, _shared_snapshots(options):
        options.port = shared
        return Workers(_configure_log, _serve, options).run(lambda: announce(join_address(options.host, shared)))


@contextmanager
def _shared_snapshots(options: argparse.Namespace) -> Iterator[None]:
    """A place for snapshots that all workers share, where none was named: who comes back may get to any of them."""
    if options.snapshots or not options.resume_for:
        yield
        return
    with TemporaryDirectory(prefix="wavetile-") as folder:  # for this user's eyes
        options.snapshots = str(Path(folder, "snapshots"))
        if options.snapshot_key is None:
            options.snapshot_key = Path(folder, "key")
            options.snapshot_key.touch(mode=0o600)
            options.snapshot_key.write_text(secrets.token_hex(32))
        yield


def _bound_device_memory(options: argparse.Namespace) -> None:
    """Bound what models may take of a card, by the environment: for workers, too."""
    from ...kernels.cuda.budget import MEMORY_VARIABLE
    from ..errors import WavetileError

    if options.device_memory is None:
        return
    if options.backend != "cuda":
        raise WavetileError(
            f"--device-memory is of a card, and the back end is {options.backend}; --backend cuda besides would work"
        )
    os.environ[MEMORY_VARIABLE] = options.device_memory


def _check_repository(options: argparse.Namespace) -> None:
    from ..errors import WavetileError

    if options.watch and options.repository is None:
        raise WavetileError("--watch without a folder to watch; --repository DIR besides would work")
    if options.repository is not None and not options.repository.is_dir():
        raise WavetileError(f"--repository {options.repository} is no folder; one with a folder a model would work")


def _configure_log(options: argparse.Namespace) -> None:
    import logging

    from .log_lines import configure_log

    configure_log(options.log_format, logging.INFO if options.verbose else logging.WARNING)
    # Which version of a model serves is news that whoever has changed it waits for.
    logging.getLogger("wavetile.engine.server.updates").setLevel(logging.INFO)


def _security(options: argparse.Namespace) -> Security:
    from ..server import Security

    return Security(
        tls_cert=options.tls_cert,
        tls_key=options.tls_key,
        client_ca=options.client_ca,
        tokens=options.tokens,
        jwks=options.jwks,
        jwt_audience=options.jwt_audience,
        jwt_issuer=options.jwt_issuer,
        insecure=options.insecure,
    )


def _resume(options: argparse.Namespace) -> ResumeOptions:
    from ..server import ResumeOptions

    return ResumeOptions(
        resume_for_s=options.resume_for,
        interval_s=options.snapshot_interval,
        store=options.snapshots,
        key=options.snapshot_key,
    )


def _serve(options: argparse.Namespace, on_ready: Callable[[str], None]) -> int:
    """Serve from this process until it is asked to stop; `on_ready` takes the address."""
    import asyncio
    import gc
    import sys

    from ..server import Server, serve
    from ..server.web import check_doors
    from .console import notices

    server_options = _server_options(options)
    check_doors(server_options)
    models, networks = _load(options)

    def announce(server: Server) -> None:
        # What is loaded by now stays: the garbage collector need not look through it again and again.
        gc.collect()
        gc.freeze()
        for name, url in server.urls.items():
            notices().print(f"{name} on {url}", soft_wrap=True)
        on_ready(server.address)

    sys.setswitchinterval(SWITCH_INTERVAL_S)
    serving = serve(models, server_options, networks=networks, repository=_repository(options), on_started=announce)
    with asyncio.Runner(loop_factory=_event_loop()) as runner:
        runner.run(serving)
    return 0


def _repository(options: argparse.Namespace) -> FolderRepository | None:
    if options.repository is None:
        return None
    from .repository import FolderRepository

    return FolderRepository(options.repository, backend=options.backend, threads=options.threads)


def _server_options(options: argparse.Namespace) -> ServerOptions:
    from ... import __version__
    from ..server import NoTracing, ServerOptions, WebAddress

    return ServerOptions(
        host=options.host,
        port=options.port,
        shares_port=options.workers > 1,
        threads=options.threads,
        max_streams=options.max_streams,
        max_load=options.max_load,
        quotas=options.quotas,
        version=__version__,
        slow_client_timeout_s=options.slow_client_timeout,
        stop_grace_s=options.stop_grace,
        security=_security(options),
        resume=_resume(options),
        channelz=options.channelz,
        tracing=_tracing(__version__) if options.traces else NoTracing(),
        dashboard=options.dashboard and WebAddress(*options.dashboard),
        metrics=options.metrics and WebAddress(*options.metrics),
        watch_repository_s=options.watch,
    )


def _tracing(version: str) -> Tracing:
    from ..server.telemetry import from_environment

    return from_environment(version)


def _event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's event loop, which spends less on a message, where the extra `uvloop` is installed; else Python's own."""
    import importlib
    from importlib.util import find_spec

    return None if find_spec("uvloop") is None else importlib.import_module("uvloop").new_event_loop


def _load(options: argparse.Namespace) -> tuple[dict, dict]:
    """The models to serve by name, their streams compiled, and the networks to evaluate; says which."""
    from ..errors import ModelError
    from ..models.card import card_names
    from .console import notices
    from .served import evaluated, served
    from .warmup import warm_up_visibly
    from .weights import load_visibly, names_here

    known = not options.models and options.repository is None
    names = names_here() if known else options.models
    if known and not names:
        raise ModelError(
            f"no weights are here of any known model ({', '.join(card_names())}); `wavetile models pull` fetches them, "
            "and `wavetile serve MODEL` fetches those of one"
        )
    if options.backend == "cpu":
        warm_up_visibly()
    models, networks = {}, {}
    for name in names:
        model = load_visibly(name, backend=options.backend, threads=options.threads)
        about = model.describe()
        found = evaluated(model)
        if (models.keys() | networks.keys()) & {about.name, *found}:
            raise ModelError(f"two models are called {about.name!r}; leave one out")
        networks.update(found)
        if model.card is not None:
            models[about.name] = served(model)
        notices().print(f"{about.name}: {_cost(about)}, {model.backend}")
    if known and (missing := [name for name in card_names() if name not in names]):
        notices().print(f"not here: {', '.join(missing)}; `wavetile models pull` fetches them", style="dim")
    return models, networks


def _cost(about: ModelDescription) -> str:
    """What a step, an image or an evaluation costs, where that does not follow from shapes that clients choose."""
    from .console import in_count

    if not about.multiply_adds and about.kind in ("network", "image"):
        return "inputs of any size" if about.kind == "network" else "images of any size"
    unit = "an evaluation" if about.kind == "network" else "a step"
    return f"{in_count(about.multiply_adds)} multiply-adds {unit}"
