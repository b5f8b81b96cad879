"""Triton's own client on a server of this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio

from wavetile.engine.server import Server

from .running import serving


def connected(server: Server) -> Any:
    """Triton's client, whose annotations do not know what it returns."""
    return triton_aio.InferenceServerClient(server.address)


@asynccontextmanager
async def client_of(
    networks: Mapping[str, Any], models: Mapping[str, Any] | None = None, **options: Any
) -> AsyncIterator[Any]:
    """Yield Triton's client of a server with these."""
    async with serving(models or {}, networks=networks, **options) as server, connected(server) as client:
        yield client


def tensor(name: str, array: np.ndarray, datatype: str) -> triton.InferInput:
    one = triton.InferInput(name, list(array.shape), datatype)
    one.set_data_from_numpy(array)
    return one
