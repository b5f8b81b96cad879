"""The server's settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from .resume.options import ResumeOptions
from .security import Security
from .tracing import NoTracing, Tracing

DEFAULT_PORT = 50051


class WebAddress(NamedTuple):
    """Where to listen for HTTP; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return join_address(self.host, self.port)


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where the server listens and what it allows. The defaults listen on this machine alone."""

    host: str = "127.0.0.1"
    # 0 lets the system choose; `Server.port` says which.
    port: int = DEFAULT_PORT
    # Other servers may listen on the same port; the system shares connections out among them.
    shares_port: bool = False
    # Compute threads; each model gets as many executors.
    threads: int = 1
    max_streams: int = 1024
    max_channels: int = 8
    # The share of what can be computed in time that streams are let in for; 0: any number, in time or not.
    max_load: float = 0.7
    # What each caller may take; see `Quotas`.
    quotas: Path | None = None
    # Of one message, in either direction.
    max_message_bytes: int = 16 * 1024 * 1024
    # What one image may keep between the tiles, rows or slices that it comes in; and what computing one of them, or a
    # whole image, may need.
    max_image_bytes: int = 1024 * 1024 * 1024
    # Of one connection; a client that asks for more waits until one of its own ends.
    max_streams_per_connection: int = 1024
    # Of one call's headers, a bearer token among them.
    max_metadata_bytes: int = 16 * 1024
    # Computed frames of one stream that may wait for its reader before the stream is not computed on.
    max_pending_frames: int = 32
    # A call must send its config within this time.
    config_timeout_s: float = 10.0
    # A stream ends whose client does not take a result within this time. Where a line is too slow for the largest one,
    # smaller messages work.
    slow_client_timeout_s: float = 60.0
    # So does one whose client sends nothing for this time.
    idle_timeout_s: float = 3600.0
    # The program's own, told to who asks what the server is.
    version: str = ""
    # Whole evaluations of networks that may wait for a compute thread.
    max_queued_evaluations: int = 64
    # A sequence of the Open Inference Protocol that sends nothing for this time is ended.
    sequence_idle_s: float = 60.0
    # A peer that says nothing is pinged after this time, and given up when it does not answer.
    keepalive_time_s: float = 20.0
    keepalive_timeout_s: float = 10.0
    # What a client may send ahead on one stream before gRPC makes it wait.
    window_bytes: int = 256 * 1024
    # Live streams may go on for this long after a stop is asked for.
    stop_grace_s: float = 5.0
    # Where to answer scrapes of Prometheus, and where to show the dashboard's page; None: nowhere.
    metrics: WebAddress | None = None
    dashboard: WebAddress | None = None
    # Where spans of streams and evaluations go.
    tracing: Tracing = field(default_factory=NoTracing)
    # Whether administrators can ask gRPC itself for its connections and calls (grpc.channelz.v1).
    channelz: bool = False
    # How often to look for new versions of models in the repository; 0: only when asked to.
    watch_repository_s: float = 0.0
    # Streams that ask for it can be resumed.
    resume: ResumeOptions = field(default_factory=ResumeOptions)
    # Who the server is, and who may call it.
    security: Security = field(default_factory=Security)

    def channel_options(self) -> list[tuple[str, int]]:
        """The same as gRPC's channel arguments."""
        return [
            ("grpc.max_receive_message_length", self.max_message_bytes),
            ("grpc.max_send_message_length", self.max_message_bytes),
            ("grpc.max_concurrent_streams", self.max_streams_per_connection),
            # gRPC refuses what passes the first limit by chance, the more of it the nearer it is to the second.
            ("grpc.max_metadata_size", self.max_metadata_bytes),
            ("grpc.absolute_max_metadata_size", self.max_metadata_bytes),
            # A connection that says nothing, not even its part of TLS.
            ("grpc.server_handshake_timeout_ms", int(self.config_timeout_s * 1000)),
            ("grpc.keepalive_time_ms", int(self.keepalive_time_s * 1000)),
            ("grpc.keepalive_timeout_ms", int(self.keepalive_timeout_s * 1000)),
            ("grpc.http2.min_ping_interval_without_data_ms", 5000),
            # A fixed window: gRPC's own estimate lets every stream of a fast client grow to megabytes.
            ("grpc.http2.bdp_probe", 0),
            ("grpc.http2.lookahead_bytes", self.window_bytes),
            ("grpc.enable_channelz", int(self.channelz)),
            # Unless asked for, a second server on the same port is an error, not a silent sharer of its connections.
            ("grpc.so_reuseport", int(self.shares_port)),
        ]


def join_address(host: str, port: int) -> str:
    """host:port, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
