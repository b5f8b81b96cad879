"""Sampling against ONNX Runtime, or ONNX's own reference where that has no kernel; regions against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from wavetile.kernels.opcodes_sampling import Beyond, Coordinates, Interpolation

from .harness import Lanes, Out, run_kernel
from .layouts import ALL_BACKENDS, random_input, random_output
from .tolerances import TOLERANCES


def one_node(
    operator: str, inputs: list[np.ndarray], *, opset: int = 20, reference: bool = False, **attributes: Any
) -> np.ndarray:
    """The one output of a one-node network on ONNX Runtime, or on ONNX's reference."""
    names = [f"input{i}" for i in range(len(inputs))]
    node = helper.make_node(operator, names, ["y"], **attributes)
    kinds = [helper.np_dtype_to_tensor_dtype(value.dtype) for value in inputs]
    values = [helper.make_tensor_value_info(n, k, v.shape) for n, k, v in zip(names, kinds, inputs, strict=True)]
    graph = helper.make_graph([node], "one", values, [helper.make_tensor_value_info("y", 1, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    feeds = dict(zip(names, inputs, strict=True))
    if reference:
        (output,) = ReferenceEvaluator(model).run(None, feeds)
        return np.asarray(output)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feeds)[0])


def run_sample(backend: str, x: Lanes, grid: Lanes, y: Out, *choices: Any) -> np.ndarray:
    interpolation, beyond, coordinates = choices
    return run_kernel(
        "sample", backend, lanes=x.array.shape[0], x=x, grid=grid, y=y,
        interpolation=interpolation, beyond=beyond, coordinates=coordinates,
    )["y"]  # fmt: skip


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("interpolation", Interpolation)
@pytest.mark.parametrize("beyond", Beyond)
@pytest.mark.parametrize("corners", [0, 1])
@pytest.mark.parametrize("axes", [2, 3])
def test_grids(backend: str, interpolation: Interpolation, beyond: Beyond, corners: int, axes: int) -> None:
    rng = np.random.default_rng(axes + 4 * corners)
    cubic_volume = axes == 3 and interpolation is Interpolation.CUBIC  # which ONNX Runtime does not have
    for size in ((4, 5, 6), (3, 1, 2)):
        size = size[3 - axes :]
        lanes, layout = (1, "dense") if cubic_volume else (2, "shuffled")
        x = random_input((2, 3, *(1,) * (3 - axes), *size), lanes, rng, layout)
        grid = random_input((2, 12, axes), lanes, rng, layout)
        if cubic_volume:  # it divides by a size less one, and clamps coordinates where PyTorch does not
            x = random_input((2, 3, 4, 5, 6), lanes, rng, layout)
            size, grid = (4, 5, 6), Lanes(np.clip(grid.array, -1, 1))
        choices = interpolation, beyond, Coordinates.CENTRES if corners else Coordinates.EDGES
        got = run_sample(backend, x, grid, random_output((2, 3, 12), rng, layout), *choices)
        expected = one_node(
            "GridSample",
            [x.array.reshape(-1, 3, *size), grid.array.reshape(-1, *(3, 4) if axes == 2 else (3, 2, 2), axes)],
            mode=interpolation.name.lower(),
            padding_mode=beyond.name.lower(),
            align_corners=corners,
            reference=cubic_volume,
        )
        np.testing.assert_allclose(got, expected.reshape(got.shape), **TOLERANCES["sample"])


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("beyond", Beyond)
@pytest.mark.parametrize("interpolation", Interpolation)
def test_no_grid_leads_outside(backend: str, beyond: Beyond, interpolation: Interpolation) -> None:
    wild = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e10, -1e10, 1e20], np.float32)
    grid = np.stack([wild, np.zeros_like(wild)], axis=1).reshape(1, 1, 8, 2)
    x = np.arange(1, 13, dtype=np.float32).reshape(1, 1, 1, 1, 3, 4)
    got = run_sample(backend, Lanes(x), Lanes(grid), Out((1, 1, 8)), interpolation, beyond, Coordinates.EDGES)
    assert np.isfinite(got).all()
    if beyond is Beyond.ZEROS:
        np.testing.assert_array_equal(got.ravel()[1:], 0)
    if beyond is Beyond.BORDER:
        np.testing.assert_allclose(got.ravel()[1:], [8, 5, 8, 5, 8, 5, 8], rtol=1e-6)


@pytest.mark.parametrize("backend", ALL_BACKENDS[1:])
def test_backends_agree_about_elements(backend: str) -> None:
    rng = np.random.default_rng(0)
    x = Lanes(rng.standard_normal((1, 2, 3, 3, 4, 5)).astype(np.float32))
    grid = Lanes(rng.uniform(-2, 6, (1, 2, 50, 3)).astype(np.float32))
    choices = Interpolation.LINEAR, Beyond.ZEROS, Coordinates.ELEMENTS
    expected, got = (run_sample(name, x, grid, Out((2, 3, 50)), *choices) for name in ("reference", backend))
    np.testing.assert_allclose(got, expected, **TOLERANCES["sample"])


def random_regions(rng: np.random.Generator, count: int, size: float) -> np.ndarray:
    corners = rng.uniform(-2, size + 2, (count, 2, 2)).astype(np.float32)
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("samples", [0, 2])
@pytest.mark.parametrize("shift", ["half_pixel", "output_half_pixel"])
def test_roi_align(backend: str, mode: str, samples: int, shift: str) -> None:
    rng = np.random.default_rng(samples)
    x, regions = random_input((2, 3, 9, 11), 1, rng, "shuffled"), random_regions(rng, 6, 18)
    images = rng.integers(0, 2, 6)
    expected = one_node(
        "RoiAlign", [x.array[0], regions, images], output_height=3, output_width=4, sampling_ratio=samples,
        spatial_scale=0.5, mode=mode, coordinate_transformation_mode=shift,
    )  # fmt: skip
    got = run_kernel(
        "roi_align", backend, x=x, regions=Lanes(regions[None]), images=Lanes(images[None]),
        y=random_output((6, 3, 3, 4), rng, "shuffled"), scale=0.5, offset=0.5 if shift == "half_pixel" else 0.0,
        samples=samples, largest=int(mode == "max"),
    )["y"]  # fmt: skip
    np.testing.assert_allclose(got[0], expected, **TOLERANCES["roi_align"])


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_max_roi_pool(backend: str) -> None:
    rng = np.random.default_rng(1)
    x = random_input((2, 3, 9, 11), 2, rng, "shuffled")
    regions = np.concatenate([rng.integers(0, 2, (7, 1)), random_regions(rng, 7, 18)], axis=1).astype(np.float32)
    expected = [one_node("MaxRoiPool", [lane, regions], pooled_shape=[3, 2], spatial_scale=0.5) for lane in x.array]
    grids = Lanes(np.stack([regions, regions]))
    y = random_output((7, 3, 3, 2), rng, "shuffled")
    got = run_kernel("max_roi_pool", backend, lanes=2, x=x, regions=grids, y=y, scale=0.5)["y"]
    np.testing.assert_array_equal(got, np.stack(expected))


@pytest.mark.parametrize("backend", ALL_BACKENDS)
def test_no_region_leads_outside(backend: str) -> None:
    x = np.ones((1, 1, 1, 4, 5), np.float32)
    wild = np.array([[np.nan] * 4, [-np.inf, 0, np.inf, 3], [3e38, 3e38, -3e38, 1e20], [0, 0, 1, 1], [0, 0, 1, 1]])
    regions = wild.astype(np.float32)
    y = Out((5, 1, 2, 2))
    images = np.array([[0, 0, 0, 1, -1]])
    aligned = run_kernel(
        "roi_align", backend, x=Lanes(x), regions=Lanes(regions[None]), images=Lanes(images), y=y, scale=1.0,
        offset=0.5, samples=1, largest=0,
    )["y"]  # fmt: skip
    assert np.isnan(aligned[0, 3:]).all()
    numbered = np.concatenate([np.array([[0], [0], [0], [1], [np.nan]], np.float32), regions], axis=1)
    pooled = run_kernel("max_roi_pool", backend, x=Lanes(x), regions=Lanes(numbered[None]), y=y, scale=1.0)["y"]
    assert np.isin(pooled[0, :3], [0, 1]).all()
    assert np.isnan(pooled[0, 3:]).all()
