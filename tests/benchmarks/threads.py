"""Two threads on one image: how much faster than one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import wavetile
from tests.benchmarks.networks import Effort
from tests.benchmarks.rows import Row
from wavetile.engine.commands.peer import Peer

SHAPE = (1, 1, 512, 512)


def measure_threads(models: Path, effort: Effort) -> Row:
    """The nuclei U-Net with threads=2; what it is compared with is itself with one."""
    path = models / "nuclei_unet/weights.onnx"
    image = {"input.1": np.random.default_rng(2).standard_normal(SHAPE).astype(np.float32)}
    one, two = wavetile.load(path), wavetile.load(path, threads=2)
    peer = Peer(path)
    expected, (got,) = one.run(image), two.run(image).values()
    difference = max(float(np.abs(got - array).max() / np.abs(array).max()) for array in expected.values())
    timings = effort.take_turns(
        lambda step: two.run(image),
        lambda step: peer.session.run(None, image),
        {"threads=1": lambda step: one.run(image)},
        call_seconds=1.0,
    )
    return Row(
        "threads", "nuclei_unet/weights.onnx", "512 x 512, threads=2", difference, timings, {"threads=1": 1.8},
        note="onnxruntime on one thread",
    )  # fmt: skip
