"""Keeps what takes long to make, as much of it as there is room for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """The values that were asked for last, each made once.

    Thread-safe: one is made at a time, and what is kept does not wait for that.
    """

    def __init__(self, room: int) -> None:
        """`room`: how many are kept; the one that was asked for longest ago goes first."""
        self._room = room
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()
        """Held for a look at what is kept."""
        self._making = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value of a key; made if it is not kept."""
        kept = self._kept(key)
        if kept:
            return kept[0]
        with self._making:
            kept = self._kept(key)  # somebody else may have made it meanwhile
            if kept:
                return kept[0]
            value = make()
            with self._lock:
                self._values[key] = value
                if len(self._values) > self._room:
                    self._values.popitem(last=False)
            return value

    def _kept(self, key: Key) -> tuple[Value] | None:
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return (self._values[key],)
