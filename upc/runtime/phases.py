"""Convolution, transposed convolution, nearest upsampling + convolution and dense as one thing: phases.

A phase is a set of target pixels at equal distances that all see the same taps: (row, column) offsets
from their place in the source, each with the kernel entries that meet it. Zeros that a stride would
insert never appear; kernel entries that meet the same source pixel are added up beforehand.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import product

KernelEntry = tuple[int, int]
"""Row and column in the kernel."""


@dataclass(frozen=True)
class Tap:
    """What one source pixel gives: `parts` are (target pixel within a fold, kernel entries to add up)."""

    row: int
    column: int
    parts: tuple[tuple[int, tuple[KernelEntry, ...]], ...]


@dataclass(frozen=True)
class Phase:
    """Target pixels `origin + step * (i, j)`, reading source pixels around `pace * (i, j)`."""

    origin: tuple[int, int]
    taps: tuple[Tap, ...]


@dataclass(frozen=True)
class Phases:
    """All phases of a layer. `step` is the distance of target pixels, `pace` that of source pixels, `fold`
    the rows and columns of neighbouring target pixels made at once as if they were channels."""

    phases: tuple[Phase, ...]
    step: tuple[int, int]
    pace: tuple[int, int]
    fold: tuple[int, int] = (1, 1)

    def grid(self, phase: Phase, target: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the phase in a target of that size."""
        rows = -(-(target[0] - phase.origin[0]) // self.step[0])
        columns = -(-(target[1] - phase.origin[1]) // self.step[1])
        return max(rows, 0), max(columns, 0)

    def reach(self, source: tuple[int, int], target: tuple[int, int]) -> tuple[int, int, int, int]:
        """Rows and columns read outside the source: top, bottom, left, right."""
        top = bottom = left = right = 0
        for phase in self.phases:
            rows, columns = self.grid(phase, target)
            if rows and columns:
                for tap in phase.taps:
                    top, left = max(top, -tap.row), max(left, -tap.column)
                    bottom = max(bottom, (rows - 1) * self.pace[0] + tap.row - source[0] + 1)
                    right = max(right, (columns - 1) * self.pace[1] + tap.column - source[1] + 1)
        return top, bottom, left, right


def _axis_phases(axis: dict[int, dict[int, list[int]]]) -> list[tuple[int, list[tuple[int, list[int]]]]]:
    return [(origin, sorted(taps.items())) for origin, taps in sorted(axis.items())]


def _cross(rows: dict[int, dict[int, list[int]]], columns: dict[int, dict[int, list[int]]]) -> tuple[Phase, ...]:
    made = []
    for (y, row_taps), (x, column_taps) in product(_axis_phases(rows), _axis_phases(columns)):
        taps = tuple(
            Tap(dy, dx, ((0, tuple(product(kys, kxs))),)) for (dy, kys), (dx, kxs) in product(row_taps, column_taps)
        )
        made.append(Phase((y, x), taps))
    return tuple(made)


def convolution_phases(
    kernel: tuple[int, int], strides: tuple[int, int], dilation: tuple[int, int], before: tuple[int, int]
) -> Phases:
    """`before` is how many zeros stand in front of the source on each axis."""
    axes = [{0: {k * d - p: [k] for k in range(size)}} for size, d, p in zip(kernel, dilation, before, strict=True)]
    return Phases(_cross(axes[0], axes[1]), (1, 1), strides)


def transposed_phases(
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilation: tuple[int, int],
    crop: tuple[int, int],
    source: tuple[int, int],
    target: tuple[int, int],
) -> Phases:
    """`crop` pixels of the full result are cut off in front; from a 1-pixel source every pixel is a phase."""
    axes, steps = [], []
    for size, stride, dilate, cut, pixels, made in zip(kernel, strides, dilation, crop, source, target, strict=True):
        # Source pixel j meets target pixel o = j*stride + k*dilate - cut.
        step = made if pixels == 1 else stride
        axis: dict[int, dict[int, list[int]]] = {origin: defaultdict(list) for origin in range(min(step, made))}
        for origin, k in product(axis, range(size)):
            j, rest = divmod(origin + cut - k * dilate, stride)
            if rest == 0 and (pixels > 1 or j == 0):
                axis[origin][j].append(k)
        axes.append(axis)
        steps.append(step)
    return Phases(_cross(axes[0], axes[1]), (steps[0], steps[1]), (1, 1))


def upsampled_phases(
    kernel: tuple[int, int], size: tuple[int, int], dilation: tuple[int, int], before: tuple[int, int]
) -> Phases:
    """Convolution of stride 1 over each source pixel repeated `size` times."""
    axes = []
    for taps, scale, dilate, zeros in zip(kernel, size, dilation, before, strict=True):
        axis: dict[int, dict[int, list[int]]] = {origin: defaultdict(list) for origin in range(scale)}
        for origin, k in product(range(scale), range(taps)):
            axis[origin][(origin + k * dilate - zeros) // scale].append(k)
        axes.append(axis)
    return Phases(_cross(axes[0], axes[1]), size, (1, 1))


def taps_per_pixel(phases: Phases, size: tuple[int, int]) -> float:
    """How many taps a pixel of the phases costs if blocks of that size are made at once, as `fold` does it."""
    cost = 1.0
    for axis, pixels in enumerate(size):
        step, pace = phases.step[axis], phases.pace[axis]
        seen: dict[int, set[int]] = defaultdict(set)
        for phase in phases.phases:
            seen[phase.origin[axis]] |= {(tap.row, tap.column)[axis] for tap in phase.taps}
        if pixels == 1:
            cost *= sum(map(len, seen.values())) / step
        else:
            offsets = {offset + i * pace for those in seen.values() for offset in those for i in range(pixels // step)}
            cost *= len(offsets) / pixels
    return cost


def fold(phases: Phases, size: tuple[int, int]) -> Phases:
    """Make a block of neighbouring target pixels at once, as further channels.

    `size` is its rows and columns, multiples of the step; one row of any phase is a block too. For a layer of few
    channels this fills vectors that would stay nearly empty; a tap that only some of the pixels see has zero weights
    for the others, in lanes that would have been idle.
    """
    (rows, columns), (down, across) = size, phases.step
    if rows == 1:
        down = 1  # phases of different rows stay apart
    blocks: dict[int, dict[tuple[int, int], dict[int, tuple[KernelEntry, ...]]]] = {}
    for phase in phases.phases:
        y = 0 if rows == 1 else phase.origin[0]
        taps = blocks.setdefault(phase.origin[0] - y, defaultdict(dict))
        for tap, i, j in product(phase.taps, range(rows // down), range(columns // across)):
            pixel = (i * down + y) * columns + j * across + phase.origin[1]
            taps[tap.row + i * phases.pace[0], tap.column + j * phases.pace[1]][pixel] = tap.parts[0][1]
    folded = tuple(
        Phase((y, 0), tuple(Tap(dy, dx, tuple(sorted(parts.items()))) for (dy, dx), parts in sorted(taps.items())))
        for y, taps in sorted(blocks.items())
    )
    pace = phases.pace[0] * rows // down, phases.pace[1] * columns // across
    return Phases(folded, (phases.step[0] if rows == 1 else rows, columns), pace, size)
