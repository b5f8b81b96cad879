"""Back ends by their names."""

from __future__ import annotations

from functools import cache

from ...kernels.host import HostBackend
from ...kernels.table import Backend, Memory, Runner, Table
from ..errors import BackendError

BACKENDS = ("cpu", "cuda", "reference")


def named_backend(name: str) -> Backend:
    """The back end of that name.

    Raises:
        BackendError: there is none, or what it needs is not here.
    """
    if name == "cuda":
        from .devices import cuda

        return cuda()
    if name not in BACKENDS:
        raise BackendError(f"there is no back end {name!r}; choose one of {', '.join(BACKENDS)}")
    return _on_host(name)


@cache
def _on_host(name: str) -> Backend:
    if name == "cpu":
        return HostBackend(_native)
    from ...kernels.reference.runner import ReferenceRunner

    return HostBackend(ReferenceRunner)


def _native(table: Table, memory: Memory) -> Runner:
    from ...kernels.cpu.runner import CpuRunner
    from ...kernels.cpu.team import TeamRunner

    return (CpuRunner if table.threads == 1 else TeamRunner)(table, memory)
