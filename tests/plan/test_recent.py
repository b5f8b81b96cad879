"""What is kept is made once, forgotten in its turn, and does not wait for what is being made."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.patience import PATIENCE_S
from wavetile.engine.plan.recent import Recent


def test_the_value_that_was_asked_for_longest_ago_goes_first() -> None:
    recent: Recent[str, str] = Recent(2)
    made: list[str] = []

    def ask(key: str) -> str:
        return recent.get(key, lambda: made.append(key) or key.upper())

    assert [ask(key) for key in "abacb"] == ["A", "B", "A", "C", "B"]
    assert made == ["a", "b", "c", "b"]
    assert len(recent) == 2


def test_what_is_kept_does_not_wait_for_what_is_being_made() -> None:
    recent: Recent[str, int] = Recent(4)
    recent.get("kept", lambda: 1)
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> int:
        begun.set()
        assert go_on.wait(PATIENCE_S)
        return 2

    with ThreadPoolExecutor(4) as pool:
        try:
            slows = [pool.submit(recent.get, "slow", slow) for _ in range(2)]
            assert begun.wait(PATIENCE_S)
            assert pool.submit(recent.get, "kept", lambda: 3).result(PATIENCE_S) == 1
            assert not any(slow.done() for slow in slows)
        finally:
            go_on.set()
        assert [slow.result(PATIENCE_S) for slow in slows] == [2, 2]


def test_what_fails_is_not_kept() -> None:
    recent: Recent[str, int] = Recent(1)

    def fail() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        recent.get("a", fail)
    assert recent.get("a", lambda: 5) == 5
