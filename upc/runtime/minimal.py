"""Convolution by minimal filtering: fewer multiplications for kernels of 3x3 and 5x5 (Winograd 1980, Toom-Cook).

A convolution is a product of polynomials, and a product is known from its values at enough points. So for
every patch of 4x4 pixels of the target, `Transform` evaluates the pixels they need, a `Convolution` with
one group for each pair of points multiplies, and `Inverse` reads the result off: 36 products where 3x3 taps
would take 144, 64 where 5x5 would take 400.

Adding up large values to small ones costs some bits. Against the float64 reference, in the output's largest
value, at 64 to 512 channels: 3x3 is off by at most 2e-6, 5x5 by 8e-6 (the plain convolution by 1e-6 to 4e-6).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import prod
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from upc.runtime.epilogue import BatchNorm, channel_blocks, epilogue
from upc.runtime.layout import Machine, Picture, Table, View, Weights
from upc.runtime.patches import Pair
from upc.runtime.rows import R_A, R_B, R_OWN, R_SOURCE, R_TARGET, CompiledRows, Step, at
from upc.runtime.tile import (
    TileType,
    _address,
    _at,
    _fma,
    _load,
    _mask,
    _masked_load,
    _masked_store,
    finish,
)
from upc.runtime.vectors import I64

PATCH_SIZE = 4  # pixels of the target, each way, that are made together
POINTS = {3: ("3/4", "-3/4", "3/2", "-3/2"), 5: ("1", "-1", "1/2", "-1/2", "2", "-2")}
"""For each kernel size, where the polynomials are evaluated besides at 0 and infinity.

Pairs of opposite signs share their sums; of those with few bits, these were the most exact.
"""

Matrix = tuple[tuple[float, ...], ...]


@cache
def filter_matrices(taps: int) -> tuple[Matrix, Matrix, Matrix]:
    """(to values, of the kernel, back): back @ ((of the kernel @ g) * (to values @ d)) is g slid along d."""
    points = [Fraction(0), *(Fraction(point) for point in POINTS[taps])]
    values, kernel = [], []
    for point in points:
        others = [other for other in points if other != point]
        scale = prod((point - other for other in others), start=Fraction(1))
        values.append([*_from_roots(others), Fraction(0)])
        kernel.append([point**power / scale for power in range(taps)])
    values.append(_from_roots(points))
    kernel.append([Fraction(int(power == taps - 1)) for power in range(taps)])
    back = [
        [*(point**power for point in points), Fraction(int(power == PATCH_SIZE - 1))] for power in range(PATCH_SIZE)
    ]
    return _numbers(values), _numbers(kernel), _numbers(back)


def _from_roots(roots: Sequence[Fraction]) -> list[Fraction]:
    """The coefficients of the product of x - root, lowest power first."""
    made = [Fraction(1)]
    for root in roots:
        made = [low - root * high for low, high in zip([Fraction(0), *made], [*made, Fraction(0)], strict=True)]
    return made


def _numbers(matrix: Sequence[Sequence[Fraction]]) -> Matrix:
    return tuple(tuple(float(number) for number in row) for row in matrix)


def filter_values(kernel: np.ndarray) -> np.ndarray:
    """A kernel (row, column, input, output) as the points' 1x1 convolutions take it: (1, 1, input, point * output)."""
    taps, _, inputs, _ = kernel.shape
    of_kernel = np.array(filter_matrices(taps)[1])
    values: np.ndarray = np.einsum("ai,bj,ijco->cabo", of_kernel, of_kernel, kernel, optimize=True)
    return values.reshape(1, 1, inputs, -1)


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
            total = _fma(builder, tile, vector, factor, total)
    return total


@cache
def evaluate_patch(tile: TileType, taps: int, pitch: int, distance: int, masked: bool) -> Any:
    """Intrinsic (source, s, row, target, t, count): the values of a patch of pixels, at every pair of points.

    The pixels lie `pitch` apart, rows `row` apart; the values are put `distance` apart. If `masked`, only
    the first `count` lanes are read and written, else all.
    """
    matrix = filter_matrices(taps)[0]
    size = len(matrix)

    @intrinsic
    def evaluate(typing: Any, source: Any, s: Any, row: Any, target: Any, t: Any, count: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source, s, row, target, t, count = args
            pixels = _address(context, builder, signature.args[0], source, s)
            place = _address(context, builder, signature.args[3], target, t)
            mask = _mask(builder, tile, count, 0) if masked else None
            lines = []
            for i in range(size):
                start = builder.gep(pixels, [builder.mul(row, ir.Constant(I64, i))])
                spots = [_at(builder, start, j * pitch) for j in range(size)]
                if masked:
                    loaded = [_masked_load(builder, tile, spot, mask) for spot in spots]
                else:
                    loaded = [_load(builder, spot, tile) for spot in spots]
                lines.append(_combined(builder, tile, matrix, loaded))
            for j in range(size):
                for i, value in enumerate(_combined(builder, tile, matrix, [line[j] for line in lines])):
                    spot = _at(builder, place, (i * size + j) * distance)
                    if masked:
                        _masked_store(builder, tile, value, spot, mask)
                    else:
                        builder.store(value, builder.bitcast(spot, tile.vector.as_pointer())).align = 4
            return context.get_dummy_value()

        integer = types.int64
        return types.void(source, integer, integer, target, integer, integer), generate

    return evaluate


@cache
def interpolate_patch(tile: TileType, taps: int, distance: int) -> Any:
    """Intrinsic (values, v): where the stack holds a patch of pixels made from the products at all pairs of points.

    The products lie `distance` apart. All lanes are read: those past the channels are for nobody.
    """
    back = filter_matrices(taps)[2]
    size = len(back[0])

    @intrinsic
    def interpolate(typing: Any, values: Any, v: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            place = _address(context, builder, signature.args[0], *args)
            columns = []
            for j in range(size):
                spots = [_at(builder, place, (i * size + j) * distance) for i in range(size)]
                columns.append(_combined(builder, tile, back, [_load(builder, spot, tile) for spot in spots]))
            stack = cgutils.alloca_once(builder, tile.vector, PATCH_SIZE * PATCH_SIZE)
            for i in range(PATCH_SIZE):
                for j, value in enumerate(_combined(builder, tile, back, [column[i] for column in columns])):
                    builder.store(value, _at(builder, stack, i * PATCH_SIZE + j))
            return builder.bitcast(stack, ir.IntType(8).as_pointer())

        return types.voidptr(values, types.int64), generate

    return interpolate


@cache
def line_of_patch(tile: TileType) -> Any:
    """Intrinsic (patch, i): a line of what `interpolate_patch` left on the stack."""

    @intrinsic
    def line(typing: Any, patch: Any, i: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            first = builder.mul(args[1], ir.Constant(I64, tile.rows))
            start = builder.gep(builder.bitcast(args[0], tile.vector.as_pointer()), [first])
            result = ir.Constant(context.get_value_type(tile), ir.Undefined)
            for j in range(tile.rows):
                result = builder.insert_value(result, builder.load(_at(builder, start, j)), j)
            return result

        return tile(types.voidptr, types.int64), generate

    return line


@cache
def transform_body(tile: TileType, taps: int, pitch: int, channels: int) -> Any:
    rest = channels % tile.lanes
    whole = channels - rest
    evaluate, evaluate_rest = (evaluate_patch(tile, taps, pitch, channels, masked) for masked in (False, True))
    lanes, across = tile.lanes, PATCH_SIZE * pitch

    def body(table: Any, g: int, n: int, y: int, arena: Any, weights: Any, source: Any, target: Any) -> None:
        patches, top, left = table[g + R_OWN], table[g + R_OWN + 1], table[g + R_OWN + 2]
        s = at(table, g + R_SOURCE, n, PATCH_SIZE * y - top) - left * pitch
        t = at(table, g + R_TARGET, n, 0) + y * patches * table[g + R_TARGET + 3]
        row = table[g + R_SOURCE + 2]
        for _ in range(patches):
            for c in range(0, whole, lanes):
                evaluate(source, s + c, row, target, t + c, 0)
            if rest:
                evaluate_rest(source, s + whole, row, target, t + whole, rest)
            s += across
            t += table[g + R_TARGET + 3]

    return body


@dataclass(frozen=True)
class Transform(Step):
    """The pixels that each patch of the target needs, as values at all pairs of points: (patch, point * channel)."""

    taps: int = 3
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))

    def patches(self, source: Picture | View) -> Pair:
        """Rows and columns of patches."""
        (top, bottom), (left, right) = self.padding
        height, width = source.height + top + bottom, source.width + left + right
        return -(-(height - self.taps + 1) // PATCH_SIZE), -(-(width - self.taps + 1) // PATCH_SIZE)

    def reach(self, source: Picture, target: Picture, fixed: bool) -> tuple[int, int, int, int]:
        """The zero rim it needs around its source: patches are always whole."""
        rows, columns = self.patches(source)
        (top, _), (left, _) = self.padding
        bottom = PATCH_SIZE * rows + self.taps - 1 - top - source.height
        right = PATCH_SIZE * columns + self.taps - 1 - left - source.width
        return top, max(0, bottom), left, max(0, right)


class CompiledTransform(CompiledRows):
    def __init__(self, step: Any, machine: Machine, views: Mapping[str, View], fixed: bool) -> None:
        super().__init__(step, machine, views, fixed)
        self.tile, self.fixed = TileType(1, 1, machine.lanes), fixed

    def body(self) -> Any:
        source = self.views[self.step.source]
        return transform_body(self.tile, self.step.taps, source.pitch, source.channels)

    def rows(self, target: View) -> int:
        """Of patches. Where sizes are known, all patches lie in one row, for the tiles of the products to be whole."""
        return int(self.step.patches(self.views[self.step.source])[0]) if self.fixed else target.height

    def cells(self, table: Table, views: Mapping[str, View]) -> list[int]:
        (top, _), (left, _) = self.step.padding
        return [self.step.patches(views[self.step.source])[1], top, left]


@cache
def inverse_body(
    tile: TileType,
    taps: int,
    channels: int,
    slots: int,
    operations: tuple[Any, ...],
    pitch: int,
    operand_pitches: tuple[int, int],
) -> Any:
    def offsets(distance: int) -> tuple[int, ...]:
        return tuple(j * distance for j in range(PATCH_SIZE))

    a_rows, b_rows = (offsets(each) for each in operand_pitches)
    interpolate, line = interpolate_patch(tile, taps, channels), line_of_patch(tile)
    end, lanes = finish(tile, operations, offsets(pitch), (a_rows, b_rows)), tile.lanes

    def body(table: Any, g: int, n: int, y: int, arena: Any, weights: Any, source: Any, target: Any) -> None:
        own = g + R_OWN
        height, width, params = table[own], table[own + 1], table[own + 2]
        patches = (width + PATCH_SIZE - 1) // PATCH_SIZE
        products = at(table, g + R_SOURCE, n, 0) + y * patches * table[g + R_SOURCE + 3]
        t, a, b = (
            at(table, g + R_TARGET, n, PATCH_SIZE * y),
            at(table, g + R_A, n, PATCH_SIZE * y),
            at(table, g + R_B, n, PATCH_SIZE * y),
        )
        lines = min(PATCH_SIZE, height - PATCH_SIZE * y)
        for x in range(0, width, PATCH_SIZE):
            for c in range(0, channels, lanes):
                patch = interpolate(source, products + c)
                for i in range(lines):
                    t_at = t + i * table[g + R_TARGET + 2] + x * table[g + R_TARGET + 3] + c
                    a_at = a + i * table[g + R_A + 2] + x * table[g + R_A + 3] + c
                    b_at = b + i * table[g + R_B + 2] + x * table[g + R_B + 3] + c
                    p = params + c * slots
                    end(line(patch, i), weights, p, arena, a_at, b_at, target, t_at, width - x, channels - c)
            products += table[g + R_SOURCE + 3]

    return body


@dataclass(frozen=True)
class Inverse(Step):
    """The pixels of each patch from the products at all pairs of points; then bias and epilogue."""

    taps: int = 3
    bias: str | None = None


class CompiledInverse(CompiledRows):
    def __init__(self, step: Any, machine: Machine, views: Mapping[str, View], fixed: bool) -> None:
        super().__init__(step, machine, views, fixed)
        self.tile = TileType(PATCH_SIZE, 1, machine.lanes)

    def _begins_scaled(self) -> bool:
        """Whether it starts with a factor and an addend for each channel: bias, batch normalisation or both."""
        step = self.step
        return step.bias is not None or bool(step.then and isinstance(step.then[0], BatchNorm))

    def body(self) -> Any:
        step, views = self.step, self.views
        then = step.then
        if self._begins_scaled() and not (then and isinstance(then[0], BatchNorm)):
            then = (BatchNorm("", 1.0), *then)  # stands for the bias
        operations, slots = epilogue(then)
        a, b = [*step.operands, step.target, step.target][:2]
        channels = views[step.target].channels
        pitches = views[a].pitch, views[b].pitch
        return inverse_body(self.tile, step.taps, channels, slots, operations, views[step.target].pitch, pitches)

    def pack(self, weights: Mapping[str, np.ndarray], into: Weights) -> None:
        step, channels = self.step, self.views[self.step.target].channels
        numbers: list[np.ndarray] = []
        bias = np.zeros(channels) if step.bias is None else np.asarray(weights[step.bias], np.float64)
        if self._begins_scaled():
            numbers = [np.ones(channels), bias]
        for position, operation in enumerate(step.then):
            if isinstance(operation, BatchNorm):
                scale, offset = operation.scale_offset(weights, channels)
                if position == 0:
                    numbers = [scale, bias * scale + offset]
                else:
                    numbers += [scale, offset]
            elif operation[0] == "channel_prelu":
                numbers.append(np.broadcast_to(np.asarray(weights[operation[1]], np.float64).reshape(-1), channels))
        self.packed = [into.add(channel_blocks(numbers, self.tile.lanes))] if numbers else [0]

    def rows(self, target: View) -> int:
        return -(-target.height // PATCH_SIZE)

    def cells(self, table: Table, views: Mapping[str, View]) -> list[int]:
        target = views[self.step.target]
        return [target.height, target.width, *self.packed]
