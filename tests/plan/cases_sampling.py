"""One-line networks that read between elements."""

from __future__ import annotations

import numpy as np

from tests.plan.cases import case
from tests.plan.networks import signal

for name, mode, shape, grid in (
    ("2d", "linear", (2, 3, 5, 6), (2, 4, 7, 2)),
    ("2d_cubic", "cubic", (2, 3, 5, 6), (2, 4, 7, 2)),
    ("3d", "linear", (1, 2, 4, 5, 6), (1, 3, 4, 5, 3)),
    ("3d_nearest", "nearest", (1, 2, 4, 5, 6), (1, 3, 4, 5, 3)),
):
    axes = ",".join("NCDHW"[: len(shape)])
    case(
        f"grid_sample_{name}",
        f"(float[{','.join(map(str, shape))}] x, float[{','.join(map(str, grid))}] g) => (float[{axes}] y) "
        f'{{ y = GridSample<mode="{mode}", padding_mode="border">(x, g) }}',
        {"x": shape, "g": grid},
        20,
    )
case(
    "grid_sample_bilinear_16",
    "(float[2,3,5,6] x, float[2,4,7,2] g) => (float[2,3,4,7] y) "
    '{ t = Transpose<perm=[0,1,3,2]>(x) y = GridSample<mode="bilinear", align_corners=1>(t, g) }',
    {"x": (2, 3, 5, 6), "g": (2, 4, 7, 2)},
    16,
)
for name, operands, extra in (("", "x, w, o", {}), ("_masked", "x, w, o, b, m", {"m": (2, 12, 4, 3)})):
    mask = ", float[2,12,4,3] m" if extra else ""
    case(
        f"deform_conv{name}",
        f"(float[2,4,7,6] x, float[2,24,4,3] o{mask}) => (float[2,6,4,3] y) {{ y = DeformConv<group=2, "
        f"offset_group=2, strides=[2,2], pads=[1,0,2,1], dilations=[2,1], kernel_shape=[2,3]>({operands}) }}",
        {"x": (2, 4, 7, 6), "o": (2, 24, 4, 3), **extra},
        19,
        w=signal((6, 2, 2, 3), 1),
        b=signal((6,), 2),
    )
case(
    "roi_align",
    "(float[2,3,9,11] x, float[3,4] r) => (float[3,3,2,4] y) "
    "{ y = RoiAlign<output_height=2, output_width=4, spatial_scale=0.5>(x, r, i) }",
    {"x": (2, 3, 9, 11), "r": (3, 4)},
    i=np.array([1, 0, 1], np.int64),
)
case(
    "max_roi_pool",
    "(float[2,3,9,11] x) => (float[2,3,2,3] y) { y = MaxRoiPool<pooled_shape=[2,3], spatial_scale=0.5>(x, r) }",
    {"x": (2, 3, 9, 11)},
    r=np.array([[1, 0, 2, 9, 12], [0, 4, 4, 30, 9]], np.float32),
)
