"""The phase convolution, compiled: tasks, panels, tiles, and the few lines that make a tile."""

from __future__ import annotations

from typing import Any

from upc.runtime.epilogue import clear_rim
from upc.runtime.finishing import Block, Tail, ask_for, finish
from upc.runtime.registers import TileType
from upc.runtime.subroutine import Floats, Integers, call, jit, kernel
from upc.runtime.team import finished, take
from upc.runtime.tile import multiply_add, start

TASK_MULTIPLY_ADDS = 1 << 18  # a task worth handing to another thread

# Cells of a step's section of the table.
TASKS, SOURCE, SOURCE_IMAGE, TARGET, TARGET_IMAGE, A, A_IMAGE, B, B_IMAGE = range(9)
PANELS, TILES, BOUNDS, TAPS, WORK, CHUNKS, RIM, KERNEL, IMAGE_ROWS, TILE_IMAGES, SECTION = range(9, 20)
# Cells of a panel, of a tile and of a task.
P_WEIGHTS, P_PARAMS, P_TARGET, P_SOURCE, P_TAP, P_TAP_END, P_DEPTH, P_GRID, P_COUNT, P_A, P_B, PANEL = range(12)
T_SOURCE, T_TARGET, T_A, T_B, T_ROWS, TILE = range(6)
W_PANEL, W_PANEL_END, W_IMAGE, W_IMAGE_END, W_CHUNK, W_RIM, WORK_ITEM = range(7)


@kernel
def tile_kernel(
    tile: TileType,
    rows: tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, ...], ...]],
    operations: Tail,
    block: Block,
    next_tile: int,
    ahead: int,
    level: int,
) -> Any:
    """The function that makes a panel's tiles of some images, each over all taps and channels, then the epilogue.

    `rows` are the offsets of the tile's rows in source, target and operands; `block` is how `finish` stores a row.
    While it makes a tile, it asks for the lines that this will be stored to, and for the source of the next, which
    starts `next_tile` floats on, by `ahead` lines a step; for weights into the cache of a `level`.
    """
    source_rows, target_rows, operand_rows = rows
    begin, end = start(tile), finish(tile, operations, target_rows, operand_rows, block)
    step, ask = multiply_add(tile, source_rows, ahead, level), ask_for(tile, target_rows, block)
    height, width = tile.rows, tile.width

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
        bounds = table[g + BOUNDS] + table[p + P_GRID] * (table[g + CHUNKS] + 1) + chunk
        taps, depth, params = table[g + TAPS], table[p + P_DEPTH], table[p + P_PARAMS]
        image_rows, tile_images = table[g + IMAGE_ROWS], table[g + TILE_IMAGES]
        pace = next_tile // depth
        for n in range(first, last, tile_images):
            for t in range(table[g + TILES] + table[bounds] * TILE, table[g + TILES] + table[bounds + 1] * TILE, TILE):
                x = table[g + SOURCE] + n * table[g + SOURCE_IMAGE] + table[p + P_SOURCE] + table[t + T_SOURCE]
                y = table[g + TARGET] + n * table[g + TARGET_IMAGE] + table[p + P_TARGET] + table[t + T_TARGET]
                w = table[p + P_WEIGHTS]
                acc = begin(weights, params)
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
                a = table[g + A] + n * table[g + A_IMAGE] + table[p + P_A] + table[t + T_A]
                b = table[g + B] + n * table[g + B_IMAGE] + table[p + P_B] + table[t + T_B]
                count = min(table[t + T_ROWS], image_rows * (last - n))
                end(acc, weights, params + width, arena, a, b, target, y, count, table[p + P_COUNT])

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
    make_tiles = table[g + KERNEL]
    task = take(job, leader, counter, table[g + TASKS])
    while task >= 0:
        w = table[g + WORK] + task * WORK_ITEM
        first, last, chunk = table[w + W_IMAGE], min(table[w + W_IMAGE_END], images), table[w + W_CHUNK]
        if table[w + W_RIM] == 1:
            clear_rim(table, table[g + RIM], target, first, last)
        for panel in range(table[w + W_PANEL], table[w + W_PANEL_END]):
            call(make_tiles, (table, g, panel, chunk, first, last, arena, weights, source, target))
        finished(job, counter)
        task = take(job, leader, counter, table[g + TASKS])
