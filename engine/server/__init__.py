"""The gRPC server: streams in, results out, errors as status; knows no tensor arithmetic."""

from __future__ import annotations

from .options import ServerOptions, WebAddress
from .resume import ResumeOptions
from .security import Security
from .served import (
    Loaded,
    ModelDescription,
    ModelKind,
    ModelRepository,
    ServedModel,
    ServedNetwork,
    TensorDescription,
)
from .server import Server, serve
from .tracing import NoTracing, Tracing

__all__ = [
    "Loaded",
    "ModelDescription",
    "ModelKind",
    "ModelRepository",
    "NoTracing",
    "ResumeOptions",
    "Security",
    "ServedModel",
    "ServedNetwork",
    "Server",
    "ServerOptions",
    "TensorDescription",
    "Tracing",
    "WebAddress",
    "serve",
]
