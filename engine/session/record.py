"""Records: a few named numbers, texts, bytes and arrays as plain bytes that say themselves what they hold.

Layout, little-endian: the magic `WTREC`, the version of the layout (1 byte), how many fields (4 bytes); then each
field: the length of its name (1 byte), the name (UTF-8), the kind (1 byte) and what is of that kind:

    n   None                      nothing
    b   bool                      1 byte
    i   int                       8 bytes, signed
    d   float                     8 bytes, IEEE 754
    s   str, y bytes              length (8 bytes), then as many bytes (str: UTF-8)
    f   array of float32          number of axes (1 byte), each axis (8 bytes), then the values in C order

Reading makes nothing but these, whatever the bytes are.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import TypeVar, Union

import numpy as np

from ..errors import SnapshotError

Value = Union[None, bool, int, float, str, bytes, np.ndarray, "Mapping[str, Value]"]
"""A mapping is packed as bytes: those of a record of its own."""

_MAGIC = b"WTREC"
_VERSION = 1
_HEAD = struct.Struct("<5sBI")
_LENGTH = struct.Struct("<Q")
_INT = struct.Struct("<q")
_FLOAT = struct.Struct("<d")
_MAX_AXES = 8

Part = bytes | memoryview
T = TypeVar("T")


def pack(fields: Mapping[str, Value]) -> bytes:
    """The fields as bytes. Arrays are float32."""
    return b"".join(parts_of(fields))


def parts_of(fields: Mapping[str, Value]) -> list[Part]:
    """What `pack` joins: nothing large is copied, so the fields must not change before."""
    parts: list[Part] = [_HEAD.pack(_MAGIC, _VERSION, len(fields))]
    for name, value in fields.items():
        encoded = name.encode()
        parts += bytes((len(encoded),)), encoded, *_packed(value)
    return parts


def _packed(value: Value) -> Sequence[Part]:
    match value:
        case None:
            return (b"n",)
        case bool():
            return b"b", bytes((value,))
        case int():
            return b"i", _INT.pack(value)
        case float():
            return b"d", _FLOAT.pack(value)
        case str():
            encoded = value.encode()
            return b"s", _LENGTH.pack(len(encoded)), encoded
        case bytes():
            return b"y", _LENGTH.pack(len(value)), value
        case np.ndarray():
            shape = b"".join(map(_LENGTH.pack, value.shape))
            numbers = np.ascontiguousarray(value, "<f4").reshape(-1)
            return b"f", bytes((value.ndim,)), shape, numbers.view(np.uint8).data
        case Mapping():
            parts = parts_of(value)
            return b"y", _LENGTH.pack(sum(map(len, parts))), *parts


class Record:
    """Fields that were read, each taken as what it has to be."""

    def __init__(self, fields: Mapping[str, Value]) -> None:
        self._fields = fields

    @classmethod
    def read(cls, data: bytes) -> Record:
        """The fields of `pack`'s bytes. Raises SnapshotError: they are not such bytes, or not all of them."""
        reader = _Reader(data)
        magic, version, count = _HEAD.unpack(reader.take(_HEAD.size))
        if magic != _MAGIC:
            raise SnapshotError("these bytes are no snapshot: they do not begin as one")
        if version != _VERSION:
            raise SnapshotError(f"a snapshot in layout {version}; this version of wavetile reads layout {_VERSION}")
        fields: dict[str, Value] = {}
        for _ in range(count):
            name = reader.text(reader.byte())
            fields[name] = reader.value()
        if reader.left:
            raise SnapshotError(f"{reader.left} bytes follow the last field of a snapshot")
        return cls(fields)

    def number(self, name: str) -> int:
        """An int."""
        return self._of(name, int)

    def real(self, name: str) -> float:
        """A float."""
        return self._of(name, float)

    def text(self, name: str) -> str:
        """A str."""
        return self._of(name, str)

    def flag(self, name: str) -> bool:
        """A bool."""
        return self._of(name, bool)

    def data(self, name: str) -> bytes:
        """Bytes."""
        return self._of(name, bytes)

    def array(self, name: str) -> np.ndarray:
        """An array of float32, read-only."""
        return self._of(name, np.ndarray)

    def has(self, name: str) -> bool:
        """Whether the field is there and not None."""
        return self._fields.get(name) is not None

    def _of(self, name: str, kind: type[T]) -> T:
        value = self._fields.get(name)
        if type(value) is not kind:
            raise SnapshotError(f"field {name!r} of a snapshot is {type(value).__name__}, not {kind.__name__}")
        return value


class _Reader:
    """Takes bytes from the front, as many as there are."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> memoryview:
        if count > self.left:
            raise SnapshotError(f"a snapshot ends {count - self.left} bytes too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def byte(self) -> int:
        return self.take(1)[0]

    def length(self) -> int:
        return _LENGTH.unpack(self.take(_LENGTH.size))[0]

    def text(self, count: int) -> str:
        try:
            return str(self.take(count), "utf-8")
        except UnicodeDecodeError:
            raise SnapshotError("a text of a snapshot is not UTF-8") from None

    def value(self) -> Value:
        kind = bytes(self.take(1))
        match kind:
            case b"n":
                return None
            case b"b":
                return self.byte() != 0
            case b"i":
                return _INT.unpack(self.take(_INT.size))[0]
            case b"d":
                return _FLOAT.unpack(self.take(_FLOAT.size))[0]
            case b"s":
                return self.text(self.length())
            case b"y":
                return bytes(self.take(self.length()))
            case b"f":
                return self.array()
            case _:
                raise SnapshotError(f"a field of a snapshot is of kind {kind!r}, which this version does not know")

    def array(self) -> np.ndarray:
        axes = self.byte()
        if axes > _MAX_AXES:
            raise SnapshotError(f"an array of a snapshot has {axes} axes; at most {_MAX_AXES} would work")
        shape = tuple(self.length() for _ in range(axes))
        values = np.frombuffer(self.take(4 * math.prod(shape)), "<f4")
        try:
            return values.reshape(shape)
        except ValueError:  # no numbers, for an axis of 0 beside one that NumPy can not have
            raise SnapshotError(f"an array of a snapshot has the shape {shape}, which can not be") from None
