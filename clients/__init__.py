"""Clients of a wavetile server: the stream client, and the sources that feed it (files, microphones)."""

from __future__ import annotations

from .client import StreamClient
from .encoding import Part
from .results import Event, ImageOutput, ModelDescription, ModelSummary, Notice, StreamInfo, StreamResult, Tensor, Tile
from .stream import ClientStream

__all__ = [
    "ClientStream",
    "Event",
    "ImageOutput",
    "ModelDescription",
    "ModelSummary",
    "Notice",
    "Part",
    "StreamClient",
    "StreamInfo",
    "StreamResult",
    "Tensor",
    "Tile",
]
