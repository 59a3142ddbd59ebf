"""The step that does a convolution by minimal filtering: its portions, and where what they need lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from math import isqrt
from typing import NamedTuple

import numpy as np

from upc.runtime.compiled import Section, Setting
from upc.runtime.epilogue import channel_blocks, channel_numbers, epilogue, operand_names, rim_section, scale_offset
from upc.runtime.layout import LINE, Machine, Picture, Rim, Table, View, Weights
from upc.runtime.mending import direct_kernel, mend_patch, met_taps
from upc.runtime.minimal import kernel_values
from upc.runtime.patches import STREAM_BYTES, choose_patch, choose_vectors, most_rows
from upc.runtime.portions import evaluate_row, multiply_panel, read_row
from upc.runtime.records import (
    D_BLOCK,
    D_TAPS,
    D_TAPS_END,
    D_WEIGHTS,
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
    F_TASKS,
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
from upc.runtime.steps import BatchNorm, Filtering, Operation, Pair
from upc.runtime.subroutine import Kernel
from upc.runtime.tiling import TASK_MULTIPLY_ADDS

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


class FilteredPlaces(NamedTuple):
    """Where each panel's values are packed, each phase's kernel as it is, and the channels' numbers."""

    panels: range
    directs: tuple[int, ...]
    numbers: int


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
        apart = step.patch * source.pitch
        read = read_row(lines, step.taps, step.outputs, slots, operations, pitches, phases, wide, apart)
        multiply = multiply_panel(TileType(self.tile, self.vectors, lanes), self.pitch, self._sums(), self.streams)
        return evaluate, multiply, read, mend_patch(lines, source.pitch)

    def _sums(self) -> int:
        """How many sums of equal length the channels are added up in; one where those would be too short."""
        depth, longest = self.step.inputs, LONGEST_SUMS[isqrt(self.step.points)]
        length = max(n for n in range(1, longest + 1) if depth % n == 0)
        return depth // length if length > longest // 4 else 1

    overrun = 0

    def pack(self, weights: Mapping[str, np.ndarray], into: Weights) -> FilteredPlaces:
        """Put the kernel's values and the channels' numbers into the packed array."""
        step, panel = self.step, self.step.inputs * self.tile_width
        floats = panel * sum(1 for _ in self._blocks())
        first = into.room(floats)
        lanes = -(-step.outputs // self.machine.lanes) * self.machine.lanes
        met = [[entries for _, _, entries in taps] for taps in met_taps(step.rows, step.columns)]
        directs = [(into.room(n), n) for n in (len(entries) * step.inputs * lanes for entries in met)]

        def write(packed: np.ndarray) -> None:
            given = weights[step.weights[0]]
            kernel = given if step.layout == "conv" else given.transpose(0, 1, 3, 2)
            self._write_kernel(kernel, packed[first : first + floats])
            for entries, (start, count) in zip(met, directs, strict=True):
                direct_kernel(kernel, entries, self.machine.lanes, packed[start : start + count])

        into.later(write)
        numbers: list[np.ndarray] = []
        bias = np.zeros(step.outputs) if step.weights[1] is None else np.asarray(weights[step.weights[1]], np.float64)
        if self._begins_scaled():
            numbers = [np.ones(step.outputs), bias]
        norm = self._norm()
        if norm is not None:
            scale, offset = scale_offset(norm, weights)
            numbers = [scale, bias * scale + offset]
        numbers += channel_numbers(self._after(), weights, step.outputs)
        params = into.add(channel_blocks(numbers, self.machine.lanes)) if numbers else 0
        return FilteredPlaces(range(first, first + floats, panel), tuple(start for start, _ in directs), params)

    def _write_kernel(self, kernel: np.ndarray, place: np.ndarray) -> None:
        """The kernel's values as (pair of points, phase, block, input, lane), so many at a time as a cache holds."""
        step, width = self.step, self.tile_width
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

    def bases(self) -> dict[int, str]:
        """Which cells of a section say where values start, besides the rim's."""
        names = (self.step.source, self.step.target, *operand_names(self.step))
        return dict(zip((F_SOURCE, F_TARGET, F_A, F_B), names, strict=True))

    def section(self, table: Table, setting: Setting, code: tuple[int, ...], packed: FilteredPlaces) -> Section:
        """Write all that the kernels read in a setting."""
        step, width, views = self.step, self.tile_width, setting.views
        images, threads, workspace = setting.images, setting.threads, setting.workspace
        source, target = views[step.source], views[step.target]
        down, across = patch_grid(step, target)
        portion, planes = self._portion(target, images), self._planes(target, images)
        spaces = [workspace, workspace + step.points * planes[0]]
        pixels = portion * across
        panels, made = [], 0
        for (point, phase, left), place in zip(self._blocks(), packed.panels, strict=True):
            made = made + pixels * width if phase or left else 0
            values, products = (space + point * plane for space, plane in zip(spaces, planes, strict=True))
            panel = {Q_WEIGHTS: place, Q_VALUES: values, Q_MADE: products + made}
            panels.append([panel[cell] for cell in range(Q_PANEL)])
        adds = portion * across * step.points * step.inputs * step.channels
        wanted = 1 if adds < TASK_MULTIPLY_ADDS else 4 * threads
        stages = [min(portion, wanted), min(len(panels), wanted), min(portion, wanted)]
        top, left = step.before
        listed = table.add(panels)
        direct = table.add(self._direct(table, source, packed.directs))
        a, b = (views[name] for name in operand_names(step))
        skips = dict(enumerate([*step.skips[0], *step.skips[1]], start=F_SKIPS))
        section = {
            F_TASKS: max(stages),
            F_EVALUATIONS: stages[0],
            F_PRODUCTS: stages[1],
            F_READINGS: stages[2],
            F_DOWN: down,
            F_ACROSS: across,
            F_PORTION: portion,
            F_RIM: rim_section(table, setting.rim),
            **dict(zip((F_EVALUATE, F_MULTIPLY, F_READ, F_MEND), code, strict=True)),
            F_SOURCE: source.base + source.at(-top, -left),
            F_SOURCE_IMAGE: source.image,
            F_SOURCE_PATCH: step.patch * source.row,
            F_SOURCE_ROW: source.row,
            F_VALUES: spaces[0],
            F_VALUES_PITCH: self.pitch,
            F_VALUES_PLANE: planes[0],
            F_MADE: spaces[1],
            F_MADE_BLOCK: pixels * width,
            F_MADE_PLANE: planes[1],
            F_TARGET: target.base,
            F_TARGET_IMAGE: target.image,
            F_TARGET_ROW: target.row,
            F_A: a.base,
            F_A_IMAGE: a.image,
            F_A_ROW: a.row,
            F_B: b.base,
            F_B_IMAGE: b.image,
            F_B_ROW: b.row,
            F_HEIGHT: target.height,
            F_WIDTH: target.width,
            F_PARAMS: packed.numbers,
            F_PANELS: listed,
            F_PANEL_COUNT: len(panels),
            F_DEPTH: step.inputs // self._sums(),
            F_WIDE: width,
            F_DIRECT: direct,
            F_INPUTS: step.inputs,
            **skips,
        }
        return Section(table.record(section), len(section))

    def _direct(self, table: Table, source: View, places: tuple[int, ...]) -> list[list[int]]:
        """What `mend_patch` reads of each phase."""
        made, lanes = [], self.machine.lanes
        for taps, start in zip(met_taps(self.step.rows, self.step.columns), places, strict=True):
            first = table.add([source.at(row, column) for row, column, _ in taps])
            phase = {D_WEIGHTS: start, D_TAPS: first, D_TAPS_END: first + len(taps)}
            phase[D_BLOCK] = len(taps) * self.step.inputs * lanes
            made.append([phase[cell] for cell in range(DIRECT)])
        return made
