"""Who calls, what that permits, and which permission each method asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import grpc


class Permission(Enum):
    """What a caller may do; none of them includes another."""

    STREAM = "stream"
    INFER = "infer"
    ADMINISTER = "administer"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whom the server knows: `name` is for the log."""

    name: str
    permissions: frozenset[Permission]


current_caller: ContextVar[Caller | None] = ContextVar("current_caller", default=None)
"""Whose call this is: set by the interceptor, before the call's handler runs in the same task."""


def caller_of(context: grpc.aio.ServicerContext) -> str:
    """Who calls, by token and certificate: what one caller has begun, the same alone goes on with."""
    caller = current_caller.get()
    identities = context.peer_identities() or ()
    digest = hashlib.sha256(repr(sorted(bytes(identity) for identity in identities)).encode()).hexdigest()
    return f"{caller.name if caller else ''} {digest}"


class TokenVerifier(Protocol):
    """Knows the callers of one kind of bearer tokens."""

    def caller(self, token: str) -> Caller | None:
        """Whose token this is; None: it is none of these, or not valid now. Never raises, whatever the token is."""
        ...


class Requirement(Enum):
    """What a method asks for where it asks for no permission."""

    NOTHING = "nothing"
    ANY_CALLER = "any caller"


_STREAMS = "wavetile.v1.StreamService"
_INFERENCE = "inference.GRPCInferenceService"
_HEALTH = "grpc.health.v1.Health"

METHODS: Mapping[str, Permission | Requirement] = {
    f"/{_STREAMS}/Stream": Permission.STREAM,
    f"/{_STREAMS}/ListModels": Requirement.ANY_CALLER,
    f"/{_STREAMS}/DescribeModel": Requirement.ANY_CALLER,
    # What load balancers and orchestrators ask, which have no token. Watch holds a call open: it is not among them.
    f"/{_HEALTH}/Check": Requirement.NOTHING,
    f"/{_HEALTH}/List": Requirement.ANY_CALLER,
    f"/{_HEALTH}/Watch": Requirement.ANY_CALLER,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Requirement.ANY_CALLER,
    f"/{_INFERENCE}/ServerLive": Requirement.NOTHING,
    f"/{_INFERENCE}/ServerReady": Requirement.NOTHING,
    f"/{_INFERENCE}/ModelReady": Requirement.ANY_CALLER,
    f"/{_INFERENCE}/ServerMetadata": Requirement.ANY_CALLER,
    f"/{_INFERENCE}/ModelMetadata": Requirement.ANY_CALLER,
    f"/{_INFERENCE}/ModelConfig": Requirement.ANY_CALLER,
    f"/{_INFERENCE}/ModelStatistics": Requirement.ANY_CALLER,
    f"/{_INFERENCE}/RepositoryIndex": Requirement.ANY_CALLER,
    f"/{_INFERENCE}/RepositoryModelLoad": Permission.ADMINISTER,
    f"/{_INFERENCE}/RepositoryModelUnload": Permission.ADMINISTER,
    f"/{_INFERENCE}/ModelInfer": Permission.INFER,
    f"/{_INFERENCE}/ModelStreamInfer": Permission.INFER,
}


def requirement(method: str) -> Permission | Requirement:
    """What the method `/service/name` asks for; one that is not listed is the administrators', until it is."""
    return METHODS.get(method, Permission.ADMINISTER)
