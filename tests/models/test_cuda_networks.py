"""Networks on the back end "cuda", run by the processor: streams with their proofs, windows, tiles, live sessions."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import numpy as np
import pytest

import wavetile
from tests.kernels.cuda.host import COMPILER, compiler_is_here
from tests.kernels.cuda.host_device import cuda_on_host
from tests.plan.networks import parse, signal
from wavetile.engine.errors import BackendError
from wavetile.engine.session.deadlines import Deadlines
from wavetile.engine.session.scheduled import FrameResult
from wavetile.engine.session.scheduler import Scheduler

pytestmark = pytest.mark.skipif(not compiler_is_here(), reason=f"there is no {COMPILER} here")

EXECUTORS = pytest.mark.parametrize("executor", ["resident", "graph"])
TOLERANCE = 1e-5
LINE = parse(
    "(float[1,2,T] x) => (float[1,3,T] y) "
    "{ a = Conv<pads=[1,1]>(x, w) b = Relu(a) y = Conv<pads=[2,2],dilations=[2]>(b, v) }",
    constants={"w": signal((4, 2, 3), 1), "v": signal((3, 4, 3), 2)},
)
IMAGE = parse(
    "(float[1,1,H,W] x) => (float[1,1,H,W] y) "
    "{ a = Conv<pads=[1,1,1,1]>(x, w) b = Relu(a) y = Conv<pads=[1,1,1,1]>(b, v) }",
    constants={"w": signal((2, 1, 3, 3), 1), "v": signal((1, 2, 3, 3), 2)},
)


def _saved(model: object, folder: Path) -> Path:
    path = folder / "network.onnx"
    path.write_bytes(model.SerializeToString())  # type: ignore[attr-defined]
    return path


@EXECUTORS
def test_a_stream_along_an_axis_is_proved_there(tmp_path: Path, executor: str) -> None:
    path, x = _saved(LINE, tmp_path), signal((1, 2, 30), 3)
    expected = wavetile.load(path).run({"x": x})["y"]
    with cuda_on_host(prefers=executor) as backend:
        model = wavetile.load(path, backend="cuda")
        np.testing.assert_allclose(model.run({"x": x})["y"], expected, rtol=0, atol=TOLERANCE)
        stream = model.stream(axis="T")
        parts = [stream.process({"x": part})["y"] for part in np.split(x, 5, axis=2)]
        np.testing.assert_allclose(np.concatenate([*parts, stream.flush()["y"]], 2), expected, rtol=0, atol=TOLERANCE)
        windows = model.windows(axis="T", window=20, hop=5, share=True)
        for index, window in enumerate(windows.process({"x": x})):
            alone = wavetile.load(path).run({"x": x[:, :, 5 * index : 5 * index + 20]})["y"]
            np.testing.assert_allclose(window.outputs["y"], alone, rtol=0, atol=TOLERANCE)
        del model, stream, windows
        gc.collect()
        assert backend.budget.taken_bytes == 0


@EXECUTORS
@pytest.mark.parametrize("order", ["raster", "any"])
def test_tiles(tmp_path: Path, executor: str, order: str) -> None:
    path, image = _saved(IMAGE, tmp_path), signal((1, 1, 24, 20), 4)
    whole = wavetile.load(path).run({"x": image})["y"]
    made = np.full_like(whole, np.nan)
    with cuda_on_host(prefers=executor):
        tiles = wavetile.load(path, backend="cuda").tiles(24, 20, tile=16, order=order)  # type: ignore[arg-type]
        for y in (0, 16):
            for x in (0, 16):
                for region in tiles.put(y, x, image[:, :, y : y + 16, x : x + 16])["y"]:
                    height, width = region.values.shape[2:]
                    made[:, :, region.y : region.y + height, region.x : region.x + width] = region.values
    np.testing.assert_allclose(made, whole, rtol=0, atol=TOLERANCE)


def test_too_little_memory_is_an_error_at_load(models: Path) -> None:
    with cuda_on_host(100_000), pytest.raises(BackendError, match=r"its weights need 0\.943 MiB of device memory"):
        wavetile.load("silero_vad", backend="cuda")


class _Sink:
    """Counts a stream's results."""

    def __init__(self, frames: int) -> None:
        self.values: list[np.ndarray] = []
        self.error: Exception | None = None
        self.done = asyncio.Event()
        self._frames = frames

    def frame_done(self, result: FrameResult, /) -> None:
        self.values.append(result.output.values["probability"])
        if len(self.values) == self._frames:
            self.done.set()

    def frame_failed(self, error: Exception, /) -> None:
        self.error = error
        self.done.set()


async def test_sessions_on_several_compute_threads(models: Path) -> None:
    """Two executors, two threads: every stream gets what it gets alone."""
    rng = np.random.default_rng(0)
    signals = 0.1 * rng.standard_normal((3, 4 * 512)).astype(np.float32)
    with cuda_on_host():
        model = wavetile.load("silero_vad", backend="cuda")
        scheduler = Scheduler(threads=2)
        scheduler.start()
        try:
            scheduled = scheduler.add("silero_vad", [model.executor(16), model.executor(16)])
            sinks = [_Sink(4) for _ in signals]
            loop = asyncio.get_running_loop()
            for sink, samples in zip(sinks, signals, strict=True):
                stream = scheduler.attach(
                    model.open_session(), model=scheduled, deadlines=Deadlines(10**12, 10**12), sink=sink, loop=loop
                )
                stream.feed(samples)
            await asyncio.gather(*(sink.done.wait() for sink in sinks))
        finally:
            scheduler.stop()
        for sink, samples in zip(sinks, signals, strict=True):
            assert sink.error is None
            with model.stream() as alone:
                np.testing.assert_array_equal(np.concatenate(sink.values), alone.process(samples).values["probability"])
