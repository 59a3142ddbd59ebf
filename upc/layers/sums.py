"""How the cards add up: in float64 whatever the precision of the arrays, the result rounded once at its end.

A sum of n float32 numbers taken in float32, one after another, errs by up to n roundings, and of equal numbers by a
good part of that: the mean of 3000x3000 times 0.7 comes out as 0.65. In float64 the n roundings are 2**29 times
smaller, so that no picture is large enough for them to show; n equal float32 numbers add up exactly as long as n is
below 2**29.
"""

from __future__ import annotations

import numpy as np

from upc.ir import Array


def wide(x: Array) -> Array:
    """The array in float64."""
    return np.asarray(x, np.float64)


def mean(x: Array, axes: tuple[int, ...]) -> Array:
    """The mean over some axes, which stay with size 1, in float64: axis by axis, so that errors do not pile up."""
    for axis in axes:
        x = x.mean(axis=axis, keepdims=True, dtype=np.float64)
    return x
