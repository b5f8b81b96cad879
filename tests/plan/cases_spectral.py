"""One-line networks: DFT and STFT. What onnxruntime has no kernel for is compared with NumPy in `test_spectral`."""

from __future__ import annotations

import numpy as np

from tests.plan.cases import case, ints
from tests.plan.networks import signal

for onesided, bins in ((1, 9), (0, 16)):
    case(
        f"dft_real_{onesided}",
        f"(float[2,16,1] x) => (float[2,{bins},2] y) {{ y = DFT<axis=1, onesided={onesided}>(x) }}",
        {"x": (2, 16, 1)},
    )
    case(
        f"stft_{onesided}",
        f"(float[2,60,1] x) => (float[2,12,{bins},2] y) {{ y = STFT<onesided={onesided}>(x, s, w) }}",
        {"x": (2, 60, 1)},
        s=np.array(4, np.int64),
        w=signal((16,), 1),
    )
for inverse in (0, 1):
    case(
        f"dft_complex_{inverse}",
        f"(float[2,15,3,2] x) => (float[2,15,3,2] y) {{ y = DFT<axis=1, inverse={inverse}>(x) }}",
        {"x": (2, 15, 3, 2)},
    )
    for length in (12, 20):
        case(
            f"dft_length_{length}_{inverse}",
            f"(float[2,15,2] x) => (float[2,{length},2] y) {{ y = DFT<axis=1, inverse={inverse}>(x, n) }}",
            {"x": (2, 15, 2)},
            n=np.array(length, np.int64),
        )
case(
    "dft_axis_input",
    "(float[2,6,10,1] x) => (float[2,4,10,2] y) { y = DFT<onesided=1>(x, , a) }",
    {"x": (2, 6, 10, 1)},
    20,
    a=np.array(-3, np.int64),
)
case(
    "dft_of_a_prime",
    "(float[37,1] x) => (float[37,37,2] y) { e = Expand(x, z) y = DFT<axis=1>(e) }",
    {"x": (37, 1)},
    z=ints(37, 37, 1),
)
case(
    "dft_double",
    "(float[2,15,1] x) => (float[2,8,2] y) { d = Cast<to=11>(x) f = DFT<axis=1, onesided=1>(d) y = Cast<to=1>(f) }",
    {"x": (2, 15, 1)},
)
case(
    "stft_without_window",
    "(float[2,60,1] x) => (float[2,6,6,2] y) { y = STFT(x, s, , n) }",
    {"x": (2, 60, 1)},
    s=np.array(10, np.int64),
    n=np.array(10, np.int64),
)
