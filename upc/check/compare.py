"""Two arrays side by side: how far apart they are, absolutely, relatively and in steps of float32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from upc.ir import Array


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two arrays lie apart.

    `max_abs` is the largest |a - b| (infinite where a NaN or an infinity stands on one side only, or
    where shapes differ), `max_rel` that over the largest magnitude, `ulp` the most float32 numbers
    between two elements, `where` the index of the largest difference.
    """

    max_abs: float
    max_rel: float
    ulp: int
    where: tuple[int, ...] = ()
    shapes: tuple[tuple[int, ...], tuple[int, ...]] | None = None


APART = 2**32
"""Steps between two elements that cannot be compared: as many as there are float32 numbers."""


def difference(a: Array, b: Array) -> Difference:
    """How far two arrays lie apart; equal NaNs and infinities are no difference."""
    if a.shape != b.shape:
        return Difference(np.inf, np.inf, APART, shapes=(a.shape, b.shape))
    if not a.size:
        return Difference(0.0, 0.0, 0)
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(a64) & np.isfinite(b64)
    equal = (a64 == b64) | (np.isnan(a64) & np.isnan(b64))
    with np.errstate(invalid="ignore"):
        gaps = np.where(equal, 0.0, np.where(finite, np.abs(a64 - b64), np.inf))
    where = tuple(int(i) for i in np.unravel_index(int(gaps.argmax()), gaps.shape))
    largest = float(gaps.max())
    scale = max(float(np.abs(a64[finite]).max(initial=0)), float(np.abs(b64[finite]).max(initial=0)))
    relative = 0.0 if largest == 0 else largest / scale if scale else np.inf
    steps = np.where(equal, 0, np.where(finite, np.abs(_ordinals(a64) - _ordinals(b64)), APART))
    return Difference(largest, float(relative), int(steps.max()), where)


def _ordinals(values: Array) -> Array:
    """The position of each element, rounded to float32, among all float32 numbers in their order."""
    with np.errstate(over="ignore"):
        bits = values.astype(np.float32).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)
