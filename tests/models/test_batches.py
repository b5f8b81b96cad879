"""Trained models on a server's executors: no bit of a stream depends on the batches that its frames travelled in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import wavetile
from wavetile.engine.session import Executor, Output, Session

STREAMS = 16
HOPS = 40
SIZES = (2, 3, 7, 16)


def signals(samples: int) -> list[np.ndarray]:
    """Streams unlike each other: silence, then ever louder noise, each with a tone of its own."""
    noise = np.random.default_rng(11).uniform(-1, 1, (STREAMS, samples))
    tones = np.sin(0.05 * np.outer(np.arange(1, STREAMS + 1), np.arange(samples)))
    levels = np.linspace(0.0, 0.5, STREAMS)[:, None]
    return list((levels * (tones + noise) / 2).astype(np.float32))


def arrays(output: Output) -> list[np.ndarray]:
    """All that it holds, float32."""
    samples = [] if output.samples is None else [output.samples]
    return [*samples, *output.values.values()]


def in_batches(executor: Executor, sessions: list[Session], inputs: list[np.ndarray], size: int) -> list[list[Output]]:
    """What each step of each session gives, in batches of at most `size` that chance puts together."""
    random = np.random.default_rng(size)
    outputs: list[list[Output]] = [[] for _ in sessions]
    fed = [0] * len(sessions)
    while True:
        for index, session in enumerate(sessions):
            part = inputs[index][fed[index] : fed[index] + session.free_samples]
            session.feed(part)
            fed[index] += len(part)
        ready = [index for index, session in enumerate(sessions) if session.ready]
        if not ready:
            return outputs
        batch = random.permutation(ready)[:size]
        executor.step([sessions[index] for index in batch])
        for index in batch:
            outputs[index].append(sessions[index].drain())


@pytest.mark.parametrize("name", ["silero_vad", "gtcrn", "dtln", "nsnet2", "deepfilternet3"])
def test_batches_change_no_bit(name: str, trained: Callable[[str], wavetile.Model]) -> None:
    model = trained(name)
    spec = model.stream_spec
    inputs = signals(spec.first_frame_samples + (HOPS - 1) * spec.hop_samples)
    executor = model.executor()
    results: dict[int, list[list[Output]]] = {}
    for size in (1, *SIZES):
        sessions = [model.open_session() for _ in inputs]
        results[size] = in_batches(executor, sessions, inputs, size)
        for session in sessions:
            session.close()
    last = {b"".join(array.tobytes() for array in arrays(outputs[-1])) for outputs in results[1]}
    assert len(last) == STREAMS, "streams give the same: their outputs would show no mix-up"
    for size in SIZES:
        for alone, together in zip(results[1], results[size], strict=True):
            assert len(together) == HOPS
            for one, other in zip(alone, together, strict=True):
                assert one.events == other.events
                for mine, theirs in zip(arrays(one), arrays(other), strict=True):
                    np.testing.assert_array_equal(mine.view(np.int32), theirs.view(np.int32))
