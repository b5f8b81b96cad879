"""Triton's control of a model repository: what there is, in which state, and what a request to change it asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from ....proto.inference.v2 import inference_pb2 as pb
from ...errors import SignalError
from ..options import ServerOptions
from ..status import RefusedError, quoted
from ..updates import Updates, VersionState
from .catalogue import Catalogue

READY = "READY"
UNLOADING = "UNLOADING"
UNAVAILABLE = "UNAVAILABLE"

_POLICIES = 'as {"version_policy": {"specific": {"versions": [3]}}} or {"version_policy": {"latest": {}}} it would work'


def repository_index(catalogue: Catalogue, updates: Updates | None, draining: bool) -> Iterator[VersionState]:
    """All versions that are served or could be; `draining`: the server takes nothing new."""
    for entry in catalogue.entries:
        state, reason = (UNAVAILABLE, "the server is stopping") if draining else (READY, "")
        yield VersionState(entry.name, entry.release.version, state, reason)
    for entry in catalogue.draining:
        reason = f"{entry.release.leases} streams or requests go on until they end"
        yield VersionState(entry.name, entry.release.version, UNLOADING, reason)
    if updates is not None:
        yield from updates.idle()


def changeable(updates: Updates | None, options: ServerOptions) -> Updates:
    """What changes models here. Raises RefusedError: clients do not, on this server."""
    if updates is None:
        raise RefusedError(
            "models are chosen by who starts the server; clients neither load nor unload them, "
            "but where it has a repository"
        )
    if options.shares_port:
        raise RefusedError(
            "this server is several processes, of which one alone would hear this; a change in the repository's folder "
            "and SIGHUP would work"
        )
    return updates


def wanted_version(parameters: Mapping[str, pb.ModelRepositoryParameter]) -> int | None:
    """The version that a load asks for; None: the highest. Raises SignalError."""
    _check_names(parameters, "config", "string_param")
    if "config" not in parameters:
        return None
    try:
        config = json.loads(parameters["config"].string_param)
    except (ValueError, RecursionError):
        raise SignalError(f"config is no JSON; {_POLICIES}") from None
    match config:
        case {"version_policy": {"specific": {"versions": [int(version)], **more}, **others}, **rest} if (
            version is not True
        ):
            unknown = {**more, **others, **rest}
        case {"version_policy": {"latest": dict(latest), **others}, **rest}:
            version = None
            unknown = {**latest, **others, **rest}
            if unknown.get("num_versions") == 1:
                del unknown["num_versions"]
        case _:
            raise SignalError(f"config asks for something else than one version; {_POLICIES}")
    if unknown:
        raise SignalError(f"config has {quoted(min(unknown))}, which is not for clients to say; {_POLICIES}")
    return version


def check_unload(parameters: Mapping[str, pb.ModelRepositoryParameter]) -> None:
    """Raise SignalError for what an unload can not ask for. Whether dependents go too is one: there are none."""
    _check_names(parameters, "unload_dependents", "bool_param")


def _check_names(parameters: Mapping[str, pb.ModelRepositoryParameter], known: str, kind: str) -> None:
    for name, value in sorted(parameters.items()):
        if name != known:
            raise SignalError(f"parameter {quoted(name)} is unknown; {known!r} alone would work")
        if value.WhichOneof("parameter_choice") != kind:
            raise SignalError(f"parameter {quoted(name)} comes as another kind; {kind} would work")
