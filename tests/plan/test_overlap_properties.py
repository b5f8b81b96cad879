"""Random networks on windows that overlap: what is shared changes nothing of what each window gives."""

from __future__ import annotations

from hypothesis import assume, given, note, settings
from hypothesis import strategies as st

from tests.plan.networks import signal
from tests.plan.random_layers import networks
from tests.plan.test_streaming_properties import QUIET, assert_near
from wavetile.engine.errors import UnsupportedError
from wavetile.engine.graph import load_network, specialise
from wavetile.engine.plan.streaming import Overlap, SharedWindows, StreamingAxis, prepared


def windows_of_a_random_network(data: st.DataObject, backend: str) -> None:
    drawn = data.draw(networks(1))
    (window,) = (data.draw(st.sampled_from(fitting)) for fitting in drawn.lengths)
    hop = data.draw(st.sampled_from((1, 2, 4, 6, 8, 12, 24)))
    shapes = dict.fromkeys(drawn.inputs, (1, drawn.channels, window))
    graph = prepared(specialise(load_network(drawn.model.SerializeToString()), shapes))
    try:
        overlap = Overlap(graph, StreamingAxis("W", dict.fromkeys(drawn.inputs, 2)), hop)
    except UnsupportedError as error:
        note(f"nothing is shared: {error}")
        assume(False)
        raise
    note(f"windows of {window} every {hop}, shared up to {overlap.inside}")
    windows = SharedWindows(overlap, backend, poisoned=True)
    feeds = {name: signal((1, drawn.channels, window + 5 * hop), seed) for seed, name in enumerate(drawn.inputs)}
    for start in range(0, 5 * hop + 1, hop):
        given_ = {name: whole[:, :, start : start + window] for name, whole in feeds.items()}
        assert_near(drawn, windows.run(given_), given_)


@settings(QUIET, max_examples=60)
@given(st.data())
def test_windows_are_what_they_would_be_alone(data: st.DataObject) -> None:
    windows_of_a_random_network(data, "cpu")
