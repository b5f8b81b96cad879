"""Results of images as messages: how they are numbered and cut, and what no message can hold."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wavetile.engine.errors import SignalError
from wavetile.engine.server.messages import MESSAGE_ROOM_BYTES, ImageResultCounter, image_output
from wavetile.engine.session import ImageOutput, ImageResult, Region
from wavetile.proto.v1 import wavetile_pb2 as pb

ROOM_BYTES = 4096


def counted(*results: ImageResult) -> list[pb.StreamResult]:
    counter = ImageResultCounter(MESSAGE_ROOM_BYTES + ROOM_BYTES)
    return [response.result for result in results for response in counter.results(result, 1)]


def pixels(count: int, y: int = 0) -> Region:
    return Region(y, 0, np.ones((1, 1, count, 1), np.float32))


def test_tiles_are_cut_by_all_their_bytes_and_not_by_their_pixels_alone() -> None:
    """Of a pixel's tile most is its place: of these, four bytes each, a message would else be four times too large."""
    messages = counted(ImageResult(0, {"probability": [pixels(1, y) for y in range(1000)]}, 1.0))
    assert [tile.y for message in messages for tile in message.tiles] == list(range(1000))
    assert max(message.ByteSize() for message in messages) < ROOM_BYTES + 200
    assert len(messages) < 20


@pytest.mark.parametrize(("share", "expected"), [(math.nan, math.nan), (0.5, 0.0)])
def test_no_message_says_more_than_is_known_of_the_share(share: float, expected: float) -> None:
    first, *rest, last = counted(ImageResult(0, {"y": [pixels(5000)]}, share))
    assert rest
    np.testing.assert_equal([message.finished_share for message in (first, *rest)], [expected] * (1 + len(rest)))
    np.testing.assert_equal(last.finished_share, share)


def test_a_value_leaves_less_room_for_tiles() -> None:
    value = np.ones((1, 700), np.float32)
    messages = counted(ImageResult(0, {"y": [pixels(600)]}, 1.0, {"scores": value}))
    assert [(len(message.values), len(message.tiles)) for message in messages] == [(1, 0), (0, 1)]


def test_a_value_that_no_message_can_hold_is_told() -> None:
    with pytest.raises(SignalError, match=r"'scores' of \[1, 2000\] have 80\d\d bytes, more than the 4096 that a"):
        counted(ImageResult(0, {}, 1.0, {"scores": np.ones((1, 2000), np.float32)}))


def test_an_output_that_the_wire_can_not_count_is_told() -> None:
    assert image_output(ImageOutput("y", 2**31 - 1, 8, 0, 1)).height == 2**31 - 1
    with pytest.raises(SignalError, match="output 'y' would have 4294967294 pixels along an axis"):
        image_output(ImageOutput("y", 2**32 - 2, 8, 0, 1))
