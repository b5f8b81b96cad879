"""Keeps what takes long to make, as much of it as there is room for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """The values that were asked for last. Thread-safe: a value is made once, and one at a time."""

    def __init__(self, room: int) -> None:
        """`room`: how many are kept; the one that was asked for longest ago goes first."""
        self._room = room
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value of a key; made if it is not kept."""
        with self._lock:
            if key not in self._values:
                self._values[key] = make()
                if len(self._values) > self._room:
                    self._values.popitem(last=False)
            self._values.move_to_end(key)
            return self._values[key]
