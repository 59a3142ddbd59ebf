"""A network: its description, its memory and its compiled code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from upc.runtime.compiled import CompiledStep, Ready, Section, Setting
from upc.runtime.convolution import CompiledConvolution
from upc.runtime.filtering import CompiledFiltering
from upc.runtime.layout import LINE, SLACK, Picture, Rim, Table, View, machine, place
from upc.runtime.moving import CompiledGather, CompiledReshape
from upc.runtime.normalizing import CompiledNormalize, CompiledSoftmax
from upc.runtime.records import CONVOLUTION, EXTERNALS, FILTERING, PAIR, RIM_CELLS, ROWS, STEP
from upc.runtime.rows import CompiledPointwise
from upc.runtime.steps import (
    Convolution,
    Depthwise,
    Filtering,
    Gather,
    GlobalPool,
    Normalize,
    Pointwise,
    Pool,
    Reshape,
    Resize,
    Softmax,
    Step,
)
from upc.runtime.windows import CompiledDepthwise, CompiledGlobalPool, CompiledPool, CompiledResize

MOST_CHUNKS = 64
MOST_IMAGES = 64  # in a chunk
ARENA_BYTES = 8 << 20  # memory a chunk should fit in, unless weights are larger still

COMPILED: dict[type[Step], Any] = {
    Convolution: CompiledConvolution,
    Depthwise: CompiledDepthwise,
    Filtering: CompiledFiltering,
    Gather: CompiledGather,
    GlobalPool: CompiledGlobalPool,
    Normalize: CompiledNormalize,
    Pointwise: CompiledPointwise,
    Pool: CompiledPool,
    Reshape: CompiledReshape,
    Resize: CompiledResize,
    Softmax: CompiledSoftmax,
}


@dataclass(frozen=True)
class Geometry:
    """Everything that follows from the free sizes and the number of images in a chunk."""

    table: np.ndarray
    arena: int
    chunk: int
    rounds: int
    """Runs of a step in a chunk, over all steps."""
    single: bool


@dataclass(frozen=True)
class Port:
    """An input or output: its name and its shape without the batch, free sizes by name or as text."""

    name: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Network:
    """A network as its module describes it.

    `sizes(**free)` gives (rows, columns, channels) of every value; `slices(**free)` the values that are
    part of another's buffer, as (buffer, first row, column, channel); `lives` the steps between which a
    buffer is needed; `demands(**free)` pairs of (holds, what is demanded); `sample` free sizes that are allowed.
    `segments` are runs of steps that take turns of their own: (first step, images of a turn, if that is known).
    """

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    weights: Mapping[str, tuple[int, ...]]
    steps: tuple[Step, ...]
    sizes: Callable[..., Mapping[str, tuple[int, int, int]]]
    shapes: Callable[..., tuple[tuple[int, ...], ...]]
    lives: Mapping[str, tuple[int, int]]
    slices: Callable[..., Mapping[str, tuple[str, int, int, int]]] = lambda **free: {}
    sample: Mapping[str, int] = field(default_factory=dict)
    demands: Callable[..., tuple[tuple[bool, str], ...]] = lambda **free: ()
    segments: tuple[tuple[int, int | None], ...] = ((0, None),)

    def compiled(self) -> tuple[CompiledStep[Any], ...]:
        """The steps made ready for this machine."""
        here = machine()
        views, _, _ = self._views(self.sample, (1,) * len(self.segments))
        return tuple(COMPILED[type(step)](step, here, views, not self.sample) for step in self.steps)

    @property
    def externals(self) -> tuple[str, ...]:
        """The values that are arrays of the caller's, in the order in which a job holds them."""
        return (*(f"input {port.name}" for port in self.inputs), *(f"output {port.name}" for port in self.outputs))

    @property
    def counters(self) -> int:
        """Where the steps' counters start in a job."""
        return -(-(EXTERNALS + 2 * len(self.externals)) // 8) * 8

    def new_job(self) -> np.ndarray:
        return np.zeros(self.counters + PAIR * len(self.steps) * MOST_CHUNKS, np.int64)

    def _pictures(self, free: Mapping[str, int]) -> dict[str, Picture]:
        """Every buffer, with the rim that its readers need."""
        sizes, slices = self.sizes(**free), self.slices(**free)
        rims: dict[str, Rim] = {}
        for step in self.steps:
            source, target = (Picture(*sizes[name]) for name in (step.source, step.target))
            reach = COMPILED[type(step)].reach(step, source, target, not self.sample)
            if any(reach):
                buffer = slices.get(step.source, (step.source,))[0]
                before = rims.get(buffer, (0, 0, 0, 0))
                rims[buffer] = tuple(max(a, b) for a, b in zip(before, reach, strict=True))
        spread = self.sizes(**self.sample)
        return {
            name: Picture(*size, rims.get(name, (0, 0, 0, 0)), spread[name][0] * spread[name][1] > 1)
            for name, size in sizes.items()
            if name not in slices and not _is_external(name)
        }

    def _segment(self, number: int) -> int:
        """Which segment a step belongs to."""
        return sum(first <= number for first, _ in self.segments) - 1

    def _spans(self, free: Mapping[str, int]) -> dict[str, tuple[int, int]]:
        """The first and last segment that every buffer is needed in."""
        slices = self.slices(**free)
        spans: dict[str, tuple[int, int]] = {}
        for number, step in enumerate(self.steps):
            for name in (step.source, step.target, *step.operands):
                buffer, here = slices.get(name, (name,))[0], self._segment(number)
                spans[buffer] = spans.get(buffer, (here, here))[0], here
        return spans

    def _views(
        self, free: Mapping[str, int], counts: Sequence[int], workspaces: Mapping[int, int] | None = None
    ) -> tuple[dict[str, View], dict[int, int], int]:
        """Where every value lies, and the scratch of steps that need so many floats; the floats of the arena.

        `counts` are the images of a turn of each segment. A buffer of several segments holds all of a chunk, and is
        needed as long as any of them takes turns.
        """
        sizes, slices, pictures = self.sizes(**free), self.slices(**free), self._pictures(free)
        ends = [*(first - 1 for first, _ in self.segments[1:]), len(self.steps) - 1]
        needed, lives = {}, {}
        for name, (first, last) in self._spans(free).items():
            if name in pictures:
                needed[name] = pictures[name].image * (counts[first] if first == last else max(counts))
                lives[name] = self.lives[name] if first == last else (self.segments[first][0], ends[last])
        for number, floats in (workspaces or {}).items():
            needed[f"workspace {number}"] = -(-floats // LINE) * LINE
            lives[f"workspace {number}"] = number, number
        offsets, total = place(needed, lives)
        views = {}
        for name, (height, width, channels) in sizes.items():
            if _is_external(name):
                row = width * channels
                views[name] = View(0, height * row, row, channels, height, width, channels, (0, 0, 0, 0))
                continue
            buffer, y, x, c = slices.get(name, (name, 0, 0, 0))
            p = pictures[buffer]
            base = offsets[buffer] + p.origin + y * p.row + x * p.pitch + c
            views[name] = View(base, p.image, p.row, p.pitch, height, width, channels, p.rim)
        return views, {number: offsets[f"workspace {number}"] for number in workspaces or {}}, total + SLACK

    def _counts(self, free: Mapping[str, int], batch: int, weight_bytes: int) -> list[int]:
        """Images of a turn of each segment: as many as were planned, or as fit in memory that is worth it."""
        _, _, one = self._views(free, (1,) * len(self.segments))
        room = max(ARENA_BYTES, 2 * weight_bytes) // (4 * (one - SLACK) or 1)
        counts = [max(1, min(MOST_IMAGES, batch, room if images is None else images)) for _, images in self.segments]
        return [-(-max(counts) // -(-max(counts) // count)) for count in counts]

    def geometry(
        self, steps: Sequence[Ready[Any]], free: Mapping[str, int], batch: int, threads: int, weight_bytes: int
    ) -> Geometry:
        """Lay out memory and work for such sizes."""
        counts, slices, sizes = self._counts(free, batch, weight_bytes), self.slices(**free), self.sizes(**free)
        images = [counts[self._segment(number)] for number in range(len(steps))]
        scratch = [
            step.compiled.workspace(Picture(*sizes[step.step.target]), some)
            for step, some in zip(steps, images, strict=True)
        ]
        workspaces = {number: floats for number, floats in enumerate(scratch) if floats}
        views, spaces, arena = self._views(free, counts, workspaces)
        arena += max(step.compiled.overrun for step in steps)
        table = Table()
        table.add([len(counts)])
        ends = [*(first for first, _ in self.segments[1:]), len(steps)]
        table.add([[n, first, end] for n, (first, _), end in zip(counts, self.segments, ends, strict=True)])
        records = table.add(np.zeros((len(steps), STEP)))
        spans, chunk = self._spans(free), max(counts)
        shared = {n for n in sizes if _is_external(n) or len(set(spans[slices.get(n, (n,))[0]])) > 1}
        externals = {name: number for number, name in enumerate(self.externals)}
        single, rounds = True, 0
        cleared: set[str] = set()
        for number, step in enumerate(steps):
            buffer = slices.get(step.step.target, (step.step.target,))[0]
            rim = None
            if buffer not in cleared and not _is_external(buffer):
                cleared.add(buffer)
                rim = views[buffer]
            section = step.section(table, Setting(views, rim, images[number], threads, spaces.get(number, 0)))
            single = single and table[section.start] <= 1  # tasks are a section's first cell
            turns = range(1, -(-chunk // images[number]))
            sections = [section.start, *(_turn(table, section, step, views, shared, t * images[number]) for t in turns)]
            rounds += len(sections)
            ends_of = [externals.get(name, -1) for name in (step.step.source, step.step.target)]
            table.put(records + STEP * number, [_kind(step.compiled), table.add(sections), *ends_of])
        return Geometry(table.array(), arena, chunk, rounds, single)


def _turn(
    table: Table, section: Section, step: Ready[Any], views: Mapping[str, View], shared: Set[str], images: int
) -> int:
    """A step's section for its turn after so many images, which the values that are `shared` hold all of."""
    by = {cell: images * views[name].image for cell, name in step.compiled.bases().items() if name in shared}
    rim_cell = step.compiled.rim_cell
    copy, rim = table.moved(section.start, section.cells, by), table[section.start + rim_cell]
    if rim >= 0 and step.step.target in shared:
        cells = table.moved(rim, RIM_CELLS, {0: images * views[step.step.target].image})
        table.put(copy + rim_cell, [cells])
    return copy


def _kind(step: CompiledStep[Any]) -> int:
    """Which of the driver's functions does steps of its kind."""
    return {CompiledConvolution: CONVOLUTION, CompiledFiltering: FILTERING}.get(type(step), ROWS)


def _is_external(name: str) -> bool:
    return name.startswith(("input ", "output "))
