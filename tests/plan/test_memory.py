"""Layout by lifetime: buffers alive together never overlap, and memory is shared where it can be."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wavetile.engine.plan.memory import place_by_lifetime
from wavetile.engine.plan.view import Buffer
from wavetile.kernels.contract import ALIGNMENT_BYTES, Space
from wavetile.kernels.table import align

SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 3000)), min_size=1, max_size=40)


@given(SPANS)
def test_buffers_alive_together_never_overlap(spans: list[tuple[int, int, int]]) -> None:
    placed = {Buffer(Space.ARENA, np.empty(size, np.float32)): (min(a, b), max(a, b)) for a, b, size in spans}
    total = place_by_lifetime(placed)
    items = list(placed.items())
    for index, (buffer, (first, last)) in enumerate(items):
        assert buffer.offset_bytes is not None
        assert buffer.offset_bytes % ALIGNMENT_BYTES == 0
        assert buffer.offset_bytes + buffer.nbytes <= total
        for other, (other_first, other_last) in items[:index]:
            if first <= other_last and other_first <= last:
                assert other.offset_bytes is not None
                apart = buffer.offset_bytes + buffer.nbytes <= other.offset_bytes
                assert apart or other.offset_bytes + other.nbytes <= buffer.offset_bytes


def test_a_chain_needs_two_buffers() -> None:
    chain = {Buffer(Space.ARENA, np.empty(1000, np.float32)): (i, i + 1) for i in range(10)}
    assert place_by_lifetime(chain) == 2 * align(4000)
