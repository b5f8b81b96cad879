"""Sessions: chunks of any length in, complete frames through a program, results out."""

from __future__ import annotations

from .executor import Executor
from .output import Event, Output
from .ring import Ring
from .session import Session
from .spec import Decoder, StreamSpec
from .stream import Stream

__all__ = ["Decoder", "Event", "Executor", "Output", "Ring", "Session", "Stream", "StreamSpec"]
