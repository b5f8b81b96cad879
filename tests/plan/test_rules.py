"""Every rule against onnxruntime, on both back ends: one small network a case."""

from __future__ import annotations

import numpy as np
import pytest

from tests.plan import (  # noqa: F401  (they fill CASES)
    cases_arriving,
    cases_contractions,
    cases_elements,
    cases_indexing,
    cases_normalisation,
    cases_quantised,
    cases_resize,
    cases_sampling,
    cases_spectral,
    cases_statistics,
    cases_volumes,
    cases_windows,
)
from tests.plan.cases import CASES, IMAGE, ints
from tests.plan.networks import assert_matches, compile_model, parse, signal
from wavetile.engine.errors import UnsupportedError


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("name", list(CASES))
def test_rule_matches_onnxruntime(name: str, backend: str) -> None:
    body, inputs, constants, opset = CASES[name]
    feeds = {key: signal(shape, seed) for seed, (key, shape) in enumerate(inputs.items())}
    assert_matches(parse(body, opset=opset, constants=constants), feeds, backend)


REFUSED = {
    "scatter_outside": (
        "(float[6,5] x, float[2,5] u) => (float[6,5] y) { y = ScatterND(x, i, u) }",
        {"x": (6, 5), "u": (2, 5)},
        {"i": np.array([[0], [6]], np.int64)},
        "outside of",
    ),
    "scatter_more_updates_than_rows": (
        "(float[6,5] x, float[3,5] u) => (float[6,5] y) { y = ScatterND(x, i, u) }",
        {"x": (6, 5), "u": (3, 5)},
        {"i": np.array([[0], [0]], np.int64)},
        "15 elements, which do not fit",
    ),
    "scatter_fewer_updates_than_places": (
        "(float[2,3,5] x, float[2,2,3] u) => (float[2,3,5] y) { y = ScatterElements<axis=1>(x, i, u) }",
        {"x": (2, 3, 5), "u": (2, 2, 3)},
        {"i": np.zeros((2, 2, 4), np.int64)},
        "of one shape",
    ),
    "gather_more_rows_than_there_are": (
        "(float[2,3] x) => (float[5,3] y) { y = GatherElements<axis=1>(x, i) }",
        {"x": (2, 3)},
        {"i": np.zeros((5, 3), np.int64)},
        "none may be longer",
    ),
    "scatter_to_more_rows_than_there_are": (
        "(float[2,3] x, float[5,3] u) => (float[2,3] y) { y = ScatterElements<axis=1>(x, i, u) }",
        {"x": (2, 3), "u": (5, 3)},
        {"i": np.zeros((5, 3), np.int64)},
        "none may be longer",
    ),
    "resize_antialias": (
        "(float[1,4,9,11] x) => (float[1,4,H,W] y) { y = Resize<antialias=1>(x, , , s) }",
        IMAGE,
        {"s": ints(1, 4, 5, 7)},
        "antialias",
    ),
    "no_rule": ("(float[2,3] x) => (float[2,3] y) { y = RandomUniformLike(x) }", {"x": (2, 3)}, {}, "no rule"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_is_not_there_is_refused_by_name(name: str) -> None:
    body, inputs, constants, words = REFUSED[name]
    model = parse(body, opset=18, constants=constants)
    feeds = {key: signal(shape) for key, shape in inputs.items()}
    with pytest.raises(UnsupportedError, match=words):
        compile_model(model, feeds)
