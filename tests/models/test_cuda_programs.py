"""Programs of real networks on CUDA kernels, run by the processor, beside the same programs on the CPU back end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import wavetile
from tests.kernels.cuda.host import COMPILER, compiler_is_here
from tests.kernels.cuda.host_device import cuda_on_host
from wavetile.engine.plan import Program, StatePool, Workspace
from wavetile.engine.session import Output

pytestmark = pytest.mark.skipif(not compiler_is_here(), reason=f"there is no {COMPILER} here")

STEPS = 3
TURNS = ((3, 0), (1, 2), (2,), (0, 1), (3,), (2, 0), (1, 3))
"""The streams of each step, in the order of their lanes: never in that of their slots, and not always as many."""

TOLERANCE = 2e-5
"""Of the largest number of an output; each back end is held against onnxruntime elsewhere."""


def _outputs(program: Program, backend: str) -> list[np.ndarray]:
    """What a few streams' steps give, in memory that is NaN where nothing has written."""
    pool = StatePool(program, 4, backend)
    slots = [pool.acquire().place for _ in range(4)]
    workspace = Workspace(program, backend, 2, pool)
    rng = np.random.default_rng(0)
    made = []
    for streams in TURNS:
        workspace.poison()
        for lane, stream in enumerate(streams):
            workspace.slots[lane] = slots[stream]
        for name in program.inputs:
            port = workspace.input(name)[: len(streams)]
            port[...] = 0.1 * rng.standard_normal(port.shape)
        workspace.run(len(streams))
        made += [workspace.output(name)[: len(streams)].copy() for name in program.outputs]
    return made


@pytest.mark.parametrize("name", ["silero_vad", "gtcrn", "dtln", "rnnoise", "deepfilternet3"])
def test_streams_step_by_step(name: str, models: Path) -> None:
    """Both executors give the same bits, which are near those of the CPU back end."""
    program = wavetile.load(name).stream_spec.program
    expected = _outputs(program, "cpu")
    got = {}
    for executor in ("resident", "graph"):
        with cuda_on_host(prefers=executor) as backend:
            got[executor] = _outputs(program, "cuda")
            assert ("walk" in backend.device.launched[-10:]) == (executor == "resident")  # type: ignore[attr-defined]
    for index, array in enumerate(expected):
        scale = max(1.0, float(np.abs(array).max()))
        np.testing.assert_allclose(got["resident"][index], array, rtol=0, atol=TOLERANCE * scale)
        np.testing.assert_array_equal(got["resident"][index], got["graph"][index])


@pytest.mark.parametrize("name", ["silero_vad", "gtcrn"])
@pytest.mark.parametrize("executor", ["resident", "graph"])
def test_streams_of_a_model(name: str, executor: str, models: Path) -> None:
    """Chunks of any length; a snapshot goes on here and on the CPU back end, which gives the same bytes."""
    rng = np.random.default_rng(0)
    first, second = (0.1 * rng.standard_normal(4001).astype(np.float32) for _ in range(2))
    native = wavetile.load(name)
    with cuda_on_host(prefers=executor):
        model = wavetile.load(name, backend="cuda")
        with model.stream() as stream, native.stream() as other:
            _assert_near(stream.process(first), other.process(first))
            snapshot = stream.snapshot()
            assert len(snapshot) == len(other.snapshot())
            resumed = stream.process(second)
            for backend, exact in ((model, True), (native, False)):
                with backend.resume(snapshot) as again:
                    _assert_near(again.process(second), resumed, exact=exact)
            stream.reset()
            with model.stream() as fresh:
                _assert_near(stream.process(second), fresh.process(second), exact=True)


def _assert_near(got: Output, expected: Output, *, exact: bool = False) -> None:
    pairs = [(got.values[key], expected.values[key]) for key in expected.values]
    if expected.samples is not None:
        assert got.samples is not None
        pairs.append((got.samples, expected.samples))
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=0 if exact else TOLERANCE)
