"""Mutations of protobuf messages: of their bytes, and of their fields so that they still parse."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

INTEGERS = (0, 1, -1, 2, 3, 7, 127, 255, 256, 2**15, 2**16, 2**31 - 1, -(2**31), 2**32, 2**53, 2**63 - 1, -(2**63))
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-45, 3.4e38, -3.4e38, 1e300, float("inf"), float("-inf"), float("nan"))
WORDS = ("", "a", "\0", "../../etc/passwd", "%s%n", "é" * 3, "x" * 300, "\u202e", "-1", "1e999", "gain", "[", "{}")
LENGTHS = (0, 1, 2, 3, 4, 7, 8, 64, 1000, 65537)

Field = tuple[Message, Any]  # a FieldDescriptor, of which protobuf has two types


def mutated_bytes(rng: random.Random, data: bytes) -> bytes:
    """One to eight changes of single bits and bytes, of stretches, and of the end."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        rng.choice(_BYTE_CHANGES)(rng, changed)
    return bytes(changed)


def mutate_fields(rng: random.Random, message: Message) -> None:
    """One to four changes of fields, of any depth, in place."""
    for _ in range(rng.randint(1, 4)):
        fields = _fields(message)
        if fields:
            _change(rng, *rng.choice(fields))


def _flip(rng: random.Random, data: bytearray) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(rng: random.Random, data: bytearray) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _remove(rng: random.Random, data: bytearray) -> None:
    start, length = rng.randrange(len(data) + 1), rng.choice(LENGTHS)
    del data[start : start + length]


def _repeat(rng: random.Random, data: bytearray) -> None:
    start, length = rng.randrange(len(data) + 1), rng.choice(LENGTHS[:-1])
    data[start:start] = data[start : start + length]


def _insert(rng: random.Random, data: bytearray) -> None:
    start = rng.randrange(len(data) + 1)
    data[start:start] = rng.randbytes(rng.choice(LENGTHS[:7]))


def _cut(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _grow_varint(rng: random.Random, data: bytearray) -> None:
    """A length, a tag or a number that goes on for up to ten bytes."""
    start = rng.randrange(len(data) + 1)
    data[start:start] = b"\xff" * rng.randint(1, 10)


_BYTE_CHANGES: tuple[Callable[[random.Random, bytearray], None], ...] = (
    _flip,
    _overwrite,
    _remove,
    _repeat,
    _insert,
    _cut,
    _grow_varint,
)


def _fields(message: Message) -> list[Field]:
    """Every field of a message that may be changed, and those of the messages in it."""
    found: list[Field] = [(message, field) for field in message.DESCRIPTOR.fields]
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            messages = field.message_type.fields_by_name["value"].message_type
            children = [value[key] for key in sorted(value)] if messages else ()
        elif field.is_repeated:
            children = value
        else:
            children = (value,)
        for child in children:
            found += _fields(child)
    return found


def _change(rng: random.Random, message: Message, field: Any) -> None:
    if rng.random() < 0.1:
        message.ClearField(field.name)
    elif field.message_type is not None and field.message_type.GetOptions().map_entry:
        return  # what keys a map has is changed as bytes
    elif field.is_repeated:
        _change_list(rng, getattr(message, field.name), field)
    elif field.message_type is not None:
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, _value(rng, field, getattr(message, field.name)))


def _change_list(rng: random.Random, values: Any, field: Any) -> None:
    if values and rng.random() < 0.3:
        del values[rng.randrange(len(values))]
    elif field.message_type is not None:
        if values and rng.random() < 0.7:
            values.add().CopyFrom(rng.choice(values))
        else:
            values.add()
    elif values and rng.random() < 0.7:
        place = rng.randrange(len(values))
        values[place] = _value(rng, field, values[place])
    else:
        values.append(_value(rng, field, None))


def _value(rng: random.Random, field: Any, before: object) -> object:
    """Another value of the field's type."""
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return rng.random() < 0.5
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        unknown = () if field.enum_type.is_closed else (77,)
        return rng.choice([*(value.number for value in field.enum_type.values), *unknown])
    if kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return rng.choice(FLOATS)
    if kind == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return mutated_bytes(rng, before if isinstance(before, bytes) else b"")
        return rng.choice(WORDS)
    low, high = _RANGES[kind]
    number = rng.choice(INTEGERS)
    if isinstance(before, int) and rng.random() < 0.4:
        number = before + rng.choice((-1, 1, before, -before))
    return number if low <= number <= high else rng.choice((low, high))


_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
