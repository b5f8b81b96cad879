"""Spans by OpenTelemetry, set up by its standard environment variables."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from ..errors import WavetileError
from .tracing import Attributes, Span

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span as OpenSpan

EXPORTERS = "opentelemetry_traces_exporter"
"""Where packages say which exporters they have."""
_PROTOCOLS = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}


class OpenTelemetry:
    """`Tracing` with the tracers of `provider`, whose sampler decides what is kept."""

    def __init__(self, provider: TracerProvider, version: str = "") -> None:
        self._provider = provider
        self._closed = False
        self._tracer = provider.get_tracer("wavetile", version)

    def inside(self, metadata: Iterable[tuple[str, str | bytes]]) -> AbstractContextManager[object]:
        """See `Tracing`."""
        return _inside({key: value for key, value in metadata if isinstance(value, str)})

    def begin(self, name: str, attributes: Attributes) -> Span:
        """See `Tracing`."""
        from opentelemetry.trace import SpanKind

        return _Recorded(self, self._tracer.start_span(name, kind=SpanKind.SERVER, attributes=attributes))

    def add(self, parent: OpenSpan, name: str, started_ns: int, ended_ns: int, attributes: Attributes) -> None:
        """A span that is over, below `parent`."""
        from opentelemetry.trace import set_span_in_context

        clock_ns = time.time_ns() - time.monotonic_ns()
        within = set_span_in_context(parent)
        span = self._tracer.start_span(name, within, attributes=attributes, start_time=clock_ns + started_ns)
        span.end(clock_ns + ended_ns)

    def close(self) -> None:
        """See `Tracing`."""
        if not self._closed:
            self._closed = True
            self._provider.shutdown()


class _Recorded:
    def __init__(self, tracing: OpenTelemetry, span: OpenSpan) -> None:
        self._tracing = tracing
        self._span = span

    def part(self, name: str, started_ns: int, ended_ns: int, attributes: Attributes) -> None:
        if self._span.is_recording():
            self._tracing.add(self._span, name, started_ns, ended_ns, attributes)

    def end(self, attributes: Attributes, error: str = "") -> None:
        from opentelemetry.trace import Status, StatusCode

        if self._span.is_recording():
            self._span.set_attributes(dict(attributes))
            if error:
                self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end()


@contextmanager
def _inside(carrier: dict[str, str]) -> Iterator[None]:
    from opentelemetry import context, propagate

    token = context.attach(propagate.extract(carrier))
    try:
        yield
    finally:
        context.detach(token)


def from_environment(version: str) -> OpenTelemetry:
    """As the environment says: OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_*, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME ...

    Raises WavetileError when the packages, or the exporter that is asked for, are not installed.
    """
    try:
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise WavetileError("traces need OpenTelemetry (pip install 'wavetile[telemetry]')") from error
    # What the environment says comes before these.
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    about = {SERVICE_VERSION: version} if named else {SERVICE_NAME: "wavetile", SERVICE_VERSION: version}
    provider = TracerProvider(resource=Resource.create(about))
    for name in os.environ.get("OTEL_TRACES_EXPORTER", "otlp").split(","):
        if name.strip() not in ("", "none"):
            provider.add_span_processor(BatchSpanProcessor(_exporter(name.strip())()))
    return OpenTelemetry(provider, version)


def _exporter(name: str) -> type:
    """The exporter of this name. Raises WavetileError."""
    if name == "otlp":
        protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        if (protocol or "grpc") not in _PROTOCOLS:
            raise WavetileError(f"OTLP over {protocol!r} is not known; {' or '.join(_PROTOCOLS)} would work")
        name = _PROTOCOLS[protocol or "grpc"]
    known = {one.name: one for one in entry_points(group=EXPORTERS)}
    if name not in known:
        names = ", ".join(sorted(known)) or "none; pip install 'wavetile[telemetry]' brings some"
        raise WavetileError(f"no exporter of traces is called {name!r}; there are: {names}")
    return known[name].load()
