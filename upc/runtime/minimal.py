"""Convolution by minimal filtering: fewer multiplications for small kernels (Winograd 1980, Toom-Cook).

A convolution is a product of polynomials, and a product is known from its values at enough points. So for
every patch of the target the pixels it needs are evaluated, the values multiplied by the kernel's at each pair
of points, and the result read off: for a patch of 4x4 pixels 36 products where 3x3 taps would take 144, 64
where 5x5 would take 400. The phases of a transposed convolution, or of one after an enlargement, are small
convolutions of the same source: their values are made once for all of them.

Adding up large values to small ones costs some bits, the more the more points there are: see
tests/test_minimal.py for the errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from math import prod
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from upc.runtime.registers import (
    TileType,
    fused_multiply_add,
    lanes_below,
    load_lanes,
    load_masked,
    past,
    store_masked,
)
from upc.runtime.steps import Entries
from upc.runtime.vectors import I64

POINTS = {4: ("1", "-1"), 6: ("3/4", "-3/4", "3/2", "-3/2"), 8: ("1", "-1", "1/2", "-1/2", "2", "-2")}
"""For each number of points, where the polynomials are evaluated besides at 0 and infinity.

Pairs of opposite signs share their sums; of those with few bits, these were the most exact.
"""

Matrix = tuple[tuple[float, ...], ...]


@cache
def filter_matrices(taps: int, patch: int) -> tuple[Matrix, Matrix, Matrix]:
    """(to values, of the kernel, back): back @ ((of the kernel @ g) * (to values @ d)) is g slid along d."""
    points = [Fraction(0), *(Fraction(point) for point in POINTS[taps + patch - 1])]
    values, kernel = [], []
    for point in points:
        others = [other for other in points if other != point]
        scale = prod((point - other for other in others), start=Fraction(1))
        values.append([*_from_roots(others), Fraction(0)])
        kernel.append([point**power / scale for power in range(taps)])
    values.append(_from_roots(points))
    kernel.append([Fraction(int(power == taps - 1)) for power in range(taps)])
    back = [[*(point**power for point in points), Fraction(int(power == patch - 1))] for power in range(patch)]
    return _numbers(values), _numbers(kernel), _numbers(back)


def _from_roots(roots: Sequence[Fraction]) -> list[Fraction]:
    """The coefficients of the product of x - root, lowest power first."""
    made = [Fraction(1)]
    for root in roots:
        made = [low - root * high for low, high in zip([Fraction(0), *made], [*made, Fraction(0)], strict=True)]
    return made


def _numbers(matrix: Sequence[Sequence[Fraction]]) -> Matrix:
    return tuple(tuple(float(number) for number in row) for row in matrix)


def kernel_values(size: tuple[int, int], patch: int, rows: Entries, columns: Entries) -> np.ndarray:
    """(values, entries): what a kernel of that size, its entries in order, is multiplied by for its values.

    The values stand in the order of pairs of points, and for each of these of phases.
    """
    axes = []
    for entries, length in ((rows, size[0]), (columns, size[1])):
        met = np.array([[[k in ks for k in range(length)] for ks in phase] for phase in entries], np.float64)
        of_kernel = np.array(filter_matrices(len(entries[0]), patch)[1])
        axes.append(np.einsum("at,ptk->apk", of_kernel, met))
    made: np.ndarray = np.einsum("apk,bql->abpqkl", *axes)
    return made.reshape(-1, size[0] * size[1])


def _combined(builder: Any, tile: TileType, matrix: Matrix, vectors: Sequence[Any]) -> list[Any]:
    """The matrix times a column of vectors. Rows, or columns, that differ in signs alone share their sums."""
    rows, inputs = [list(row) for row in matrix], list(vectors)
    for j in range(len(inputs) - 1):
        same = [row[j] == row[j + 1] for row in rows]
        if all(a or row[j] == -row[j + 1] for a, row in zip(same, rows, strict=True)) and not all(same):
            total, difference = builder.fadd(inputs[j], inputs[j + 1]), builder.fsub(inputs[j], inputs[j + 1])
            inputs[j : j + 2] = [total, difference]
            for a, row in zip(same, rows, strict=True):
                row[j : j + 2] = [row[j], 0.0] if a else [0.0, row[j]]
    made: list[Any] = []
    while len(made) < len(rows):
        row, following = rows[len(made)], rows[len(made) + 1] if len(made) + 1 < len(rows) else []
        shared = [n if n == m else 0.0 for n, m in zip(row, following, strict=False)]
        rest = [n if n == -m else 0.0 for n, m in zip(row, following, strict=False)]
        if any(shared) and any(rest) and [a or b for a, b in zip(shared, rest, strict=True)] == row:
            a, b = (_sum_of(builder, tile, part, inputs) for part in (shared, rest))
            made += [builder.fadd(a, b), builder.fsub(a, b)]
        else:
            made.append(_sum_of(builder, tile, row, inputs))
    return made


def _sum_of(builder: Any, tile: TileType, numbers: Sequence[float], vectors: Sequence[Any]) -> Any:
    """The sum of numbers times vectors, those times 1 first."""
    terms = sorted(((n, v) for n, v in zip(numbers, vectors, strict=True) if n), key=lambda term: abs(term[0]) != 1)
    total = None
    for number, vector in terms:
        factor = ir.Constant(tile.vector, [number] * tile.lanes)
        if total is None:
            total = vector if number == 1 else builder.fmul(vector, factor)
        elif number == 1:
            total = builder.fadd(total, vector)
        elif number == -1:
            total = builder.fsub(total, vector)
        else:
            total = fused_multiply_add(builder, tile, vector, factor, total)
    return total


@cache
def evaluate_patch(tile: TileType, taps: int, patch: int, pitch: int, masked: bool) -> Any:
    """Intrinsic (source, s, row, target, t, plane, count): the values of a patch of pixels, at every pair of points.

    The pixels lie `pitch` apart, rows `row` apart; the values are put `plane` apart. If `masked`, only the
    first `count` lanes are read and written, else all.
    """
    matrix = filter_matrices(taps, patch)[0]
    size = len(matrix)

    @intrinsic
    def evaluate(typing: Any, source: Any, s: Any, row: Any, target: Any, t: Any, plane: Any, count: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source, s, row, target, t, plane, count = args
            pixels = builder.gep(source, [s])
            place = builder.gep(target, [t])
            mask = lanes_below(builder, tile, count, 0) if masked else None
            lines = []
            for i in range(size):
                start = builder.gep(pixels, [builder.mul(row, ir.Constant(I64, i))])
                spots = [past(builder, start, j * pitch) for j in range(size)]
                if masked:
                    loaded = [load_masked(builder, tile, spot, mask) for spot in spots]
                else:
                    loaded = [load_lanes(builder, spot, tile) for spot in spots]
                lines.append(_combined(builder, tile, matrix, loaded))
            for j in range(size):
                for i, value in enumerate(_combined(builder, tile, matrix, [line[j] for line in lines])):
                    spot = builder.gep(place, [builder.mul(plane, ir.Constant(I64, i * size + j))])
                    if masked:
                        store_masked(builder, tile, value, spot, mask)
                    else:
                        builder.store(value, builder.bitcast(spot, tile.vector.as_pointer())).align = 4
            return context.get_dummy_value()

        integer = types.int64
        return types.void(source, integer, integer, target, integer, integer, integer), generate

    return evaluate


@cache
def interpolate_patch(tile: TileType, taps: int, patch: int) -> Any:
    """Intrinsic (products, p, plane): where the stack holds a patch of pixels made from the products at all points.

    The products lie `plane` apart. All lanes are read: those past the channels are for nobody. After the pixels
    stands a vector that is NaN in the lanes in which a pixel is not finite, else 0.
    """
    back = filter_matrices(taps, patch)[2]
    size = len(back[0])

    @intrinsic
    def interpolate(typing: Any, products: Any, p: Any, plane: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            place = builder.gep(args[0], [args[1]])
            columns = []
            for j in range(size):
                steps = [builder.mul(args[2], ir.Constant(I64, i * size + j)) for i in range(size)]
                loaded = [load_lanes(builder, builder.gep(place, [step]), tile) for step in steps]
                columns.append(_combined(builder, tile, back, loaded))
            stack = cgutils.alloca_once(builder, tile.vector, patch * patch + 1)
            nothing = ir.Constant(tile.vector, [0.0] * tile.lanes)
            marks = nothing
            for i in range(patch):
                mark = nothing
                for j, value in enumerate(_combined(builder, tile, back, [column[i] for column in columns])):
                    builder.store(value, past(builder, stack, i * patch + j))
                    mark = fused_multiply_add(builder, tile, value, nothing, mark)
                marks = builder.fadd(marks, mark)
            builder.store(marks, past(builder, stack, patch * patch))
            return builder.bitcast(stack, ir.IntType(8).as_pointer())

        return types.voidptr(products, types.int64, types.int64), generate

    return interpolate
