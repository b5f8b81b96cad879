"""Clients of a wavetile server: the stream client, and the sources that feed it (files, microphones)."""

from __future__ import annotations

from .results import Event, ModelDescription, ModelSummary, StreamInfo, StreamResult, Tensor, Tile
from .stream import ClientStream, StreamClient

__all__ = [
    "ClientStream",
    "Event",
    "ModelDescription",
    "ModelSummary",
    "StreamClient",
    "StreamInfo",
    "StreamResult",
    "Tensor",
    "Tile",
]
