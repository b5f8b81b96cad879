"""Room for snapshots: promised to streams, shared among callers, and given back."""

from __future__ import annotations

import pytest

from wavetile.engine.server.resume.room import Room


def filled(room: Room, caller: str, size: int = 10) -> int:
    """How many streams more have room."""
    count = 0
    while True:
        try:
            room.promise(f"{caller} {count}", caller, size, 0.0)
        except OSError:
            return count
        count += 1


def test_one_caller_leaves_room_for_others() -> None:
    room = Room(1000)
    assert filled(room, "ada") == 75
    assert filled(room, "bob") == 18
    assert filled(room, "eve") == 5
    assert room.taken_bytes == 980


def test_what_has_finished_makes_room_for_its_caller_alone_and_the_oldest_goes_first() -> None:
    room = Room(100)
    assert filled(room, "ada") == 7
    for name in ("ada 3", "ada 1", "ada 5"):
        room.written(name, 9)
        room.end(name, 60.0, finished=True)
    room.end("ada 0", 60.0, finished=False)
    assert room.promise("bob", "bob", 20, 1.0) == []
    assert room.promise("ada 7", "ada", 10, 1.0) == ["ada 1", "ada 3"]
    assert room.promise("ada 8", "ada", 5, 1.0) == ["ada 5"]
    with pytest.raises(OSError, match=r"10 bytes more .* 75 of 100 are taken, 55 by this caller"):
        room.promise("ada 9", "ada", 10, 1.0)
    assert room.taken_bytes == 75


def test_nothing_goes_for_a_stream_that_has_no_room_all_the_same() -> None:
    room = Room(100)
    room.promise("a", "ada", 30, 0.0)
    room.written("a", 20)
    room.end("a", 60.0, finished=True)
    with pytest.raises(OSError, match="90 bytes more"):
        room.promise("b", "ada", 90, 1.0)
    assert room.taken_bytes == 20


def test_room_comes_back_with_its_time_and_with_its_stream() -> None:
    room = Room(100)
    for name in ("a", "b", "c"):
        room.promise(name, "ada", 20, 0.0)
    room.end("a", 60.0, finished=False)
    room.leave("b")
    assert room.taken_bytes == 40
    room.put_back("b", "ada", 15, 60.0)
    assert room.taken_bytes == 55
    room.promise("d", "ada", 20, 61.0)
    assert room.taken_bytes == 40
