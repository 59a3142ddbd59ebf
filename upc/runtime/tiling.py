"""The phase convolution, compiled: tasks, panels, tiles, and the few lines that make a tile."""

from __future__ import annotations

from typing import Any

from upc.runtime.epilogue import clear_rim
from upc.runtime.finishing import Block, Tail, ask_for, finish
from upc.runtime.records import (
    A_ACROSS,
    A_DOWN,
    A_IMAGE,
    B_ACROSS,
    B_DOWN,
    B_IMAGE,
    CHUNKS,
    GRID,
    GRID_COLUMNS,
    GRID_ROWS,
    GRIDS,
    GROUP,
    KERNEL,
    P_A,
    P_B,
    P_COUNT,
    P_DEPTH,
    P_GRID,
    P_PARAMS,
    P_SOURCE,
    P_TAP,
    P_TAP_END,
    P_TARGET,
    P_WEIGHTS,
    PANEL,
    PANEL_COUNT,
    PANELS,
    PARTS,
    PATCH_COLUMNS,
    PATCH_IMAGES,
    PATCH_ROWS,
    RIM,
    SOURCE,
    SOURCE_ACROSS,
    SOURCE_DOWN,
    SOURCE_IMAGE,
    TAPS,
    TARGET,
    TARGET_ACROSS,
    TARGET_DOWN,
    TARGET_IMAGE,
    TASKS,
    A,
    B,
)
from upc.runtime.registers import TileType
from upc.runtime.subroutine import Floats, Integers, call, jit, kernel
from upc.runtime.team import finished, take
from upc.runtime.tile import fill, multiply_add, start
from upc.runtime.wide import wide_add, wide_over, wide_zero

TASK_MULTIPLY_ADDS = 1 << 18  # a task worth handing to another thread
LONGEST_SUM = 1 << 14  # products added up in floats
PIECE = 1 << 8  # of a longer sum: so many products in floats, the pieces in doubles


@kernel
def tile_kernel(
    tile: TileType,
    rows: tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, ...], ...]],
    operations: Tail,
    block: Block,
    next_tile: int,
    ahead: int,
    level: int,
    long: bool,
) -> Any:
    """The function that makes a panel's tiles of some images, each over all taps and channels, then the epilogue.

    `rows` are the offsets of the tile's rows in source, target and operands; `block` is how `finish` stores a row.
    While it makes a tile, it asks for the lines that this will be stored to, and for the source of the next, which
    starts `next_tile` floats on, by `ahead` lines a step; for weights into the cache of a `level`. A `long` sum is
    taken in pieces, whose sum is taken in doubles: in floats its error would grow with its length.
    """
    source_rows, target_rows, operand_rows = rows
    begin, end = start(tile), finish(tile, operations, target_rows, operand_rows, block)
    step, ask = multiply_add(tile, source_rows, ahead, level), ask_for(tile, target_rows, block)
    height, width = tile.rows, tile.width
    empty, nothing, gather, rounded = fill(tile, 0.0), wide_zero(tile), wide_add(tile), wide_over(tile)

    def make_tiles(
        table: Integers,
        g: int,
        panel: int,
        chunk: int,
        first: int,
        last: int,
        arena: Floats,
        weights: Floats,
        source: Floats,
        target: Floats,
    ) -> None:
        p = table[g + PANELS] + panel * PANEL
        grid = table[g + GRIDS] + table[p + P_GRID] * GRID
        rows, columns, chunks = table[grid + GRID_ROWS], table[grid + GRID_COLUMNS], table[g + CHUNKS]
        images, high, wide = table[g + PATCH_IMAGES], table[g + PATCH_ROWS], table[g + PATCH_COLUMNS]
        whole = (rows + high - 1) // high
        top, bottom = whole * chunk // chunks, whole * (chunk + 1) // chunks
        taps, depth, params = table[g + TAPS], table[p + P_DEPTH], table[p + P_PARAMS]
        pace = next_tile // depth
        for n in range(first, last, images):
            x_image = table[g + SOURCE] + n * table[g + SOURCE_IMAGE] + table[p + P_SOURCE]
            y_image = table[g + TARGET] + n * table[g + TARGET_IMAGE] + table[p + P_TARGET]
            a_image = table[g + A] + n * table[g + A_IMAGE] + table[p + P_A]
            b_image = table[g + B] + n * table[g + B_IMAGE] + table[p + P_B]
            for r in range(top, bottom):
                x, y = x_image + r * table[g + SOURCE_DOWN], y_image + r * table[g + TARGET_DOWN]
                a, b = a_image + r * table[g + A_DOWN], b_image + r * table[g + B_DOWN]
                # Tiles of several rows take whole rows, and those of several images whole images.
                pixels = min(high, rows - r * high) * min(images, last - n)
                for left in range(0, columns, wide):
                    w = table[p + P_WEIGHTS]
                    acc = begin(weights, params)
                    if long:
                        total, since = nothing(), 0
                        for row in range(height):
                            ask(target, y, row)
                        for tap in range(taps + table[p + P_TAP], taps + table[p + P_TAP_END]):
                            pixel = x + table[tap]
                            for piece in range(pixel, pixel + depth, PIECE):
                                stop = min(piece + PIECE, pixel + depth)
                                for k in range(piece, stop):
                                    acc = step(acc, source, k, weights, w, k + next_tile)
                                    w += width
                                since += stop - piece
                                if since >= PIECE:
                                    total, acc, since = gather(total, acc), empty(), 0
                        acc = rounded(gather(total, acc), 1)
                    else:
                        for tap in range(taps + table[p + P_TAP], taps + table[p + P_TAP_END]):
                            pixel = x + table[tap]
                            asked = pixel + min(height, depth)
                            later = pixel + next_tile
                            for k in range(pixel, asked):
                                ask(target, y, k - pixel)
                                acc = step(acc, source, k, weights, w, later)
                                w += width
                                later += pace
                            for k in range(asked, pixel + depth):
                                acc = step(acc, source, k, weights, w, later)
                                w += width
                                later += pace
                    count = pixels * min(wide, columns - left)
                    end(acc, weights, params + width, arena, a, b, target, y, count, table[p + P_COUNT])
                    x += table[g + SOURCE_ACROSS]
                    y += table[g + TARGET_ACROSS]
                    a += table[g + A_ACROSS]
                    b += table[g + B_ACROSS]

    return make_tiles


@jit
def convolve(
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
    """Do a convolution's step: section `g` of the table, whose tasks are shared out at the job's counter."""
    make_tiles, panels, group = table[g + KERNEL], table[g + PANEL_COUNT], table[g + GROUP]
    chunks, parts = table[g + CHUNKS], table[g + PARTS]
    task = take(job, leader, counter, table[g + TASKS])
    while task >= 0:
        part, chunk, first = task % parts, task // parts % chunks, task // (parts * chunks) * group
        last = min(first + group, images)
        if part == 0 and chunk == 0:
            clear_rim(table, table[g + RIM], target, first, last)
        for panel in range(panels * part // parts, panels * (part + 1) // parts):
            call(make_tiles, (table, g, panel, chunk, first, last, arena, weights, source, target))
        finished(job, counter)
        task = take(job, leader, counter, table[g + TASKS])
