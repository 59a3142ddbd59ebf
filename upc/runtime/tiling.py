"""The kernel of the phase convolution: tasks, panels, tiles, and the few lines that make a tile."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from upc.runtime.epilogue import clear_rim
from upc.runtime.registers import TileType
from upc.runtime.subroutine import jit, one_of
from upc.runtime.team import finished, take
from upc.runtime.tile import (
    Block,
    Operation,
    ask_for,
    finish,
    multiply_add,
    start,
)

TASK_MULTIPLY_ADDS = 1 << 18  # a task worth handing to another thread

# Cells of a step's section of the table.
TASKS, SOURCE, SOURCE_IMAGE, TARGET, TARGET_IMAGE, A, A_IMAGE, B, B_IMAGE = range(9)
PANELS, TILES, BOUNDS, TAPS, WORK, CHUNKS, RIM, KERNEL, IMAGE_ROWS, TILE_IMAGES, SECTION = range(9, 20)
# Cells of a panel, of a tile and of a task.
P_WEIGHTS, P_PARAMS, P_TARGET, P_SOURCE, P_TAP, P_TAP_END, P_DEPTH, P_GRID, P_COUNT, P_A, P_B, PANEL = range(12)
T_SOURCE, T_TARGET, T_A, T_B, T_ROWS, TILE = range(6)
W_PANEL, W_PANEL_END, W_IMAGE, W_IMAGE_END, W_CHUNK, W_RIM, WORK_ITEM = range(7)


@cache
def tile_kernel(
    tile: TileType,
    rows: tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, ...], ...]],
    operations: tuple[Operation, ...],
    block: Block,
    next_tile: int,
    ahead: int,
) -> Any:
    """The function that makes one tile: over all taps, over all channels of each, then the epilogue.

    `rows` are the offsets of the tile's rows in source, target and operands; `block` is how `finish` stores a row.
    While it does, it asks for the lines that the tile will be stored to, and for the source of the next tile, which
    starts `next_tile` floats on, by `ahead` lines a step.
    """
    source_rows, target_rows, operand_rows = rows
    begin, end = start(tile), finish(tile, operations, target_rows, operand_rows, block)
    step, ask = multiply_add(tile, source_rows, ahead), ask_for(tile, target_rows, block)
    height, width = tile.rows, tile.width

    def make_tile(
        table: Any,
        tap_first: int,
        tap_last: int,
        depth: int,
        source: Any,
        x: int,
        weights: Any,
        w: int,
        params: int,
        arena: Any,
        a: int,
        b: int,
        target: Any,
        y: int,
        rows: int,
        count: int,
    ) -> None:
        acc = begin(weights, params)
        pace = next_tile // depth
        for tap in range(tap_first, tap_last):
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
        end(acc, weights, params + width, arena, a, b, target, y, rows, count)

    return make_tile


def convolve(kernels: Sequence[Any]) -> Any:
    """The function that does a convolution step with the tile kernel that the table names."""
    make_tile = one_of(kernels)

    @jit
    def run(
        job: Any,
        leader: int,
        counter: int,
        table: Any,
        g: int,
        images: int,
        arena: Any,
        weights: Any,
        source: Any,
        target: Any,
    ) -> None:
        tasks, taps_at, kernel = table[g + TASKS], table[g + TAPS], table[g + KERNEL]
        source_at, source_image = table[g + SOURCE], table[g + SOURCE_IMAGE]
        target_at, target_image = table[g + TARGET], table[g + TARGET_IMAGE]
        image_rows, tile_images = table[g + IMAGE_ROWS], table[g + TILE_IMAGES]
        task = take(job, leader, counter, tasks)
        while task >= 0:
            w = table[g + WORK] + task * WORK_ITEM
            first, last = table[w + W_IMAGE], min(table[w + W_IMAGE_END], images)
            if table[w + W_RIM] == 1:
                clear_rim(table, table[g + RIM], target, first, last)
            for panel in range(table[w + W_PANEL], table[w + W_PANEL_END]):
                p = table[g + PANELS] + panel * PANEL
                bounds = table[g + BOUNDS] + table[p + P_GRID] * (table[g + CHUNKS] + 1) + table[w + W_CHUNK]
                for n in range(first, last, tile_images):
                    x = source_at + n * source_image + table[p + P_SOURCE]
                    y = target_at + n * target_image + table[p + P_TARGET]
                    a = table[g + A] + n * table[g + A_IMAGE] + table[p + P_A]
                    b = table[g + B] + n * table[g + B_IMAGE] + table[p + P_B]
                    for i in range(table[bounds], table[bounds + 1]):
                        t = table[g + TILES] + i * TILE
                        make_tile(
                            kernel,
                            table,
                            taps_at + table[p + P_TAP],
                            taps_at + table[p + P_TAP_END],
                            table[p + P_DEPTH],
                            source,
                            x + table[t + T_SOURCE],
                            weights,
                            table[p + P_WEIGHTS],
                            table[p + P_PARAMS],
                            arena,
                            a + table[t + T_A],
                            b + table[t + T_B],
                            target,
                            y + table[t + T_TARGET],
                            min(table[t + T_ROWS], image_rows * (last - n)),
                            table[p + P_COUNT],
                        )
            finished(job, counter)
            task = take(job, leader, counter, tasks)

    return run
