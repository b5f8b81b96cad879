"""Networks of images and volumes, compiled for CUDA and run by the processor, beside what the CPU back end gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import wavetile
from tests.kernels.cuda.host import COMPILER, compiler_is_here
from tests.kernels.cuda.host_device import cuda_on_host
from wavetile.engine.graph import load_network
from wavetile.engine.models.card import CARDS_FOLDER
from wavetile.engine.models.evaluator import Evaluator
from wavetile.engine.models.streaming import NetworkStreams
from wavetile.engine.plan import Target, Workspace
from wavetile.kernels.rounding import Products
from wavetile.kernels.schemas import KERNELS

pytestmark = pytest.mark.skipif(not compiler_is_here(), reason=f"there is no {COMPILER} here")

SHAPES = {
    "retina_unet/retina_unet_flip1.onnx": ("patch", (1, 1, 16, 16)),
    "retina_wnet/lwnet_wnet_drive.onnx": ("image", (1, 3, 32, 32)),
    "meshnet3d/meshnet_model5_gw_ae.onnx": ("vol", (1, 1, 6, 10, 12)),
    "nuclei_compact.onnx": ("image", (1, 1, 32, 32)),
}
TOLERANCE = 2e-5
"""Of the largest number of an output; each back end is held against onnxruntime elsewhere."""


@pytest.mark.parametrize("name", SHAPES)
def test_whole(name: str, models: Path) -> None:
    network = load_network((models if "/" in name else CARDS_FOLDER) / name)
    key, shape = SHAPES[name]
    feeds = {key: np.random.default_rng(0).random(shape, np.float32)}
    expected = Evaluator(network, Target("cpu"), 1).run(feeds)
    with cuda_on_host(prefers="graph"):
        evaluator = Evaluator(network, Target("cuda"), 1)
        got = evaluator.run(feeds)
        program = evaluator.program({key: shape})
    assert program is not None
    assert "conv_winograd" not in {KERNELS[kernel].name for kernel in program.table.kernels}
    for output, array in expected.items():
        scale = max(1.0, float(np.abs(array).max()))
        np.testing.assert_allclose(got[output], array, rtol=0, atol=TOLERANCE * scale)


@pytest.mark.parametrize("products", Products, ids=lambda products: products.name.lower())
def test_rounded_products(products: Products) -> None:
    """What a U-Net's convolutions multiply is rounded, as the definition says, on CUDA alone."""
    image = np.random.default_rng(0).random((1, 1, 32, 32), np.float32)
    exact = wavetile.load("nuclei_compact", products=products.name.lower())
    (expected,) = exact.run({"image": image}).values()
    with cuda_on_host(prefers="graph"):
        model = wavetile.load("nuclei_compact", backend="cuda", products=products.name.lower())
        (got,) = model.run({"image": image}).values()
        program = model.program({"image": image.shape})
    assert program is not None
    assert "conv_rounded" in program.kernel_counts()
    assert (exact.describe().products, model.describe().products) == tuple(
        {"unet": kind} for kind in ("float32", products.name.lower())
    )
    definition = Workspace(program, "reference")
    definition.input("image")[0] = image
    definition.run(1)
    (defined,) = (definition.output(name)[0] for name in program.outputs)
    step = 2.0**-products.digits * float(np.abs(expected).max())
    # Errors of a dozen layers, each of one step of its operands, add up; another order of sums moves few of them.
    assert 0 < np.abs(got - expected).max() < 12 * step
    assert np.abs(got - defined).max() < step


@pytest.mark.parametrize(
    ("name", "axis", "sizes"),
    [
        ("nuclei_compact.onnx", "height", {"width": 16}),
        ("retina_unet/retina_unet_flip1.onnx", "H", {"N": 1, "W": 16}),
        ("meshnet3d/meshnet_model5_gw_ae.onnx", "D", {"H": 4, "W": 4}),
    ],
)
def test_certificate(name: str, axis: str, sizes: dict[str, int], models: Path) -> None:
    """A stream of rows, or slices, gives what the whole gives, each compiled for CUDA."""
    network = load_network((models if "/" in name else CARDS_FOLDER) / name)
    with cuda_on_host(prefers="graph"):
        _, certificate = NetworkStreams(network, Target("cuda")).plan([axis], [None], sizes)
    assert certificate.max_difference < 1e-5
