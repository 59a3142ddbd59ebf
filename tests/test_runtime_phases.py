"""Phases against the layers they stand for: carried out pixel by pixel, as slowly and plainly as can be."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from random import Random

import numpy as np
import pytest

from upc.ir import Array
from upc.layers import construct
from upc.runtime.convolution import zeros_before
from upc.runtime.layout import View
from upc.runtime.phases import Phases, convolution_phases, fold, taps_per_pixel, transposed_phases, upsampled_phases
from upc.runtime.steps import Convolution
from upc.runtime.windows import window_start
from upc.shape import conv_transpose_crop, evaluate, same_padding, window_span

Pair = tuple[int, int]


def carried_out(phases: Phases, kernel: Array, x: Array, target: Pair) -> Array:
    """What the phases make of one picture; every target pixel must be made once, and no further than `reach` read."""
    height, width, _ = x.shape
    top, bottom, left, right = phases.reach((height, width), target)
    framed = np.pad(x, ((top, bottom), (left, right), (0, 0)))
    y = np.full((*target, kernel.shape[-1]), np.nan)
    for phase in phases.phases:
        rows, columns = phases.grid(phase, target)
        for i, j in product(range(rows), range(columns)):
            made = np.zeros((*phases.fold, kernel.shape[-1]))
            for tap in phase.taps:
                row, column = i * phases.pace[0] + tap.row + top, j * phases.pace[1] + tap.column + left
                assert row >= 0 and column >= 0, "reads before the rim"
                for pixel, entries in tap.parts:
                    made[divmod(pixel, phases.fold[1])] += framed[row, column] @ sum(kernel[entry] for entry in entries)
            down, across = phase.origin[0] + i * phases.step[0], phase.origin[1] + j * phases.step[1]
            block = y[down : down + phases.fold[0], across : across + phases.fold[1]]
            assert np.isnan(block).all(), "made twice"
            block[:] = made
    assert not np.isnan(y).any(), "never made"
    return y


def foldings(phases: Phases, target: Pair) -> list[Phases]:
    """The phases as they are, and folded by every block of pixels that divides the target."""
    (down, across), (height, width) = phases.step, target
    rows = sorted({1, *(n for n in range(down, height + 1, down) if height % n == 0)})
    columns = [n for n in range(across, width + 1, across) if width % n == 0 and width > 1]
    return [phases, *(fold(phases, block) for block in product(rows, columns))]


@pytest.mark.parametrize("seed", range(60))
def test_convolution(seed: int) -> None:
    r = Random(seed)
    kernel, strides, dilation = (tuple(r.randint(1, most) for _ in range(2)) for most in (4, 4, 3))
    padding = [[r.randint(0, 3), r.randint(0, 3)] for _ in range(2)]
    size = [(k - 1) * d + r.randint(1, 8) for k, d in zip(kernel, dilation, strict=True)]
    layer = construct(
        "conv2d",
        [2, list(kernel)],
        {"strides": list(strides), "padding": padding, "dilation_rate": list(dilation), "use_bias": False},
    )
    rng = np.random.default_rng(seed)
    x, weights = rng.standard_normal((*size, 3)), rng.standard_normal((*kernel, 3, 2))
    (expected,) = layer.forward([x[None]], {"kernel": weights})
    phases = convolution_phases(kernel, strides, dilation, (padding[0][0], padding[1][0]))
    for folded in foldings(phases, expected.shape[1:3]):
        np.testing.assert_allclose(carried_out(folded, weights, x, expected.shape[1:3]), expected[0], atol=1e-12)


@pytest.mark.parametrize("seed", range(60))
def test_transposed_convolution(seed: int) -> None:
    r = Random(seed)
    kernel, strides, dilation = (tuple(r.randint(1, most) for _ in range(2)) for most in (5, 4, 3))
    size = (r.choice([1, 2, 3, 5]), r.choice([1, 2, 4]))
    padding = r.choice(["same", "valid", [[r.randint(0, 1), 0], [0, r.randint(0, 1)]]])
    settings = {"strides": list(strides), "padding": padding, "dilation_rate": list(dilation), "use_bias": False}
    layer = construct("conv2d_transpose", [2, list(kernel)], settings)
    crops = [
        conv_transpose_crop(n, k, s, d, layer.padding if isinstance(layer.padding, str) else layer.padding[axis], None)
        for axis, (n, k, s, d) in enumerate(zip(size, kernel, strides, dilation, strict=True))
    ]
    if min(evaluate(made, {}) for _, made in crops) < 1:
        return  # nothing would be left
    rng = np.random.default_rng(seed)
    x, weights = rng.standard_normal((*size, 3)), rng.standard_normal((*kernel, 2, 3))
    (expected,) = layer.forward([x[None]], {"kernel": weights})
    target = expected.shape[1:3]
    given = weights.transpose(0, 1, 3, 2)
    # Phases made for any size serve this one too; those for a known size may make each pixel a phase of its own.
    for known in {size, (2, 2)}:
        crop = (crops[0][0], crops[1][0])
        phases = transposed_phases(kernel, strides, dilation, crop, known, target)
        for folded in foldings(phases, target):
            np.testing.assert_allclose(carried_out(folded, given, x, target), expected[0], atol=1e-12)


@pytest.mark.parametrize("seed", range(40))
def test_convolution_of_repeated_pixels(seed: int) -> None:
    r = Random(seed)
    kernel, scale, dilation = (tuple(r.randint(1, most) for _ in range(2)) for most in (4, 3, 2))
    padding = [[r.randint(0, 3), r.randint(0, 3)] for _ in range(2)]
    size = (r.randint(1, 4), r.randint(1, 5))
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    if any(n * s + sum(p) < span for n, s, p, span in zip(size, scale, padding, spans, strict=True)):
        return  # the window does not fit
    layer = construct(
        "conv2d", [2, list(kernel)], {"padding": padding, "dilation_rate": list(dilation), "use_bias": False}
    )
    rng = np.random.default_rng(seed)
    x, weights = rng.standard_normal((*size, 3)), rng.standard_normal((*kernel, 3, 2))
    (expected,) = layer.forward([x.repeat(scale[0], 0).repeat(scale[1], 1)[None]], {"kernel": weights})
    phases = upsampled_phases(kernel, scale, dilation, (padding[0][0], padding[1][0]))
    for folded in foldings(phases, expected.shape[1:3]):
        np.testing.assert_allclose(carried_out(folded, weights, x, expected.shape[1:3]), expected[0], atol=1e-12)


def test_no_inserted_zero_is_multiplied() -> None:
    """A transposed convolution has as many taps, over all its phases, as its kernel has entries."""
    for kernel, stride in ((4, 2), (5, 2), (3, 3), (2, 4), (7, 3)):
        phases = transposed_phases((kernel, kernel), (stride, stride), (1, 1), (0, 0), (9, 9), (9 * stride, 9 * stride))
        entries = [entry for phase in phases.phases for tap in phase.taps for _, parts in tap.parts for entry in parts]
        assert sorted(entries) == list(product(range(kernel), repeat=2))


def test_what_a_block_costs_is_known_before_it_is_folded() -> None:
    doubled = upsampled_phases((3, 5), (2, 2), (1, 1), (1, 2))
    strided = transposed_phases((3, 4), (2, 3), (1, 2), (1, 0), (9, 9), (18, 27))
    for phases in (doubled, strided, convolution_phases((3, 2), (2, 1), (1, 3), (1, 1))):
        for folded in foldings(phases, (12, 12)):
            taps = sum(len(phase.taps) for phase in folded.phases) / (folded.step[0] * folded.step[1])
            assert taps_per_pixel(phases, folded.fold) == pytest.approx(taps)


def test_repeated_pixels_are_read_once() -> None:
    """A 5x5 kernel over doubled pixels sees 3x3 different ones, whose entries are added up."""
    phases = upsampled_phases((5, 5), (2, 2), (1, 1), (2, 2))
    assert len(phases.phases) == 4
    assert all(len(phase.taps) == 9 for phase in phases.phases)


WINDOWS = list(product((1, 2, 5, 8), (1, 2, 3, 4), (1, 2, 3), (1, 2)))
"""(size, kernel, stride, dilation)"""


def view(height: int, width: int) -> View:
    return View(0, height * width * 2, width * 2, 2, height, width, 2, (0, 0, 0, 0))


@pytest.mark.parametrize(("size", "kernel", "stride", "dilation"), WINDOWS)
def test_same_is_the_cards_wherever_the_runtime_works_it_out(size: int, kernel: int, stride: int, dilation: int):
    """Zeros in front of rows, and beside them those of 5 columns under a window of 3 with a stride of 2."""
    source, target = (size, 5), (-(-size // stride), 3)
    wanted = same_padding(size, kernel, stride, dilation)[0], same_padding(5, 3, 2)[0]
    spans = window_span(kernel, dilation), 3
    assert window_start("same", spans, (stride, 2), view(*source), view(*target)) == wanted
    step = Convolution(
        *("y", 1, "x", "y"),
        kernel=(kernel, 3),
        inputs=2,
        outputs=2,
        weights=("kernel", None),
        strides=(stride, 2),
        dilation=(dilation, 1),
        padding="same",
    )
    assert zeros_before(step, source, target) == wanted
    back = replace(step, form="transposed")
    crops = [
        conv_transpose_crop(n, k, s, d, "same", None) for n, k, s, d in ((size, kernel, stride, dilation), (5, 3, 2, 1))
    ]
    whole = tuple(evaluate(made, {}) for _, made in crops)
    assert zeros_before(back, source, (whole[0], whole[1])) == tuple(before for before, _ in crops)
