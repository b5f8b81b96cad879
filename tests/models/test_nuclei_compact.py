"""The compact nuclei U-Net that comes along: at hand without any folder or network, plain, and good on a real image."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.models.networks import onnx_outputs
from tests.training.fields import draw_field, normalise
from wavetile.engine.models import catalogue
from wavetile.engine.models.card import CARDS_FOLDER, find_card
from wavetile.engine.models.load import load
from wavetile.engine.models.model import Model
from wavetile.kernels.cache import CACHE_VARIABLE

NAME = "nuclei_compact"
MOST_WEIGHTS = 200_000
MOST_BYTES = 1_000_000
LEAST_AGREEMENT = 0.75


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name no folder of models, and let nothing be fetched."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing has to be fetched")

    monkeypatch.delenv(catalogue.MODELS_VARIABLE, raising=False)
    monkeypatch.setattr(catalogue, "fetch", refuse)


@pytest.fixture(scope="module")
def path() -> Path:
    """Return the file that ships."""
    return CARDS_FOLDER / f"{NAME}.onnx"


@pytest.fixture(scope="module")
def model() -> Model:
    """Return the model on native kernels."""
    return load(NAME)


@pytest.mark.usefixtures("cut_off")
def test_its_weights_lie_beside_the_card(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    card = find_card(NAME)
    (network,) = card.networks.values()
    assert catalogue.weights_path(card, network) == path
    assert card.licence == "Apache-2.0"
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.usefixtures("cut_off")
def test_it_loads_with_nothing_around_it() -> None:
    model = load(NAME)
    assert model.inputs["image"].dims == model.outputs["probability"].dims == (1, 1, "height", "width")


def test_it_is_small_and_plain(path: Path) -> None:
    network = onnx.load(path)
    onnx.checker.check_model(network, full_check=True)
    assert path.stat().st_size < MOST_BYTES
    assert sum(int(np.prod(one.dims)) for one in network.graph.initializer) <= MOST_WEIGHTS
    # Nothing looks at the whole image, and no shape is computed.
    assert Counter(node.op_type for node in network.graph.node) == {
        "Conv": 15, "Relu": 14, "MaxPool": 3, "Resize": 3, "Concat": 3, "Sigmoid": 1
    }  # fmt: skip


@pytest.mark.parametrize(("height", "width"), [(128, 128), (72, 200)])
def test_it_gives_onnxruntimes_numbers(model: Model, path: Path, height: int, width: int) -> None:
    image = np.random.default_rng(height).random((1, 1, height, width), np.float32)
    (expected,) = onnx_outputs(path, ["probability"], {"image": image})
    np.testing.assert_allclose(model.run({"image": image})["probability"], expected, rtol=1e-4, atol=1e-6)


def test_its_tiles_give_the_numbers_of_the_whole(model: Model) -> None:
    height, width = 136, 200
    image = np.random.default_rng(9).random((1, 1, height, width), np.float32)
    stream = model.tiles(height, width, tile=64)
    mosaic = np.full_like(image, np.nan)
    while stream.next_tile is not None:
        y, x = stream.next_tile
        rows, columns = stream.tile_shape(y, x)[-2:]
        for region in stream.put(y, x, image[:, :, y : y + rows, x : x + columns])["probability"]:
            there, along = region.values.shape[-2:]
            mosaic[:, :, region.y : region.y + there, region.x : region.x + along] = region.values
    np.testing.assert_allclose(mosaic, model.run({"image": image})["probability"], rtol=1e-4, atol=1e-6)


def test_it_finds_the_nuclei_of_an_image_that_it_never_saw(model: Model, data: Path) -> None:
    pillow = pytest.importorskip(
        "PIL.Image", reason="Pillow, which reads TIFF, is not installed: the extra `report` has it"
    )
    image, mask = (data / "nuclei" / name for name in ("img2d.tif", "mask2d.tif"))
    if not (image.is_file() and mask.is_file()):
        pytest.skip(f"{image} or its mask is not there: the real image of nuclei was not shown to the network")
    probability = model.run({"image": normalise(np.asarray(pillow.open(image)))[None, None]})["probability"][0, 0]
    found, there = probability >= 0.5, np.asarray(pillow.open(mask)) > 0
    assert (found & there).sum() / (found | there).sum() >= LEAST_AGREEMENT


def test_fields_are_seeded_and_normalised() -> None:
    image, mask = draw_field(np.random.default_rng(3), 64)
    again, _ = draw_field(np.random.default_rng(3), 64)
    assert (image.dtype, image.shape, mask.dtype, mask.shape) == (np.float32, (64, 64), bool, (64, 64))
    assert np.array_equal(image, again)
    assert image[mask].mean() > image[~mask].mean()
    darkest, brightest = np.percentile(normalise(image), [1, 99.8])
    assert (darkest, brightest) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-5))
