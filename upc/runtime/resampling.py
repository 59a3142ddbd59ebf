"""Which pixels of an axis resampling mixes and how much of each: for the reference as for the kernels, NumPy alone."""

from __future__ import annotations

import numpy as np


def axis_taps(
    size: int, result: int, interpolation: str, coordinates: str, coefficient: float, border: str
) -> tuple[np.ndarray, np.ndarray]:
    """(pixels, shares), (result, taps) each: whole numbers, and float64 that sum to 1 along the taps.

    Pixel i of the result is the sum over t of shares[i, t] * source[pixels[i, t]]; the words are those of `resizing`.
    """
    i = np.arange(result, dtype=np.int64)
    if interpolation == "nearest":
        # Whole numbers decide, so that no rounding can move a pixel.
        nearest = i * size // result if coordinates == "asymmetric" else (2 * i + 1) * size // (2 * result)
        return nearest[:, None], np.ones((result, 1))
    # Products first: a place that is a whole number comes out as one.
    if coordinates == "align_corners":
        place = i * (size - 1) / max(result - 1, 1)
    elif coordinates == "asymmetric":
        place = i * size / result
    else:
        place = (2 * i + 1) * size / (2 * result) - 0.5
    base = np.floor(place).astype(np.int64)
    if interpolation == "bilinear":
        part = place - base
        seen, shares = np.stack([base, base + 1], axis=1), np.stack([1 - part, part], axis=1)
    else:
        seen = base[:, None] + np.arange(-1, 3)
        shares = _cubic(np.abs(place[:, None] - seen), coefficient)
        if border == "renormalize":
            shares = np.where((seen >= 0) & (seen < size), shares, 0.0)
            shares /= shares.sum(axis=1, keepdims=True)
    return np.clip(seen, 0, size - 1), shares


def _cubic(t: np.ndarray, a: float) -> np.ndarray:
    """Keys's kernel at distances t."""
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((t - 5) * t + 8) * t * a - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))
