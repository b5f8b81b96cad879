"""Opens the doors that a server's options ask for."""

from __future__ import annotations

from contextlib import AsyncExitStack
from importlib.util import find_spec

from ...errors import WavetileError
from ...loopback import is_loopback
from ..callers import Requirement
from ..options import ServerOptions
from .door import WebDoor
from .instruments import Instruments


def check_doors(options: ServerOptions) -> None:
    """Raise WavetileError where `open_doors` would refuse, before anything is made."""
    if options.metrics is not None:
        options.security.check(options.metrics.host, "--metrics")
    if options.dashboard is not None:
        host = options.dashboard.host
        options.security.check(host, "--dashboard")
        if not is_loopback(host) and not options.security.has_tokens:
            raise WavetileError(
                f"{host!r} can be reached from other machines, where the dashboard, which shows what is streamed, asks "
                "for a token with the permission 'administer'; --tokens or --jwks besides would work"
            )
    if options.metrics is None and options.dashboard is None:
        return
    if find_spec("aiohttp") is None:
        raise WavetileError("metrics and dashboard need aiohttp (pip install 'wavetile[metrics,dashboard]')")


async def open_doors(instruments: Instruments, stack: AsyncExitStack) -> dict[str, WebDoor]:
    """Listen where the options say, until `stack` is closed; by "metrics" and "dashboard". Raises WavetileError."""
    options = instruments.options
    check_doors(options)
    doors = {}
    if options.metrics is not None:
        from .metrics import metrics_handler

        routes = {"/metrics": (Requirement.ANY_CALLER, metrics_handler(instruments))}
        doors["metrics"] = WebDoor(options.metrics, options.security, routes)
    if options.dashboard is not None:
        from .dashboard import dashboard_routes

        doors["dashboard"] = WebDoor(options.dashboard, options.security, dashboard_routes(instruments))
    for door in doors.values():
        await door.start()
        stack.push_async_callback(door.stop)
    return doors
