"""Definitions of the Fourier transforms: of real signals the sums themselves, in float64; of complex ones NumPy's.

tables: [elements] float32 of `packing_spectrum`, which the native kernels read

Source: ONNX DFT and STFT.
"""

from __future__ import annotations

import numpy as np

from .execute import definition


def _roots(bins: int, n: int) -> np.ndarray:
    """exp(2 pi i k t / n): [bins, n] complex128."""
    return np.exp(2j * np.pi * (np.outer(np.arange(bins), np.arange(n)) % n) / n)


@definition
def real_fft(x: np.ndarray, tables: np.ndarray, y: np.ndarray, scratch: np.ndarray) -> None:
    """y[r, k] = sum over t of x[r, t] exp(-2 pi i k t / n), as (real, imaginary).

    Args:
        x: [rows, n] float32.
        y: [rows, n // 2 + 1, 2] float32.
    """
    spectrum = x.astype(np.float64) @ _roots(y.shape[1], x.shape[1]).conj().T
    y[..., 0], y[..., 1] = spectrum.real, spectrum.imag


@definition
def inverse_real_fft(x: np.ndarray, tables: np.ndarray, y: np.ndarray, scratch: np.ndarray) -> None:
    """y[r, t] = 1 / n of the sum over all n bins, of which the upper half is the mirrored conjugate of the lower.

    Args:
        x: [rows, n // 2 + 1, 2] float32, as (real, imaginary).
        y: [rows, n] float32.
    """
    n = y.shape[1]
    weight = np.full(x.shape[1], 2.0)
    weight[0] = 1.0
    if n % 2 == 0:
        weight[-1] = 1.0
    spectrum = x[..., 0].astype(np.complex128)
    spectrum.imag = x[..., 1]
    spectrum.imag[:, 0] = 0.0
    if n % 2 == 0:
        spectrum.imag[:, -1] = 0.0
    spectrum *= weight
    y[...] = (spectrum @ _roots(x.shape[1], n)).real / n


@definition
def complex_fft(x: np.ndarray, tables: np.ndarray, y: np.ndarray, inverse: int, scratch: np.ndarray) -> None:
    """y[r, k] = sum over t of x[r, t] exp(-2 pi i k t / n); the inverse turns the other way and divides by n.

    By NumPy, which ONNX's own reference calls: in sums that cancel the rounding is part of the answer.

    Args:
        x, y: [rows, n, 2] float32, as (real, imaginary).
    """
    pairs = x[..., 0] + np.complex64(1j) * x[..., 1]
    spectrum = np.fft.ifft(pairs) if inverse else np.fft.fft(pairs)
    y[..., 0], y[..., 1] = spectrum.real, spectrum.imag
