"""One-line networks: every mode of Resize, along every axis."""

from __future__ import annotations

import numpy as np

from tests.plan.cases import IMAGE, X, case, ints

VOLUME = {"x": (1, 2, 5, 6, 7)}
COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")


def resize(name: str, attributes: str, sizes: tuple[int, ...], inputs: dict[str, tuple[int, ...]] = IMAGE) -> None:
    """Add a Resize to sizes."""
    source, target = (",".join(map(str, shape)) for shape in (inputs["x"], sizes))
    body = f"(float[{source}] x) => (float[{target}] y) {{ y = Resize<{attributes}>(x, , , s) }}"
    case(f"resize_{name}", body, inputs, 19, s=ints(*sizes))


for coordinates in COORDINATES:
    mode = f'coordinate_transformation_mode="{coordinates}"'
    resize(f"cubic_{coordinates}", f'mode="cubic", {mode}', (1, 4, 13, 7))
    resize(f"volume_{coordinates}", f'mode="linear", {mode}', (1, 2, 9, 4, 11), VOLUME)
resize("cubic_exclude", 'mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5', (1, 4, 13, 7))
resize("line", 'mode="linear"', (2, 3, 8), X)
for kind in ("linear", "cubic"):
    resize(f"antialias_{kind}", f'mode="{kind}", antialias=1', (1, 4, 5, 4))
    resize(f"antialias_{kind}_mixed", f'mode="{kind}", antialias=1', (1, 4, 20, 4))
for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
    for coordinates in ("half_pixel", "align_corners"):
        mode = f'nearest_mode="{rounding}", coordinate_transformation_mode="{coordinates}"'
        resize(f"nearest_{coordinates}_{rounding}", f'mode="nearest", {mode}', (1, 4, 13, 7))
for policy in ("not_larger", "not_smaller"):
    case(
        f"resize_{policy}",
        "(float[1,4,9,11] x) => (float[1,4,H,W] y) "
        f'{{ y = Resize<mode="linear", keep_aspect_ratio_policy="{policy}", axes=[2,3]>(x, , , s) }}',
        IMAGE,
        19,
        s=ints(13, 14),
    )
for kind in ("nearest", "linear"):
    case(
        f"resize_crop_{kind}",
        f'(float[1,4,9,11] x) => (float[1,4,6,5] y) {{ y = Resize<mode="{kind}", extrapolation_value=7.5, '
        'coordinate_transformation_mode="tf_crop_and_resize">(x, r, , s) }',
        IMAGE,
        19,
        r=np.array([0, 0, 0.2, -0.3, 1, 1, 1.4, 0.8], np.float32),
        s=ints(1, 4, 6, 5),
    )
case(
    "resize_channels_last",
    '(float[1,9,11,16] x) => (float[1,13,7,16] y) { y = Resize<mode="linear", axes=[1,2]>(x, , , s) }',
    {"x": (1, 9, 11, 16)},
    19,
    s=ints(13, 7),
)
