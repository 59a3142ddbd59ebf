"""The phase convolution: the one step to which conv, transposed conv, upsample + conv and dense come down."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

import numpy as np

from upc.runtime.compiled import Section, Setting
from upc.runtime.epilogue import channel_numbers, epilogue, operand_names, rim_section, scale_offset
from upc.runtime.layout import LINE, Machine, Picture, Rim, Table, View, Weights
from upc.runtime.patches import STREAM_BYTES, Patch, choose_patch, choose_vectors, most_rows
from upc.runtime.phases import (
    Phase,
    Phases,
    convolution_phases,
    fold,
    taps_per_pixel,
    transposed_phases,
    upsampled_phases,
)
from upc.runtime.records import (
    A_ACROSS,
    A_DOWN,
    A_IMAGE,
    B_ACROSS,
    B_DOWN,
    B_IMAGE,
    CHUNKS,
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
    SECTION,
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
from upc.runtime.registers import FIRST_LEVEL, SECOND_LEVEL, TileType
from upc.runtime.steps import BatchNorm, Convolution, Operation, Pair
from upc.runtime.subroutine import Kernel
from upc.runtime.tiling import LONGEST_SUM, TASK_MULTIPLY_ADDS, tile_kernel

SMALL_WEIGHTS_BYTES = 768 << 10  # weights that stay in the second-level cache beside the pixels
NEAR_WEIGHTS_BYTES = 3 << 19  # weights that from call to call stay in the second-level caches of two cores
MOST_AHEAD = 2  # lines of the next tile's source asked for at each step
MANY_IMAGES = 64  # where it is not known how many they are
SOURCE_CHUNK_BYTES = 192 << 10  # source pixels that stay there while all panels pass over them


def zeros_before(step: Convolution, source: Pair, target: Pair) -> Pair:
    """Zeros in front of the source (convolution) or pixels cut off the full result (transposed)."""
    if step.padding != "same":
        assert not isinstance(step.padding, str)
        return step.padding[0][0], step.padding[1][0]
    before = []
    for axis in (0, 1):
        span = step.dilation[axis] * (step.kernel[axis] - 1) + 1
        if step.form == "transposed":
            beyond = (source[axis] - 1) * step.strides[axis] + span - target[axis]
        else:
            scaled = source[axis] * step.size[axis]
            beyond = (-(-scaled // step.strides[axis]) - 1) * step.strides[axis] + span - scaled
        before.append(max(0, beyond) // 2)
    return before[0], before[1]


def unfolded(step: Convolution, source: Pair, target: Pair, fixed: bool) -> Phases:
    """The phases for such sizes; `fixed` if they are the only ones there will be.

    Where others are to come, there are as many phases whatever the sizes, because the kernel is packed by them
    once: a narrow target has no pixels of some. A dense layer's one pixel is fixed in any network.
    """
    target = -(-target[0] // step.enlargement), -(-target[1] // step.enlargement)
    before = zeros_before(step, source, target)
    if step.form == "transposed":
        settled = fixed or step.layout == "spread"
        seen, made = (source, target) if settled else ((2, 2), step.strides)
        return transposed_phases(step.kernel, step.strides, step.dilation, before, seen, made)
    if step.form == "upsampled":
        return upsampled_phases(step.kernel, step.size, step.dilation, before)
    return convolution_phases(step.kernel, step.strides, step.dilation, before)


def kernel_array(step: Convolution, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """The kernel as (row, column, input of a group, output)."""
    given = weights[step.weights[0]]
    h, w = step.kernel
    if step.layout == "conv":
        return given
    if step.layout == "conv_transpose":
        parts = np.split(given, step.groups, axis=3)
        return np.concatenate([part.transpose(0, 1, 3, 2) for part in parts], axis=3)
    if step.layout == "spread":
        return given.reshape(step.inputs, h, w, step.outputs).transpose(1, 2, 0, 3)
    return given.reshape(h, w, step.inputs, step.outputs)


def column_runs(step: Convolution) -> list[tuple[Pair, int, np.ndarray]]:
    """(target pixel within a shuffle, group, kernel columns) of every run of target channels."""
    every = np.arange(step.outputs)
    if step.shuffle:
        r = step.shuffle.factor
        blocks = every.reshape(-1, r, r) if step.shuffle.order == "crd" else every.reshape(r, r, -1).transpose(2, 0, 1)
        return [((i, j), 0, blocks[:, i, j]) for i, j in product(range(r), range(r))]
    return [((0, 0), group, part) for group, part in enumerate(np.split(every, step.groups))]


def folded_norm(step: Convolution) -> tuple[BatchNorm | None, tuple[Operation, ...]]:
    """A batch normalisation in front of the epilogue, which goes into the kernel, and what is left."""
    first = step.then[0] if step.then else None
    return (first, step.then[1:]) if isinstance(first, BatchNorm) else (None, step.then)


class PanelPlaces(NamedTuple):
    """Where a panel's weights and its channels' numbers are packed."""

    weights: int
    numbers: int


class CompiledConvolution:
    """A `Convolution` made ready for a machine and, if they are known, for the sizes of its buffers."""

    @staticmethod
    def reach(step: Convolution, source: Picture, target: Picture, fixed: bool) -> Rim:
        """The zero rim it needs around its source."""
        ours = unfolded(step, (source.height, source.width), (target.height, target.width), fixed)
        factor = step.enlargement
        return ours.reach((source.height, source.width), (target.height // factor, target.width // factor))

    def __init__(self, step: Convolution, machine: Machine, views: Mapping[str, View], fixed: bool) -> None:
        self.step, self.machine, self.views, self.fixed = step, machine, views, fixed
        source, target = views[step.source], views[step.target]
        self.fold = self._choose_fold(source, target) if fixed else (1, 1)
        self.folded = self.fold[0] * self.fold[1]
        lanes = len(column_runs(step)[0][2]) * self.folded
        grids: list[Pair] = []
        if fixed:
            phases, size = self.phases(source, target), self._grid_size(target)
            grids = [phases.grid(phase, size) for phase in phases.phases]
        pixels = grids[0][0] * grids[0][1] if grids else None
        self.vectors = choose_vectors(machine, lanes, pixels)
        self.tile_width = self.vectors * machine.lanes
        limit = most_rows(machine, self.vectors)
        self.one = choose_patch(limit, grids)
        several = pixels is not None and pixels <= limit // 2 and len(set(grids)) == 1
        self.many = choose_patch(limit, grids, step.images if step.images > 1 else MANY_IMAGES) if several else self.one
        self.operations = epilogue(folded_norm(step)[1]).tail

    def _grid_size(self, target: View) -> Pair:
        """Pixels of the target, before a shuffle multiplies them."""
        factor = self.step.enlargement
        return -(-target.height // factor), -(-target.width // factor)

    def _choose_fold(self, source: View, target: View) -> Pair:
        """Rows and columns of pixels to make at once, where channels alone would leave lanes idle."""
        step, most = self.step, self.machine.lanes // self.step.outputs
        if step.groups > 1 or step.shuffle or most < 2 or not target.dense or target.width == 1:
            return 1, 1
        if step.operands or step.layout == "spread":
            return 1, 1
        plain = unfolded(step, (source.height, source.width), (target.height, target.width), True)
        down, across = plain.step
        blocks = [(1, 1)]
        for rows in sorted({1, *range(down, most + 1, down)}):
            blocks += [(rows, columns) for columns in range(across, most // rows + 1, across)]
        whole = [(r, c) for r, c in blocks if target.height % r == 0 and target.width % c == 0]
        return min(whole, key=lambda size: (taps_per_pixel(plain, size), size))

    def phases(self, source: View, target: View) -> Phases:
        found = unfolded(self.step, (source.height, source.width), (target.height, target.width), self.fixed)
        return found if self.fold == (1, 1) else fold(found, self.fold)

    def kernels(self) -> tuple[Kernel, ...]:
        """The functions it may call, for few images and for many."""
        return tuple(self._kernel(patch) for patch in dict.fromkeys((self.one, self.many)))

    def _kernel(self, patch: Patch) -> Kernel:
        step, views = self.step, self.views
        tile = TileType(patch.pixels, self.vectors, self.machine.lanes)
        target = views[step.target]
        names = operand_names(self.step)
        phases = self.phases(views[step.source], target)
        factor = step.enlargement

        def out(view: View) -> tuple[int, ...]:
            down, across = phases.step[0] * factor, phases.step[1] * factor
            return patch.offsets(view.image, down * view.row, across * view.pitch)

        operands = tuple(out(views[name]) for name in names)
        following = self._next_tile(patch)
        streams = 4 * max(step.images, patch.images) * views[step.source].image > STREAM_BYTES or not self.fixed
        lines = min(MOST_AHEAD, -(-following * step.groups // (step.inputs * LINE))) if streams else 0
        block = (self.fold[0], target.row, self.fold[1] * step.outputs)
        rows = self._source_rows(patch), out(target), operands
        near = tile.rows == 1 and 4 * step.floats <= NEAR_WEIGHTS_BYTES
        level = FIRST_LEVEL if near else SECOND_LEVEL
        long = step.longest_sum > LONGEST_SUM
        return tile_kernel(tile, rows, self.operations, block, following, lines, level, long)

    def _next_tile(self, patch: Patch) -> int:
        """Floats from a tile's source to the next tile's."""
        source = self.views[self.step.source]
        pace = self.phases(source, self.views[self.step.target]).pace
        if patch.images > 1:
            return patch.images * source.image
        return pace[0] * patch.rows * source.row if patch.rows > 1 else pace[1] * patch.columns * source.pitch

    def _source_rows(self, patch: Patch) -> tuple[int, ...]:
        source = self.views[self.step.source]
        pace = self.phases(source, self.views[self.step.target]).pace
        return patch.offsets(source.image, pace[0] * source.row, pace[1] * source.pitch)

    @property
    def overrun(self) -> int:
        """Floats past its source that a tile reads for pixels it then does not store."""
        return max(max(self._source_rows(patch)) for patch in (self.one, self.many))

    def workspace(self, target: Picture, images: int) -> int:
        """Floats of scratch: none."""
        return 0

    def pack(self, weights: Mapping[str, np.ndarray], into: Weights) -> list[PanelPlaces]:
        """Put kernel, bias and channel numbers into the packed array, in the order of panels."""
        step, width = self.step, self.tile_width
        depth, gain = step.inputs // step.groups, np.ones((1, 1, step.outputs))
        # A dense layer that makes a picture has a bias for every pixel; for all others these two axes are 1.
        pixels = step.kernel if step.layout == "spread" else (1, 1)
        bias = np.zeros((*pixels, step.outputs))
        if step.weights[1] is not None:
            bias += np.asarray(weights[step.weights[1]], np.float64).reshape(bias.shape)
        folded, after = folded_norm(step)
        if folded is not None:
            shape = bias.shape if folded.flat else (step.outputs,)
            scale, offset = (number.reshape(shape) for number in scale_offset(folded, weights))
            bias, gain = bias * scale + offset, gain * scale
        extra = channel_numbers(after, weights, step.outputs)
        places: list[PanelPlaces] = []
        panels: list[tuple[Phase, np.ndarray, int, int]] = []
        for phase in self.phases(self.views[step.source], self.views[step.target]).phases:
            for _, _, columns in column_runs(step):
                here = bias[phase.taps[0].parts[0][1][0]] if step.layout == "spread" else bias[0, 0]
                numbers = np.stack([np.tile(row[columns], self.folded) for row in [here, *extra]])
                numbers = np.pad(numbers, ((0, 0), (0, -numbers.shape[1] % width)))
                panel = len(phase.taps) * depth * width
                blocks = numbers.shape[1] // width
                first = into.room(blocks * panel)
                panels.append((phase, columns, first, first + blocks * panel))
                for block in range(blocks):
                    few = into.add(numbers[:, block * width : (block + 1) * width])
                    places.append(PanelPlaces(first + block * panel, few))

        def write(packed: np.ndarray) -> None:
            kernel = kernel_array(step, weights)
            for phase, columns, start, end in panels:
                self._write_panels(phase, kernel, gain, columns, packed[start:end])

        into.later(write)
        return places

    def _write_panels(
        self, phase: Phase, kernel: np.ndarray, gain: np.ndarray, columns: np.ndarray, place: np.ndarray
    ) -> None:
        """Weights of a phase, each output's times its gain, as (block, tap, input, lane)."""
        many, width, inputs = len(columns), self.tile_width, kernel.shape[2]
        panel = np.zeros((len(phase.taps), inputs, place.size // (len(phase.taps) * inputs or 1)), np.float32)
        for t, tap in enumerate(phase.taps):
            for pixel, entries in tap.parts:
                total = sum(kernel[y, x][:, columns].astype(np.float64) for y, x in entries)
                y, x = entries[0] if gain.shape[:2] != (1, 1) else (0, 0)
                panel[t, :, pixel * many : (pixel + 1) * many] = total * gain[y, x][columns]
        if place.size:
            place.reshape(-1, *panel.shape[:2], width)[:] = panel.reshape(*panel.shape[:2], -1, width).transpose(
                2, 0, 1, 3
            )

    rim_cell = RIM

    def bases(self) -> dict[int, str]:
        """Which cells of a section say where values start, besides the rim's."""
        names = (self.step.source, self.step.target, *operand_names(self.step))
        return dict(zip((SOURCE, TARGET, A, B), names, strict=True))

    def section(self, table: Table, setting: Setting, code: tuple[int, ...], packed: list[PanelPlaces]) -> Section:
        """Write all that the kernel reads in a setting."""
        views, images, threads = setting.views, setting.images, setting.threads
        step, width = self.step, self.tile_width
        source, target = views[step.source], views[step.target]
        a, b = (views[name] for name in operand_names(self.step))
        phases = self.phases(source, target)
        factor = step.enlargement
        size = self._grid_size(target)
        patch = self.many if images > 1 else self.one

        grids = [phases.grid(phase, size) for phase in phases.phases]
        forms = sorted(set(grids))
        panels: list[list[int]] = []
        taps: list[int] = []
        weight_bytes = 0
        depth = step.inputs // step.groups
        merge = step.groups == 1 and source.dense
        places = iter(packed)
        for phase, grid in zip(phases.phases, grids, strict=True):
            runs = _runs(phase, source, depth, merge)
            first = len(taps)
            taps += [offset for offset, _ in runs]
            for (i, j), group, columns in column_runs(step):
                y, x = phase.origin[0] * factor + i, phase.origin[1] * factor + j
                lanes = len(columns) * self.folded
                for left in range(0, lanes, width):
                    channel = group * len(columns) + left
                    place = next(places)
                    spots = [v.at(y, x) + channel for v in (target, a, b)]
                    weight_bytes += 4 * width * len(phase.taps) * depth
                    panel = {
                        P_WEIGHTS: place.weights,
                        P_PARAMS: place.numbers,
                        P_SOURCE: group * depth,
                        P_TARGET: spots[0],
                        P_A: spots[1],
                        P_B: spots[2],
                        P_TAP: first,
                        P_TAP_END: len(taps),
                        P_DEPTH: runs[0][1] if runs else depth,
                        P_GRID: forms.index(grid),
                        P_COUNT: min(width, lanes - left),
                    }
                    panels.append([panel[cell] for cell in range(PANEL)])

        work_each = sum(g[0] * g[1] * len(p.taps) for g, p in zip(grids, phases.phases, strict=True))
        adds = images * work_each * depth * step.outputs * self.folded
        wanted = 1 if adds < TASK_MULTIPLY_ADDS else 4 * threads
        rows_of_tiles = -(-max(rows for rows, _ in forms) // patch.rows)
        by_pixels = len(panels) == 1 or weight_bytes <= SMALL_WEIGHTS_BYTES
        chunks, parts, group = _split(len(panels), images, rows_of_tiles, patch, by_pixels, 4 * source.image, wanted)
        tasks = chunks * parts * -(-images // group)

        down, across = phases.step[0] * factor * patch.rows, phases.step[1] * factor * patch.columns
        section = {
            TASKS: tasks,
            CHUNKS: chunks,
            PARTS: parts,
            GROUP: group,
            SOURCE: source.base,
            TARGET: target.base,
            A: a.base,
            B: b.base,
            SOURCE_IMAGE: source.image,
            TARGET_IMAGE: target.image,
            A_IMAGE: a.image,
            B_IMAGE: b.image,
            SOURCE_DOWN: phases.pace[0] * patch.rows * source.row,
            SOURCE_ACROSS: phases.pace[1] * patch.columns * source.pitch,
            TARGET_DOWN: down * target.row,
            A_DOWN: down * a.row,
            B_DOWN: down * b.row,
            TARGET_ACROSS: across * target.pitch,
            A_ACROSS: across * a.pitch,
            B_ACROSS: across * b.pitch,
            PANELS: table.add(panels),
            PANEL_COUNT: len(panels),
            GRIDS: table.add(forms),
            TAPS: table.add(taps),
            RIM: rim_section(table, setting.rim),
            KERNEL: code[-1] if patch is self.many else code[0],
            PATCH_IMAGES: patch.images,
            PATCH_ROWS: patch.rows,
            PATCH_COLUMNS: patch.columns,
        }
        return Section(table.record(section), SECTION)


def _runs(phase: Phase, source: View, depth: int, merge: bool) -> list[tuple[int, int]]:
    """(offset, length) of the runs of source floats a phase reads; taps side by side become one run."""
    offsets = [(source.at(tap.row, tap.column), depth) for tap in phase.taps]
    if not merge or not offsets:
        return offsets
    merged = [offsets[0]]
    for offset, length in offsets[1:]:
        start_of_run, so_far = merged[-1]
        if start_of_run + so_far == offset:
            merged[-1] = (start_of_run, so_far + length)
        else:
            merged.append((offset, length))
    return merged if len({length for _, length in merged}) == 1 else offsets


def _split(
    panels: int, images: int, rows_of_tiles: int, patch: Patch, by_pixels: bool, source_bytes: int, wanted: int
) -> tuple[int, int, int]:
    """(chunks of rows, parts of the panels, images) of the tasks: they share out pixels where the weights stay in the
    cache, else weights."""
    if not by_pixels:
        return 1, min(panels, wanted), images
    groups = -(-images // patch.images)
    chunks = min(rows_of_tiles, max(1, -(-wanted // groups), source_bytes // SOURCE_CHUNK_BYTES))
    return chunks, 1, images if wanted == 1 else patch.images
