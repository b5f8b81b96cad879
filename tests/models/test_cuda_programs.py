"""Programs of real networks on CUDA kernels, run by the processor, beside the same programs on the CPU back end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import wavetile
from tests.kernels.cuda.host import COMPILER, HostRunner, compiler_is_here
from wavetile.engine.plan import workspace
from wavetile.engine.plan.workspace import Workspace
from wavetile.kernels.table import Memory, Runner, Table

pytestmark = pytest.mark.skipif(not compiler_is_here(), reason=f"there is no {COMPILER} here")

LANES, STEPS = 2, 3
TOLERANCE = 2e-5
"""Of the largest number of an output; each back end is held against onnxruntime elsewhere."""


@pytest.fixture
def on_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bind what asks for the back end "cuda" to the harness."""
    bind = workspace.bind

    def bound(backend: str, table: Table, memory: Memory) -> Runner:
        return HostRunner(table, memory) if backend == "cuda" else bind(backend, table, memory)

    monkeypatch.setattr(workspace, "bind", bound)


@pytest.mark.parametrize("name", ["silero_vad", "gtcrn", "dtln", "rnnoise", "deepfilternet3"])
@pytest.mark.usefixtures("on_host")
def test_steps_of_a_stream(name: str, models: Path) -> None:
    program = wavetile.load(name).stream_spec.program
    native, cuda = (Workspace(program, backend, LANES) for backend in ("cpu", "cuda"))
    cuda.poison()
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        for port in program.inputs:
            native.input(port)[...] = cuda.input(port)[...] = 0.1 * rng.standard_normal(native.input(port).shape)
        native.run(LANES)
        cuda.run(LANES)
        for port in program.outputs:
            expected, got = native.output(port), cuda.output(port)
            np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE * max(1.0, np.abs(expected).max()))
