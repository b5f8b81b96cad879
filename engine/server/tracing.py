"""Spans of what a server does, for whoever collects traces; without a collector nothing is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Attributes = Mapping[str, str | int | float | bool]


class Span(Protocol):
    """Something that takes a while. Times are `time.monotonic_ns()`."""

    def part(self, name: str, started_ns: int, ended_ns: int, attributes: Attributes) -> None:
        """Add a part of it that is over."""
        ...

    def end(self, attributes: Attributes, error: str = "") -> None:
        """It is over; `error` says in a word what went wrong, if anything did."""
        ...


class Tracing(Protocol):
    """Where spans go."""

    def inside(self, metadata: Iterable[tuple[str, str | bytes]]) -> AbstractContextManager[object]:
        """Around a call with this metadata: spans that begin inside are parts of the client's trace (`traceparent`)."""
        ...

    def begin(self, name: str, attributes: Attributes) -> Span:
        """Begin a span."""
        ...

    def close(self) -> None:
        """Send what waits; may take a while."""
        ...


class NoTracing:
    """Makes nothing."""

    def inside(self, metadata: Iterable[tuple[str, str | bytes]]) -> AbstractContextManager[object]:
        """See `Tracing`."""
        return _NOTHING

    def begin(self, name: str, attributes: Attributes) -> Span:
        """See `Tracing`."""
        return NO_SPAN

    def close(self) -> None:
        """See `Tracing`."""


class _NoSpan:
    def part(self, name: str, started_ns: int, ended_ns: int, attributes: Attributes) -> None:
        pass

    def end(self, attributes: Attributes, error: str = "") -> None:
        pass


_NOTHING = nullcontext()
NO_SPAN: Span = _NoSpan()
