"""The HTTP side of a server: one port, guarded by the same files as the gRPC port, that only answers GET."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from ...errors import WavetileError
from ...loopback import is_loopback
from ..callers import Permission, Requirement
from ..options import WebAddress
from ..security import Security

if TYPE_CHECKING:
    from aiohttp import web

logger = logging.getLogger(__name__)

HEADERS = {
    # Nothing from elsewhere, nothing inline, in nobody's frame.
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Server": "wavetile",
}
IDLE_S = 15.0
"""How long a connection may say nothing between two requests."""


class WebDoor:
    """A port that serves `routes`, path to handler and what it asks of its caller. For one event loop."""

    def __init__(
        self,
        address: WebAddress,
        security: Security,
        routes: Mapping[str, tuple[Permission | Requirement, Callable[[web.Request], Awaitable[web.StreamResponse]]]],
    ) -> None:
        """Raises WavetileError when a file of `security` can not be used."""
        from aiohttp import web

        self._web = web
        self._address = address
        self._tls = security.tls_context()
        self._authorisation = security.authorisation(address.host)
        self._needed = {path: needed for path, (needed, _) in routes.items()}

        @web.middleware
        async def guard(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            return await self._guard(request, handler)

        application = web.Application(middlewares=[guard], client_max_size=1024)
        application.add_routes([web.get(path, handler) for path, (_, handler) in routes.items()])
        self._runner = web.AppRunner(application, access_log=None, keepalive_timeout=IDLE_S, handle_signals=False)
        self.port = 0

    async def start(self) -> None:
        """Listen. Raises WavetileError when the port can not be had."""
        await self._runner.setup()
        host, port = self._address
        try:
            await self._web.TCPSite(self._runner, host, port, ssl_context=self._tls).start()
        except OSError as error:
            await self._runner.cleanup()
            raise WavetileError(f"can not listen on {self._address}: {error.strerror or error}") from error
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """End all connections."""
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'http' if self._tls is None else 'https'}://{WebAddress(self._address.host, self.port)}"

    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Around every request: who asks, and what every answer says to the browser."""
        try:
            self._check(request)
            response = await handler(request)
        except self._web.HTTPException as error:
            response = self._web.Response(status=error.status, text=f"{error.reason}\n")
            if error.status == 401:
                response.headers["WWW-Authenticate"] = "Bearer"
        except Exception:
            logger.exception("a request for %.100r failed", request.path, extra={"event": "request_failed"})
            response = self._web.Response(status=500, text="the server failed; its log has the reason\n")
        response.headers.update(HEADERS)
        return response

    def _check(self, request: web.Request) -> None:
        # A page from elsewhere can point a name of its own at this machine; only what was meant is answered.
        if is_loopback(self._address.host) and not _is_here(request.host):
            raise self._web.HTTPForbidden
        route = request.match_info.route.resource
        needed = self._needed.get(route.canonical if route is not None else "")
        if needed is None or needed is Requirement.NOTHING:
            return
        caller = self._authorisation.caller(request.headers.getall("Authorization", []))
        if caller is None:
            raise self._web.HTTPUnauthorized
        if needed is not Requirement.ANY_CALLER and needed not in caller.permissions:
            about = {"event": "request_refused", "caller": caller.name, "permission": needed.value}
            text = "%.100r: refused, %.200r lacks the permission %r"
            logger.info(text, request.path, caller.name, needed.value, extra=about)
            raise self._web.HTTPForbidden


def _is_here(host: str) -> bool:
    """Whether a request's Host, `name[:port]`, is "localhost" or a number."""
    name = host if host.endswith("]") or ":" not in host else host.rpartition(":")[0]
    if is_loopback(name):
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
