"""Spectra."""

from __future__ import annotations

from ..contract import Int, Kernel, Tensor

REAL_FFT = Kernel(
    "real_fft",  # y[r, k] = sum over n of x[r, n] exp(-2 pi i k n / N), k = 0 .. N/2, as (real, imaginary)
    (
        Tensor("x", 2, "rows"),
        Tensor("tables", 1, "dense"),  # packing_spectrum.fft_tables(n)
        Tensor("y", 3, written=True),  # [rows, n // 2 + 1, 2]
        Tensor("scratch", 1, "dense", written=True),
    ),
    scratch=lambda o: 4 * o["x"].shape[1] + 4,
)
INVERSE_REAL_FFT = Kernel(
    "inverse_real_fft",  # scaled by 1 / N; the imaginary parts of bin 0 and (even N) N / 2 are ignored
    (
        Tensor("x", 3, "rows"),  # [rows, n // 2 + 1, 2]
        Tensor("tables", 1, "dense"),
        Tensor("y", 2, "rows", written=True),  # [rows, n]
        Tensor("scratch", 1, "dense", written=True),
    ),
    scratch=lambda o: 4 * o["y"].shape[1] + 4,
)
COMPLEX_FFT = Kernel(
    "complex_fft",  # y[r, k] = sum over n of x[r, n] exp(-2 pi i k n / N), pairs of (real, imaginary)
    (
        Tensor("x", 3, "rows"),  # [rows, n, 2]
        Tensor("tables", 1, "dense"),  # packing_spectrum.complex_fft_tables(n)
        Tensor("y", 3, "rows", written=True),  # [rows, n, 2]
        Int("inverse"),  # 1: exp(+2 pi i k n / N) and a factor of 1 / N
        Tensor("scratch", 1, "dense", written=True),
    ),
    scratch=lambda o: 4 * o["x"].shape[1],
)
