"""What the dashboard's port answers: the page, which is open, and its data, which is the administrators'."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import TYPE_CHECKING

from ...callers import Permission, Requirement
from ..instruments import Instruments
from .looking import Looking
from .overview import overview

if TYPE_CHECKING:
    from aiohttp import web

_FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/charts.js": ("charts.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
MAX_POSITIONS = 64
"""That a request may name."""


def dashboard_routes(
    instruments: Instruments,
) -> dict[str, tuple[Permission | Requirement, Callable[[web.Request], Awaitable[web.StreamResponse]]]]:
    """Path -> what it asks of its caller, and what answers."""
    page = {path: (Requirement.NOTHING, _file(*file)) for path, file in _FILES.items()}
    return {
        **page,
        "/api/overview": (Permission.ADMINISTER, _overview(instruments)),
        "/api/streams/{stream_id}": (Permission.ADMINISTER, _stream(instruments)),
    }


def _file(name: str, kind: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    from aiohttp import web

    text = resources.files(str(__package__)).joinpath(name).read_text("utf-8")

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text=text, content_type=kind, charset="utf-8")

    return answer


def _overview(instruments: Instruments) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    from aiohttp import web

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(overview(instruments), dumps=_compact)

    return answer


def _stream(instruments: Instruments) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """One stream's signal: `?name=position` says what the page has already."""
    from aiohttp import web

    looking = Looking()

    async def answer(request: web.Request) -> web.StreamResponse:
        stream = instruments.activity.open.get(request.match_info["stream_id"])
        if stream is None:
            raise web.HTTPNotFound
        if len(request.query) > MAX_POSITIONS or not all(value.isdecimal() for value in request.query.values()):
            raise web.HTTPBadRequest
        release = instruments.models.kept(stream.model, stream.model_version)
        if release is None:
            raise web.HTTPNotFound
        tap = looking.tap(stream, release.description)
        if tap is None:
            raise web.HTTPTooManyRequests
        seen = await tap.read({name: int(value[:18]) for name, value in request.query.items()})
        return web.json_response(seen, dumps=_compact)

    return answer


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
