"""The table of resampling that reference and Numba share, held to whole and broken numbers that know no rounding."""

from __future__ import annotations

import itertools
from fractions import Fraction
from math import floor

import numpy as np
import pytest

from upc.runtime.resampling import axis_taps

SIZES = (1, 2, 3, 5, 8, 16, 31)
RESULTS = (1, 2, 3, 7, 14, 16, 64)
COORDINATES = ("half_pixel", "align_corners", "asymmetric")
METHODS = [
    *(("nearest", coordinates, -0.5, "renormalize") for coordinates in ("half_pixel", "asymmetric")),
    *(("bilinear", coordinates, -0.5, "renormalize") for coordinates in COORDINATES),
    *(("bicubic", coordinates, -0.5, "renormalize") for coordinates in COORDINATES),
    *(("bicubic", coordinates, -0.75, "replicate") for coordinates in COORDINATES),
    *(("bicubic", coordinates, -1.0, "renormalize") for coordinates in COORDINATES),
]


def place(i: int, size: int, result: int, coordinates: str) -> Fraction:
    """Where pixel i of the result looks."""
    if coordinates == "align_corners":
        return Fraction(i * (size - 1), result - 1) if result > 1 else Fraction(0)
    if coordinates == "asymmetric":
        return Fraction(i * size, result)
    return (i + Fraction(1, 2)) * size / result - Fraction(1, 2)


def keys(t: Fraction, a: Fraction) -> Fraction:
    t = abs(t)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else Fraction(0)


def row(i: int, size: int, result: int, interpolation: str, coordinates: str, a: float, border: str) -> list[Fraction]:
    """What pixel i of the result sees of each pixel."""
    at, seen = place(i, size, result, coordinates), [Fraction(0)] * size
    if interpolation == "nearest":
        seen[floor(at if coordinates == "asymmetric" else at + Fraction(1, 2))] = Fraction(1)
        return seen
    edge = interpolation == "bilinear" or border == "replicate"
    for pixel in range(floor(at) - 1, floor(at) + 3):
        share = max(Fraction(0), 1 - abs(at - pixel)) if interpolation == "bilinear" else keys(at - pixel, Fraction(a))
        if edge or 0 <= pixel < size:
            seen[min(max(pixel, 0), size - 1)] += share
    return [share / sum(seen) for share in seen]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: "-".join(map(str, method)))
def test_every_share_is_what_it_should_be(method: tuple[str, str, float, str]) -> None:
    for size, result in itertools.product(SIZES, RESULTS):
        pixels, shares = axis_taps(size, result, *method)
        assert pixels.min() >= 0 and pixels.max() < size and shares.dtype == np.float64
        matrix = np.zeros((result, size))
        for tap in range(pixels.shape[1]):
            np.add.at(matrix, (np.arange(result), pixels[:, tap]), shares[:, tap])
        wanted = [[float(share) for share in row(i, size, result, *method)] for i in range(result)]
        np.testing.assert_allclose(matrix, wanted, rtol=0, atol=2e-14, err_msg=f"{size} to {result}")


@pytest.mark.parametrize("coordinates", COORDINATES)
def test_a_pixel_that_is_looked_at_squarely_is_taken_alone(coordinates: str) -> None:
    """No rounding makes 29.999999999999996 of 30: the last corner of 31 pixels, made 14."""
    for size, result in itertools.product(SIZES, RESULTS):
        pixels, shares = axis_taps(size, result, "bilinear", coordinates, -0.5, "renormalize")
        for i in range(result):
            at = place(i, size, result, coordinates)
            if at.denominator == 1 and at >= 0:
                assert (pixels[i, 0], *shares[i]) == (at, 1, 0), f"{size} to {result}, pixel {i}"
