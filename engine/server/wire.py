"""Serialised protobuf messages before they are parsed: how much is in them."""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
"""Kinds of values on the wire; the others, which begin and end groups, have none."""
_LONGEST_VARINT = 10
"""Bytes."""
_PACKED_BYTES = 1024
"""Of packed integers, that count as a field: one of a byte takes eight in memory, and far longer than one of four."""
_PACKED_AS_VARINTS = frozenset(
    getattr(FieldDescriptor, f"TYPE_{name}")
    for name in ("BOOL", "ENUM", "INT32", "INT64", "SINT32", "SINT64", "UINT32", "UINT64")
)
_INTEGERS = "integers"


def has_more_fields(kind: type[Message], data: bytes, limit: int) -> bool:
    """Whether a serialised message of this kind has more than `limit` fields, those of messages inside it counted too.

    Each element of a repeated field is one, and so are packed numbers together, or of integers 1024 bytes. What can not
    be parsed is counted up to there. Looks at `limit` fields at most.
    """
    count = position = 0
    inside: list[tuple[int, Descriptor]] = []
    """Of the messages around the one that is looked at, the innermost last: where each ends, and its kind."""
    descriptor: Any = kind.DESCRIPTOR
    end = len(data)
    while True:
        while position >= end and inside:
            end, descriptor = inside.pop()
        if count > limit:
            return True
        if position >= end:
            return False
        count += 1
        tag, position = _varint(data, position, end)
        wire = tag & 7
        if position > end:
            return False
        if wire == _VARINT:
            _, position = _varint(data, position, end)
        elif wire in (_FIXED64, _FIXED32):
            position += 8 if wire == _FIXED64 else 4
        elif wire == _LENGTH:
            size, position = _varint(data, position, end)
            if position + size > end:
                return False
            about = _fields(descriptor).get(tag >> 3)
            if about is None:
                position += size
            elif about is _INTEGERS:
                count += size // _PACKED_BYTES
                position += size
            else:
                inside.append((end, descriptor))
                end, descriptor = position + size, about
        if position > end:
            return False


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """The number at `position`, and where the next value begins: beyond `end`, if it does not end before."""
    value = 0
    for index in range(position, min(position + _LONGEST_VARINT, end)):
        value |= (data[index] & 0x7F) << 7 * (index - position)
        if data[index] < 0x80:
            return value, index + 1
    return 0, end + 1


@cache
def _fields(descriptor: Descriptor) -> dict[int, Any]:
    """Of the fields whose bytes are not taken as they are, by number: the kind of message, or _INTEGERS."""
    fields = descriptor.fields_by_number
    integers = {number: _INTEGERS for number, field in fields.items() if field.type in _PACKED_AS_VARINTS}
    return integers | {number: field.message_type for number, field in fields.items() if field.message_type}
