"""What a browser and a collector of metrics can read of a server over HTTP: a page, its data, and metrics."""

from __future__ import annotations

from .door import WebDoor
from .instruments import Instruments
from .open import check_doors, open_doors

__all__ = ["Instruments", "WebDoor", "check_doors", "open_doors"]
