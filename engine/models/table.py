"""Reads a TOML table strictly: every key is known, of the right type and in its range, or the error names it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import CardError

_MISSING: Any = object()


class Table:
    """A table whose keys are taken one by one; `finish` refuses what is left over."""

    def __init__(self, content: Any, where: str) -> None:
        """Wrap `content`; `where` names the table in errors, such as "gtcrn.toml: [signal]"."""
        if not isinstance(content, dict):
            raise CardError(f"{where} must be a table, not {content!r}")
        self._left = dict(content)
        self._known: list[str] = []
        self.where = where

    def has(self, key: str) -> bool:
        """Whether the table has a key that was not taken yet."""
        return key in self._left

    def text(self, key: str, default: str | None = _MISSING, *, options: Iterable[str] = ()) -> str:
        """Take a text that is not empty, one of `options` if there are any."""
        value = self._take(key, default, str, "a text")
        if value is not default:
            if not value:
                raise CardError(f"{self.where}: {key} is empty")
            if options and value not in options:
                raise CardError(f"{self.where}: {key} is {value!r}; one of {', '.join(options)} would work")
        return value

    def integer(self, key: str, default: int = _MISSING, *, least: int = 1) -> int:
        """Take a whole number of at least `least`."""
        value = self._take(key, default, int, "a whole number")
        if value is not default and value < least:
            raise CardError(f"{self.where}: {key} is {value}; at least {least} would work")
        return value

    def number(self, key: str, default: float = _MISSING, *, least: float, most: float = float("inf")) -> float:
        """Take a number from `least` to `most`."""
        value = self._take(key, default, (int, float), "a number")
        if value is default:
            return value
        if not least <= value <= most:
            limit = f"from {least} to {most}" if most != float("inf") else f"at least {least}"
            raise CardError(f"{self.where}: {key} is {value}; {limit} would work")
        return float(value)

    def table(self, key: str, default: Mapping[str, Any] = _MISSING) -> dict[str, Any]:
        """Take a table as it is."""
        return dict(self._take(key, default, dict, "a table"))

    def texts(self, key: str) -> dict[str, str]:
        """Take a table of texts; empty if there is none."""
        return {name: self._item(key, name, text, str, "a text") for name, text in self.table(key, {}).items()}

    def integers(self, key: str) -> dict[str, int]:
        """Take a table of whole numbers; empty if there is none."""
        return {name: self._item(key, name, n, int, "a whole number") for name, n in self.table(key, {}).items()}

    def numbers(self, key: str) -> dict[str, int | float | bool]:
        """Take a table of numbers and truth values; empty if there is none."""
        return {
            name: value if isinstance(value, bool) else self._item(key, name, value, (int, float), "a number")
            for name, value in self.table(key, {}).items()
        }

    def shapes(self, key: str) -> dict[str, tuple[int, ...]]:
        """Take a table of lists of whole numbers of at least 1; empty if there is none."""
        shapes = {}
        for name, shape in self.table(key, {}).items():
            if not isinstance(shape, list) or not all(type(size) is int and size > 0 for size in shape):
                raise CardError(f"{self.where}: {key}.{name} must be a list of sizes such as [1, 257], not {shape!r}")
            shapes[name] = tuple(shape)
        return shapes

    def list(self, key: str, kind: type, what: str, default: Any = _MISSING) -> list[Any]:
        """Take a list whose items are all of one type, called `what` in errors."""
        items = self._take(key, default, list, f"a list of {what}s")
        for index, item in enumerate(items):
            if type(item) is not kind:
                raise CardError(f"{self.where}: {key}[{index}] must be a {what}, not {item!r}")
        return items

    def finish(self) -> None:
        """Refuse keys that nobody took."""
        if self._left:
            keys = ", ".join(repr(key) for key in self._left)
            raise CardError(f"{self.where}: unknown {keys}; the keys here are {', '.join(self._known)}")

    def _take(self, key: str, default: Any, kind: type | tuple[type, ...], what: str) -> Any:
        self._known.append(key)
        if key not in self._left:
            if default is _MISSING:
                raise CardError(f"{self.where}: {key} is missing; it must be {what}")
            return default
        return self._checked(f"{key}", self._left.pop(key), kind, what)

    def _item(self, key: str, name: str, value: Any, kind: type | tuple[type, ...], what: str) -> Any:
        return self._checked(f"{key}.{name}", value, kind, what)

    def _checked(self, key: str, value: Any, kind: type | tuple[type, ...], what: str) -> Any:
        # TOML's true is Python's True, which is an int.
        if not isinstance(value, kind) or isinstance(value, bool):
            raise CardError(f"{self.where}: {key} must be {what}, not {value!r}")
        return value
