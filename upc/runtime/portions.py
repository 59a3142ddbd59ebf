"""A filtering, compiled: its three stages, and the order in which portions of patches go through them.

The patches of all images stand in rows; so many rows are a portion, whose values and products fit in a
cache. For each portion the patches are evaluated, then multiplied, then read off, each in tasks for all
threads. Values and products lie in planes, one for each pair of points; products in blocks of as many
channels as a tile has, so that tiles fill memory without gaps.
"""

from __future__ import annotations

from typing import Any

from upc.runtime.epilogue import clear_rim
from upc.runtime.finishing import Tail, finish_line
from upc.runtime.layout import LINE
from upc.runtime.mending import address_at, is_spoilt
from upc.runtime.minimal import evaluate_patch, interpolate_patch
from upc.runtime.records import (
    DIRECT,
    F_A,
    F_A_IMAGE,
    F_A_ROW,
    F_ACROSS,
    F_B,
    F_B_IMAGE,
    F_B_ROW,
    F_DEPTH,
    F_DIRECT,
    F_DOWN,
    F_EVALUATE,
    F_EVALUATIONS,
    F_HEIGHT,
    F_INPUTS,
    F_MADE,
    F_MADE_BLOCK,
    F_MADE_PLANE,
    F_MEND,
    F_MULTIPLY,
    F_PANEL_COUNT,
    F_PANELS,
    F_PARAMS,
    F_PORTION,
    F_PRODUCTS,
    F_READ,
    F_READINGS,
    F_RIM,
    F_SKIPS,
    F_SOURCE,
    F_SOURCE_IMAGE,
    F_SOURCE_PATCH,
    F_SOURCE_ROW,
    F_TARGET,
    F_TARGET_IMAGE,
    F_TARGET_ROW,
    F_VALUES,
    F_VALUES_PITCH,
    F_VALUES_PLANE,
    F_WIDE,
    F_WIDTH,
    Q_MADE,
    Q_PANEL,
    Q_VALUES,
    Q_WEIGHTS,
)
from upc.runtime.registers import TileType
from upc.runtime.steps import Pair
from upc.runtime.subroutine import Floats, Integers, call, jit, kernel
from upc.runtime.team import atomic_add, finished, wait_for
from upc.runtime.tile import add_to, fill, multiply_add, put_by, store_rows


@kernel
def evaluate_row(tile: TileType, taps: int, patch: int, pitch: int, channels: int) -> Any:
    """The function that evaluates a row of patches of pixels."""
    rest = channels % tile.lanes
    whole = channels - rest
    evaluate, evaluate_rest = (evaluate_patch(tile, taps, patch, pitch, masked) for masked in (False, True))
    lanes, across = tile.lanes, patch * pitch

    def evaluate_patches(table: Integers, g: int, source: Floats, s: int, arena: Floats, values: int) -> None:
        row, apart, plane = table[g + F_SOURCE_ROW], table[g + F_VALUES_PITCH], table[g + F_VALUES_PLANE]
        for _ in range(table[g + F_ACROSS]):
            for c in range(0, whole, lanes):
                evaluate(source, s + c, row, arena, values + c, plane, 0)
            if rest:
                evaluate_rest(source, s + whole, row, arena, values + whole, plane, rest)
            s += across
            values += apart

    return evaluate_patches


@kernel
def multiply_panel(tile: TileType, pitch: int, sums: int, streams: bool) -> Any:
    """The function that multiplies values of patches, which lie `pitch` apart, with a panel of the kernel.

    The channels are added up in so many `sums`: short ones lose fewer bits than a long one. Where there are many
    patches, so that their values are a stream, those of the next tile are asked for meanwhile.
    """
    following = tile.rows * pitch
    step = multiply_add(tile, tuple(range(0, following, pitch)), -(-tile.rows // LINE) if streams else 0)
    nothing, end, put, add = fill(tile, 0.0), store_rows(tile), put_by(tile), add_to(tile)
    rows, width = tile.rows, tile.width

    def multiply_patches(
        depth: int, arena: Floats, values: int, weights: Floats, panel: int, products: int, patches: int
    ) -> None:
        for first in range(0, patches, rows):
            acc, w = nothing(), panel
            later = values + following
            if sums > 1:
                total = put(acc)
                for start in range(values, values + sums * depth, depth):
                    acc = nothing()
                    for k in range(start, start + depth):
                        acc = step(acc, arena, k, weights, w, later)
                        w += width
                        later += rows
                    acc = add(total, acc)
            else:
                for k in range(values, values + depth):
                    acc = step(acc, arena, k, weights, w, later)
                    w += width
                    later += rows
            end(acc, arena, products, patches - first)
            values += following
            products += rows * width

    return multiply_patches


@kernel
def read_row(
    tile: TileType,
    taps: int,
    channels: int,
    slots: int,
    operations: Tail,
    pitches: tuple[int, int, int],
    phases: Pair,
    wide: int,
    apart: int,
) -> Any:
    """The function that reads row `y` of an image's patches off the products, in blocks of `wide` channels.

    The patches' pixels start `apart` floats from each other in the source, the first of the row's at `s`.
    """
    size, (down, across) = tile.rows, phases
    t_pitch, a_pitch, b_pitch = (across * pitch for pitch in pitches)
    t_pixels, a_pixels, b_pixels = (tuple(j * across * pitch for j in range(size)) for pitch in pitches)
    interpolate, spoilt, lanes = interpolate_patch(tile, taps, size), is_spoilt(tile, size * size), tile.lanes
    end = finish_line(tile, operations, t_pixels, (a_pixels, b_pixels))
    t_next, a_next, b_next = pitches
    blocks = -(-channels // wide)

    def read_patches(
        table: Integers,
        g: int,
        y: int,
        arena: Floats,
        products: int,
        weights: Floats,
        a: int,
        b: int,
        target: Floats,
        t: int,
        source: Floats,
        s: int,
    ) -> None:
        height, width, params = table[g + F_HEIGHT], table[g + F_WIDTH], table[g + F_PARAMS]
        plane, block, skips = table[g + F_MADE_PLANE], table[g + F_MADE_BLOCK], g + F_SKIPS
        for x in range(table[g + F_ACROSS]):
            here = products + x * wide
            for p in range(down):
                # Where the patch starts among the rows of phase p; some of them it may not have to make.
                i = y * size - table[skips + p]
                first_line, last_line = max(0, -i), min(size, (height - p + down - 1) // down - i)
                for q in range(across):
                    j = x * size - table[skips + down + q]
                    first, last = max(0, -j), min(size, (width - q + across - 1) // across - j)
                    for c in range(0, channels, lanes):
                        patch = interpolate(arena, here + c // wide * block + c % wide, plane)
                        if spoilt(patch):
                            direct = table[g + F_DIRECT] + (p * across + q) * DIRECT
                            depth, line = table[g + F_INPUTS], table[g + F_SOURCE_ROW]
                            pixel, place = s + x * apart, address_at(patch)
                            call(
                                table[g + F_MEND],
                                (table, direct, c // lanes, depth, line, source, pixel, weights, place),
                            )
                        for k in range(first_line, last_line):
                            row = (i + k) * down + p
                            t_at = t + row * table[g + F_TARGET_ROW] + (j + first) * t_pitch + q * t_next + c
                            a_at = a + row * table[g + F_A_ROW] + (j + first) * a_pitch + q * a_next + c
                            b_at = b + row * table[g + F_B_ROW] + (j + first) * b_pitch + q * b_next + c
                            line, param, pixels = k * size + first, params + c * slots, last - first
                            end(patch, line, weights, param, arena, a_at, b_at, target, t_at, pixels, channels - c)
                    here += blocks * block

    return read_patches


@jit
def filter_portions(
    job: Integers,
    leader: int,
    counter: int,
    table: Integers,
    g: int,
    images: int,
    arena: Floats,
    weights: Floats,
    source: Floats,
    target: Floats,
) -> None:
    """Do a filtering portion by portion: section `g` of the table."""
    evaluations, products, readings = table[g + F_EVALUATIONS], table[g + F_PRODUCTS], table[g + F_READINGS]
    down, portion, wide = table[g + F_DOWN], table[g + F_PORTION], table[g + F_WIDE]
    values_row = table[g + F_ACROSS] * table[g + F_VALUES_PITCH]
    rows, each = images * down, evaluations + products + readings
    tasks = (rows + portion - 1) // portion * each
    task = atomic_add(job, counter, 1)
    while task < tasks:
        # A stage begins when all tasks before it are finished; they were taken before, so somebody does them.
        begun = task // each * each
        first, number = task // each * portion, task - begun
        count = min(portion, rows - first)
        if number < evaluations:
            wait_for(job, counter, begun)
            if task == 0:
                clear_rim(table, table[g + F_RIM], target, 0, images)
            for u in range(first + count * number // evaluations, first + count * (number + 1) // evaluations):
                s = table[g + F_SOURCE] + u // down * table[g + F_SOURCE_IMAGE] + u % down * table[g + F_SOURCE_PATCH]
                values = table[g + F_VALUES] + (u - first) * values_row
                call(table[g + F_EVALUATE], (table, g, source, s, arena, values))
        elif number < evaluations + products:
            wait_for(job, counter, begun + evaluations)
            number -= evaluations
            panels, patches = table[g + F_PANEL_COUNT], count * table[g + F_ACROSS]
            for panel in range(panels * number // products, panels * (number + 1) // products):
                p = table[g + F_PANELS] + panel * Q_PANEL
                values, made = table[p + Q_VALUES], table[p + Q_MADE]
                call(
                    table[g + F_MULTIPLY],
                    (table[g + F_DEPTH], arena, values, weights, table[p + Q_WEIGHTS], made, patches),
                )
        else:
            wait_for(job, counter, begun + evaluations + products)
            number -= evaluations + products
            for u in range(first + count * number // readings, first + count * (number + 1) // readings):
                image = u // down
                s = table[g + F_SOURCE] + image * table[g + F_SOURCE_IMAGE] + u % down * table[g + F_SOURCE_PATCH]
                a = table[g + F_A] + image * table[g + F_A_IMAGE]
                b = table[g + F_B] + image * table[g + F_B_IMAGE]
                t = table[g + F_TARGET] + image * table[g + F_TARGET_IMAGE]
                made = table[g + F_MADE] + (u - first) * table[g + F_ACROSS] * wide
                call(table[g + F_READ], (table, g, u % down, arena, made, weights, a, b, target, t, source, s))
        finished(job, counter)
        task = atomic_add(job, counter, 1)
    wait_for(job, counter, tasks)
