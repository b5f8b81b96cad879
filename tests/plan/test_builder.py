"""What a builder keeps once: constants that are equal bit for bit, whatever their size and shape."""

from __future__ import annotations

import numpy as np
import pytest

from tests.plan.networks import compile_model, parse
from wavetile.engine.errors import LimitError
from wavetile.engine.plan.builder import Builder


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 5000])
def test_equal_constants_lie_in_the_weights_once(size: int) -> None:
    builder, numbers = Builder(), np.random.default_rng(0).standard_normal((2, size)).astype(np.float32)
    first, again = builder.constant(numbers), builder.constant(numbers.reshape(size, 2).copy())
    assert first.buffer is again.buffer
    assert (first.shape, again.shape) == ((2, size), (size, 2))


@pytest.mark.parametrize("place", [0, 1, 77, 4999])
def test_constants_that_differ_anywhere_lie_apart(place: int) -> None:
    builder, numbers = Builder(), np.zeros(5000, np.float32)
    other = numbers.copy()
    other[place] = -0.0
    views = [builder.constant(array) for array in (numbers, other, numbers.view(np.int32), numbers[:-1])]
    assert len({view.buffer for view in views}) == len(views)
    assert np.signbit(views[1].buffer.phantom[place])


def test_a_transposed_constant_is_kept_in_its_own_order() -> None:
    builder, numbers = Builder(), np.arange(12, dtype=np.float32).reshape(3, 4)
    turned = builder.constant(numbers.T)
    assert turned.buffer is not builder.constant(numbers).buffer
    np.testing.assert_array_equal(turned.buffer.phantom.reshape(turned.shape), numbers.T)


def test_what_does_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **more: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Builder, "emit", full)
    with pytest.raises(LimitError, match="what it computes does not fit into memory"):
        compile_model(
            parse(
                "(float[1,1,3] x) => (float[1,1,3] y) { y = Conv(x, w) }",
                constants={"w": np.ones((1, 1, 1), np.float32)},
            ),
            {"x": np.zeros((1, 1, 3), np.float32)},
        )
