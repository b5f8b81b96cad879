"""Times counted in ranges against the times themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavetile.engine.session.histogram import FOLDED_AT_ONCE, TimeHistogram, range_ns


@given(st.lists(st.integers(0, 2**40 - 1), max_size=40), st.integers(2, 40))
def test_each_time_is_in_its_range(times_ns: list[int], octave: int) -> None:
    histogram = TimeHistogram()
    histogram.add(times_ns)
    expected = [0] * len(histogram.counts)
    for time_ns in times_ns:
        (index,) = [at for at in range(len(expected)) if range_ns(at)[0] <= max(time_ns, 4) < range_ns(at)[1]]
        expected[index] += 1
    assert histogram.counts.tolist() == expected
    assert (histogram.count, histogram.total_ns) == (len(times_ns), sum(times_ns))
    assert list(histogram.below([octave])) == [sum(max(time_ns, 4) < 2**octave for time_ns in times_ns)]


def test_quantiles_are_as_near_as_the_ranges() -> None:
    times_ns = np.sort(np.random.default_rng(5).lognormal(13.0, 1.0, 20_000).astype(np.int64))
    histogram = TimeHistogram()
    for part in np.array_split(times_ns, 17):
        histogram.add(part.tolist())
    for share in (0.01, 0.5, 0.9, 0.99, 0.999):
        assert histogram.quantile_ns(share) == pytest.approx(times_ns[int(share * len(times_ns))], rel=0.1)
    assert math.isnan(TimeHistogram().quantile_ns(0.5))


def test_times_beyond_the_ranges_are_counted_at_their_ends() -> None:
    histogram = TimeHistogram()
    histogram.add([-5, 2**50])
    assert histogram.counts[[0, -1]].tolist() == [1, 1]


def test_a_copy_is_counted_apart() -> None:
    histogram = TimeHistogram()
    histogram.add([1000] * (FOLDED_AT_ONCE + 1))
    copy = histogram.copy()
    histogram.add([1000])
    assert (copy.count, histogram.count) == (FOLDED_AT_ONCE + 1, FOLDED_AT_ONCE + 2)
