"""Image models as a whole, checked against the output that their authors keep with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import wavetile
from tests.benchmarks.rows import Row
from wavetile.engine.commands.duel import Duel
from wavetile.engine.commands.measure import take_turns


def measure_unet(models: Path, seconds: float) -> Row:
    """The nuclei U-Net on its own test image."""
    model = wavetile.load("nuclei_unet")
    folder = models / "nuclei_unet"
    # Around the network, as its bioimageio.yaml says: zero mean and unit variance before, a sigmoid behind.
    image = np.load(folder / "test_input.npy").astype(np.float64)
    image = ((image - image.mean()) / (image.std() + 1e-6)).astype(np.float32)
    (logits,) = model.run({next(iter(model.inputs)): image}).values()
    mask = 1 / (1 + np.exp(-logits.astype(np.float64)))
    difference = float(np.abs(mask - np.load(folder / "test_output.npy")).max())
    duel = Duel(model, "nuclei_unet")
    difference = max(difference, duel.compare())
    timings = take_turns(duel.sides(), seconds=seconds)
    return Row("nuclei_unet", "512 x 512 image", difference, timings["onnxruntime"], timings["run"])
