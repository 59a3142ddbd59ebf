"""Patches of a filtering that came out infinite or as NaN, made again as the plain convolution makes them.

Values at points are many times as large as the pixels they are sums of, and what is read off is a difference of larger
numbers still: near the largest float32 they overflow where the result does not. And every value of a patch has all its
pixels in it, so that one NaN among these would spoil all results. Overflow leaves infinities and NaNs, never another
number; so patches without any are right, and what the others cost, only they cost.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from upc.runtime.records import D_BLOCK, D_TAPS, D_TAPS_END, D_WEIGHTS
from upc.runtime.registers import TileType, any_nan, past
from upc.runtime.steps import Entries
from upc.runtime.subroutine import Floats, Integers, floats, kernel
from upc.runtime.tile import fill, multiply_add, store_rows


@cache
def is_spoilt(tile: TileType, i: int) -> Any:
    """Intrinsic (place): whether a lane of vector `i` there is NaN."""

    @intrinsic
    def is_spoilt_at(typing: Any, place: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            found = builder.load(past(builder, builder.bitcast(args[0], tile.vector.as_pointer()), i))
            return any_nan(builder, tile, found)

        return types.boolean(types.voidptr), generate

    return is_spoilt_at


@intrinsic
def address_at(typing: Any, place: Any) -> Any:
    """(place): its address as a number."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(args[0], ir.IntType(64))

    return types.int64(types.voidptr), generate


@kernel
def mend_patch(tile: TileType, pitch: int) -> Any:
    """The function that makes the pixels of a patch again, a vector of channels each; `tile` is a row of it."""
    rows, width = tile.rows, tile.width
    step = multiply_add(tile, tuple(range(0, rows * pitch, pitch)), 0)
    nothing, end = fill(tile, 0.0), store_rows(tile)

    def make_again(
        table: Integers, at: int, block: int, depth: int, row: int, source: Floats, s: int, weights: Floats, place: int
    ) -> None:
        patch = floats(place)
        for i in range(rows):
            acc, w = nothing(), table[at + D_WEIGHTS] + block * table[at + D_BLOCK]
            for tap in range(table[at + D_TAPS], table[at + D_TAPS_END]):
                pixel = s + i * row + table[tap]
                for k in range(pixel, pixel + depth):
                    acc = step(acc, source, k, weights, w, k)
                    w += width
            end(acc, patch, i * rows * width, rows)

    return make_again


def met_taps(rows: Entries, columns: Entries) -> list[list[tuple[int, int, list[tuple[int, int]]]]]:
    """(row, column, kernel entries) of the taps of each phase that meet any entry: no other pixel has a part in it."""
    return [
        [
            (i, j, list(product(down, across)))
            for (i, down), (j, across) in product(enumerate(phase_rows), enumerate(phase_columns))
            if down and across
        ]
        for phase_rows, phase_columns in product(rows, columns)
    ]


def direct_kernel(kernel: np.ndarray, entries: list[list[tuple[int, int]]], lanes: int, place: np.ndarray) -> None:
    """Write a phase's kernel as (block of channels, tap, input, lane), its entries at each tap added up."""
    inputs, outputs = kernel.shape[2:]
    blocks = place.reshape(-1, len(entries), inputs, lanes)
    for tap, met in enumerate(entries):
        total = np.zeros((inputs, len(blocks) * lanes))
        for y, x in met:
            total[:, :outputs] += kernel[y, x]
        blocks[:, tap] = total.reshape(inputs, -1, lanes).transpose(1, 0, 2)
