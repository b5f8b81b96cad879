"""The ring against a plain list, and with a writer and a reader at work at the same time."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavetile.engine.session import Ring

OPERATIONS = st.lists(st.tuples(st.sampled_from(["write", "silence", "read"]), st.integers(0, 9), st.integers(0, 9)))


@given(capacity=st.integers(1, 20), channels=st.integers(1, 3), operations=OPERATIONS)
def test_ring_gives_back_what_was_written(capacity: int, channels: int, operations: list[tuple[str, int, int]]) -> None:
    ring = Ring(channels, capacity)
    sample = () if channels == 1 else (channels,)
    expected = np.zeros((0, *sample), np.float32)
    counter = 0
    for operation, size, advance in operations:
        if operation == "read":
            size = min(size, len(expected))
            advance = min(advance, size)
            target = np.full((size, *sample), np.nan, np.float32)
            ring.read(target, advance)
            np.testing.assert_array_equal(target, expected[:size])
            expected = expected[advance:]
        else:
            block = np.zeros((size, *sample), np.float32)
            if operation == "write":
                block += np.arange(counter, counter + channels * size).reshape(size, *sample)
                counter += block.size
            if size > capacity - len(expected):
                with pytest.raises(ValueError, match="do not fit"):
                    ring.write(block) if operation == "write" else ring.write_silence(size)
            else:
                ring.write(block) if operation == "write" else ring.write_silence(size)
                expected = np.concatenate([expected, block])
        assert ring.filled == len(expected)
        assert ring.free == capacity - len(expected)


def test_cleared_ring_is_empty() -> None:
    ring = Ring(1, 4)
    ring.write(np.ones(3, np.float32))
    ring.clear()
    assert (ring.filled, ring.free) == (0, 4)


def test_writer_and_reader_in_two_threads() -> None:
    ring = Ring(2, 37)
    total = 5_000
    signal = np.arange(2 * total, dtype=np.float32).reshape(total, 2)

    def write() -> None:
        rng = np.random.default_rng(1)
        position = 0
        while position < total:
            count = min(int(rng.integers(1, 16)), ring.free, total - position)
            ring.write(signal[position : position + count])
            position += count
            time.sleep(0)  # let the other side run

    writer = threading.Thread(target=write)
    writer.start()
    received = np.empty_like(signal)
    position = 0
    while position < total:
        count = min(11, ring.filled, total - position)
        ring.read(received[position : position + count], count)
        position += count
        time.sleep(0)
    writer.join()
    np.testing.assert_array_equal(received, signal)
