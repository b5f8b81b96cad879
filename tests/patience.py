"""How long tests wait for what has to come before they fail: it says nothing of how long that should take."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 60.0
"""Each wait. Long, for the machine may do much else; less than pytest's own limit for a test that hangs."""


def wait_until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds; fail after PATIENCE_S. Where an event loop runs, see `tests.server.running`."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, "what has to come has not come"
        time.sleep(0.01)
