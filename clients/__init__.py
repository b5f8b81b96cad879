"""Clients of a wavetile server: the stream client, and the sources that feed it (files, microphones)."""

from __future__ import annotations

from .encoding import Part
from .results import Event, ImageOutput, ModelDescription, ModelSummary, StreamInfo, StreamResult, Tensor, Tile
from .stream import ClientStream, StreamClient

__all__ = [
    "ClientStream",
    "Event",
    "ImageOutput",
    "ModelDescription",
    "ModelSummary",
    "Part",
    "StreamClient",
    "StreamInfo",
    "StreamResult",
    "Tensor",
    "Tile",
]
