"""Sessions: chunks of any length in, complete frames through a program, results out."""

from __future__ import annotations

from .array_queue import ArrayQueue
from .axis_stream import AxisStream
from .executor import Executor
from .images import ImageFormat, ImageOrder, ImageOutput, ImageResult
from .line_stream import LineStream
from .neighbourhoods import Neighbourhoods
from .output import Event, Output
from .ring import Ring
from .scattered_tiles import ScatteredTiles
from .session import Session
from .spec import Decoder, StreamSpec
from .stream import Stream
from .tile_stream import Region, TileStream
from .window_stream import Sharing, Window, WindowStream

__all__ = [
    "ArrayQueue",
    "AxisStream",
    "Decoder",
    "Event",
    "Executor",
    "ImageFormat",
    "ImageOrder",
    "ImageOutput",
    "ImageResult",
    "LineStream",
    "Neighbourhoods",
    "Output",
    "Region",
    "Ring",
    "ScatteredTiles",
    "Session",
    "Sharing",
    "Stream",
    "StreamSpec",
    "TileStream",
    "Window",
    "WindowStream",
]
