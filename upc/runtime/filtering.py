"""The step that does a convolution by minimal filtering, a portion of its patches at a time.

The patches of all images stand in rows; so many rows are a portion, whose values and products fit in a
cache. For each portion the patches are evaluated, then multiplied, then read off, each in tasks for all
threads. Values and products lie in planes, one for each pair of points; products in blocks of as many
channels as a tile has, so that tiles fill memory without gaps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from math import isqrt
from typing import Any

import numpy as np

from upc.runtime.epilogue import (
    channel_blocks,
    channel_numbers,
    clear_rim,
    epilogue,
    operand_names,
    rim_section,
    scale_offset,
)
from upc.runtime.finishing import Tail, finish_line
from upc.runtime.layout import LINE, Machine, Picture, Rim, Table, View, Weights
from upc.runtime.minimal import evaluate_patch, interpolate_patch, kernel_values
from upc.runtime.patches import STREAM_BYTES, choose_patch, choose_vectors, most_rows
from upc.runtime.registers import TileType
from upc.runtime.steps import BatchNorm, Filtering, Operation, Pair
from upc.runtime.subroutine import Floats, Integers, Kernel, call, jit, kernel
from upc.runtime.team import atomic_add, finished, wait_for
from upc.runtime.tile import add_to, fill, multiply_add, put_by, store_rows
from upc.runtime.tiling import TASK_MULTIPLY_ADDS

# Cells of a section: first the most tasks side by side, then those of each stage of a portion.
F_TASKS, F_EVALUATIONS, F_PRODUCTS, F_READINGS, F_DOWN, F_ACROSS, F_PORTION, F_RIM = range(8)
F_EVALUATE, F_MULTIPLY, F_READ = range(8, 11)
F_SOURCE, F_SOURCE_IMAGE, F_SOURCE_PATCH, F_SOURCE_ROW = range(11, 15)
F_VALUES, F_VALUES_PITCH, F_VALUES_PLANE, F_MADE, F_MADE_BLOCK, F_MADE_PLANE = range(15, 21)
F_TARGET, F_TARGET_IMAGE, F_TARGET_ROW, F_A, F_A_IMAGE, F_A_ROW, F_B, F_B_IMAGE, F_B_ROW = range(21, 30)
F_HEIGHT, F_WIDTH, F_PARAMS, F_PANELS, F_PANEL_COUNT, F_DEPTH, F_WIDE, F_SKIPS = range(30, 38)
# Cells of a panel.
Q_WEIGHTS, Q_VALUES, Q_MADE, Q_PANEL = range(4)

PORTION_BYTES, KERNEL_PARTS = 2 << 20, 4  # of values and products: so much, or that part of the kernel's
KERNEL_VALUES = 1 << 19  # made at once when a network is loaded
LONGEST_SUMS = {4: 4096, 6: 512, 8: 128}
"""Channels added up in one sum, by points of an axis: short sums lose fewer bits, which counts where there are many."""


def patch_grid(step: Filtering, target: Picture | View) -> Pair:
    """Rows and columns of patches in one image."""
    pixels = [
        max(-(-(size - phase) // len(skips)) + skip for phase, skip in enumerate(skips))
        for size, skips in zip((target.height, target.width), step.skips, strict=True)
    ]
    return -(-pixels[0] // step.patch), -(-pixels[1] // step.patch)


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
) -> Any:
    """The function that reads row `y` of an image's patches off the products, in blocks of `wide` channels."""
    size, (down, across) = tile.rows, phases
    t_pitch, a_pitch, b_pitch = (across * pitch for pitch in pitches)
    t_pixels, a_pixels, b_pixels = (tuple(j * across * pitch for j in range(size)) for pitch in pitches)
    interpolate, lanes = interpolate_patch(tile, taps, size), tile.lanes
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
                a = table[g + F_A] + image * table[g + F_A_IMAGE]
                b = table[g + F_B] + image * table[g + F_B_IMAGE]
                t = table[g + F_TARGET] + image * table[g + F_TARGET_IMAGE]
                made = table[g + F_MADE] + (u - first) * table[g + F_ACROSS] * wide
                call(table[g + F_READ], (table, g, u % down, arena, made, weights, a, b, target, t))
        finished(job, counter)
        task = atomic_add(job, counter, 1)
    wait_for(job, counter, tasks)


class CompiledFiltering:
    """A `Filtering` made ready for a machine and, if they are known, for the sizes of its buffers."""

    @staticmethod
    def reach(step: Filtering, source: Picture, target: Picture, fixed: bool) -> Rim:
        """The zero rim it needs around its source: patches are always whole."""
        down, across = patch_grid(step, target)
        top, left = step.before
        bottom = step.patch * down + step.taps - 1 - top - source.height
        right = step.patch * across + step.taps - 1 - left - source.width
        return max(0, top), max(0, bottom), max(0, left), max(0, right)

    def __init__(self, step: Filtering, machine: Machine, views: Mapping[str, View], fixed: bool) -> None:
        self.step, self.machine, self.views = step, machine, views
        self.vectors = choose_vectors(machine, step.outputs, None)
        self.tile_width = self.vectors * machine.lanes
        self.code: tuple[int, ...] = ()
        # Values of a patch, off the powers of two that share cache lines.
        self.pitch = step.inputs + LINE if step.inputs % 256 == 0 else step.inputs
        limit, target = most_rows(machine, self.vectors), views[step.target]
        patches = self._portion(target, step.images) * patch_grid(step, target)[1] if fixed else limit
        self.tile = choose_patch(limit, [(1, patches)]).pixels
        self.streams = not fixed or 4 * patches * self.pitch > STREAM_BYTES

    def _begins_scaled(self) -> bool:
        """Whether it starts with a factor and an addend for each channel: bias, batch normalisation or both."""
        step = self.step
        return step.weights[1] is not None or self._norm() is not None

    def _norm(self) -> BatchNorm | None:
        """A batch normalisation in front of the epilogue, which the bias goes into."""
        first = self.step.then[0] if self.step.then else None
        return first if isinstance(first, BatchNorm) else None

    def _after(self) -> tuple[Operation, ...]:
        """The epilogue after that."""
        return self.step.then[1:] if self._norm() else self.step.then

    def kernels(self) -> tuple[Kernel, ...]:
        """The functions of its stages."""
        step, views, lanes = self.step, self.views, self.machine.lanes
        source, target = views[step.source], views[step.target]
        operations, slots = epilogue(self._after(), self._begins_scaled())
        a, b = operand_names(self.step)
        pitches = target.pitch, views[a].pitch, views[b].pitch
        phases = len(step.rows), len(step.columns)
        evaluate = evaluate_row(TileType(1, 1, lanes), step.taps, step.patch, source.pitch, source.channels)
        lines, wide = TileType(step.patch, 1, lanes), self.tile_width
        read = read_row(lines, step.taps, step.outputs, slots, operations, pitches, phases, wide)
        multiply = multiply_panel(TileType(self.tile, self.vectors, lanes), self.pitch, self._sums(), self.streams)
        return evaluate, multiply, read

    def _sums(self) -> int:
        """How many sums of equal length the channels are added up in; one where those would be too short."""
        depth, longest = self.step.inputs, LONGEST_SUMS[isqrt(self.step.points)]
        length = max(n for n in range(1, longest + 1) if depth % n == 0)
        return depth // length if length > longest // 4 else 1

    def pack(self, weights: Mapping[str, np.ndarray], into: Weights) -> None:
        """Put the kernel's values and the channels' numbers into the packed array."""
        step, panel = self.step, self.step.inputs * self.tile_width
        floats = panel * sum(1 for _ in self._blocks())
        first = into.room(floats)
        into.later(lambda packed: self._write_kernel(weights[step.weights[0]], packed[first : first + floats]))
        self.places = range(first, first + floats, panel)
        numbers: list[np.ndarray] = []
        bias = np.zeros(step.outputs) if step.weights[1] is None else np.asarray(weights[step.weights[1]], np.float64)
        if self._begins_scaled():
            numbers = [np.ones(step.outputs), bias]
        norm = self._norm()
        if norm is not None:
            scale, offset = scale_offset(norm, weights)
            numbers = [scale, bias * scale + offset]
        numbers += channel_numbers(self._after(), weights, step.outputs)
        self.params = into.add(channel_blocks(numbers, self.machine.lanes)) if numbers else 0

    def _write_kernel(self, given: np.ndarray, place: np.ndarray) -> None:
        """The kernel's values as (pair of points, phase, block, input, lane), so many at a time as a cache holds."""
        step, width = self.step, self.tile_width
        kernel = given if step.layout == "conv" else given.transpose(0, 1, 3, 2)
        matrix = kernel_values(kernel.shape[:2], step.patch, step.rows, step.columns)
        values = place.reshape(len(matrix), -1, step.inputs, width)
        some = max(1, KERNEL_VALUES // (len(matrix) * width))
        entries = np.zeros((*kernel.shape[:2], some, width))
        for block, i in product(range(values.shape[1]), range(0, step.inputs, some)):
            part = kernel[:, :, i : i + some, block * width : (block + 1) * width]
            inputs, outputs = part.shape[2:]
            entries[:, :, :inputs, :outputs], entries[:, :, :, outputs:] = part, 0.0
            made = matrix @ entries.reshape(matrix.shape[1], -1)
            values[:, block, i : i + some] = made.reshape(len(matrix), some, width)[:, :inputs]

    def _blocks(self) -> Iterator[tuple[int, int, int]]:
        """(pair of points, phase, first channel) of every block of the products."""
        phases = len(self.step.rows) * len(self.step.columns)
        return product(range(self.step.points), range(phases), range(0, self.step.outputs, self.tile_width))

    def _portion(self, target: Picture | View, images: int) -> int:
        """Rows of patches in a portion: as equal as may be."""
        step = self.step
        down, across = patch_grid(step, target)
        kernel = 4 * step.points * step.inputs * step.channels
        row = 4 * step.points * across * (self.pitch + step.channels)
        most = max(1, max(PORTION_BYTES, kernel // KERNEL_PARTS) // row)
        return -(-images * down // -(-images * down // most))

    def _planes(self, target: Picture | View, images: int) -> list[int]:
        """Floats from the values of a pair of points to the next, and of products."""
        pixels = self._portion(target, images) * patch_grid(self.step, target)[1]
        channels = sum(self.tile_width for _ in self._blocks()) // self.step.points
        lines = [-(-pixels * floats // LINE) for floats in (self.pitch, channels)]
        return [LINE * (n + (n % LINE == 0)) for n in lines]

    def workspace(self, target: Picture, images: int) -> int:
        """Floats of scratch for so many images."""
        return self.step.points * sum(self._planes(target, images))

    rim_cell = F_RIM

    @property
    def section_cells(self) -> int:
        return F_SKIPS + len(self.step.rows) + len(self.step.columns)

    def bases(self) -> dict[int, str]:
        """Which cells of a section say where values start, besides the rim's."""
        names = (self.step.source, self.step.target, *operand_names(self.step))
        return dict(zip((F_SOURCE, F_TARGET, F_A, F_B), names, strict=True))

    def section(
        self, table: Table, views: Mapping[str, View], rim: View | None, images: int, threads: int, workspace: int
    ) -> int:
        """Write all that the kernels read for these sizes and so many images; where it starts."""
        step, width = self.step, self.tile_width
        source, target = views[step.source], views[step.target]
        down, across = patch_grid(step, target)
        portion, planes = self._portion(target, images), self._planes(target, images)
        spaces = [workspace, workspace + step.points * planes[0]]
        pixels = portion * across
        panels, made = [], 0
        for (point, phase, left), place in zip(self._blocks(), self.places, strict=True):
            made = made + pixels * width if phase or left else 0
            values, products = (space + point * plane for space, plane in zip(spaces, planes, strict=True))
            panels.append([place, values, products + made])
        adds = portion * across * step.points * step.inputs * step.channels
        wanted = 1 if adds < TASK_MULTIPLY_ADDS else 4 * threads
        stages = [min(portion, wanted), min(len(panels), wanted), min(portion, wanted)]
        top, left = step.before
        listed = table.add(panels)
        g = table.add([max(stages), *stages, down, across, portion, rim_section(table, rim)])
        table.add([*self.code])
        table.add([source.base + source.at(-top, -left), source.image, step.patch * source.row, source.row])
        table.add([spaces[0], self.pitch, planes[0], spaces[1], pixels * width, planes[1]])
        table.add([[v.base, v.image, v.row] for v in (target, *(views[name] for name in operand_names(self.step)))])
        table.add([target.height, target.width, self.params, listed, len(panels), step.inputs // self._sums(), width])
        table.add([*step.skips[0], *step.skips[1]])
        return g
