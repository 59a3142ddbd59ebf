"""A network: its description, its memory and its compiled code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from upc.runtime.convolution import CompiledConvolution, Convolution
from upc.runtime.layout import SLACK, Picture, Table, View, machine, place
from upc.runtime.minimal import CompiledInverse, CompiledTransform, Inverse, Transform
from upc.runtime.moving import CompiledGather, CompiledReshape, Gather, Reshape
from upc.runtime.normalizing import CompiledNormalize, CompiledSoftmax, Normalize, Softmax
from upc.runtime.rows import CompiledPointwise, Pointwise, by_rows
from upc.runtime.subroutine import jit
from upc.runtime.tiling import convolve
from upc.runtime.windows import (
    CompiledDepthwise,
    CompiledGlobalPool,
    CompiledPool,
    CompiledResize,
    Depthwise,
    GlobalPool,
    Pool,
    Resize,
)

# Cells of a job, after those of the team.
ARENA, WEIGHTS, TABLE, BATCH, CHUNK, EXTERNALS = 24, 25, 26, 27, 28, 32
PAIR = 16  # cells from one step's counters to the next's
MOST_CHUNKS = 64
MOST_IMAGES = 64  # in a chunk
ARENA_BYTES = 8 << 20  # memory a chunk should fit in, unless weights are larger still

COMPILED = {
    Convolution: CompiledConvolution,
    Depthwise: CompiledDepthwise,
    Gather: CompiledGather,
    GlobalPool: CompiledGlobalPool,
    Inverse: CompiledInverse,
    Normalize: CompiledNormalize,
    Pointwise: CompiledPointwise,
    Pool: CompiledPool,
    Reshape: CompiledReshape,
    Resize: CompiledResize,
    Softmax: CompiledSoftmax,
    Transform: CompiledTransform,
}


@jit
def external(job: Any, which: int, first: int) -> int:
    """Where the caller's array number `which` starts, from its image `first` on."""
    return job[EXTERNALS + 2 * which] + 4 * first * job[EXTERNALS + 2 * which + 1]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Geometry:
    """Everything that follows from the free sizes and the number of images in a chunk."""

    table: np.ndarray
    arena: int
    chunk: int
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
    """

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    weights: Mapping[str, tuple[int, ...]]
    steps: tuple[Any, ...]
    sizes: Callable[..., Mapping[str, tuple[int, int, int]]]
    shapes: Callable[..., tuple[tuple[int, ...], ...]]
    lives: Mapping[str, tuple[int, int]]
    slices: Callable[..., Mapping[str, tuple[str, int, int, int]]] = lambda **free: {}
    sample: Mapping[str, int] = field(default_factory=dict)
    demands: Callable[..., tuple[tuple[bool, str], ...]] = lambda **free: ()

    def compiled(self) -> tuple[Any, ...]:
        """The steps made ready for this machine."""
        here = machine()
        views, _ = self._views(self.sample, 1)
        steps: tuple[Any, ...] = tuple(COMPILED[type(step)](step, here, views, not self.sample) for step in self.steps)
        tiles, rows = _kernels(steps)
        for step in steps:
            mine = tiles if isinstance(step, CompiledConvolution) else rows
            step.numbers = tuple(mine.index(kernel) for kernel in step.kernels())
        return steps

    def functions(self) -> tuple[Any, Any]:
        """The functions that do a convolution step, and one of any other kind."""
        tiles, rows = _kernels(self.compiled())
        return convolve(tiles) if tiles else None, by_rows(rows)

    @property
    def counters(self) -> int:
        """Where the steps' counters start in a job."""
        return -(-(EXTERNALS + 2 * (len(self.inputs) + len(self.outputs))) // 8) * 8

    def new_job(self) -> np.ndarray:
        return np.zeros(self.counters + PAIR * len(self.steps) * MOST_CHUNKS, np.int64)

    def _pictures(self, free: Mapping[str, int]) -> dict[str, Picture]:
        """Every buffer, with the rim that its readers need."""
        sizes, slices = self.sizes(**free), self.slices(**free)
        rims: dict[str, tuple[int, int, int, int]] = {}
        for step in self.steps:
            if isinstance(step, (Convolution, Transform)):
                source, target = (Picture(*sizes[name]) for name in (step.source, step.target))
                buffer = slices.get(step.source, (step.source,))[0]
                reach = step.reach(source, target, not self.sample)
                before = rims.get(buffer, (0, 0, 0, 0))
                rims[buffer] = tuple(max(a, b) for a, b in zip(before, reach, strict=True))  # type: ignore[assignment]
        spread = self.sizes(**self.sample)
        return {
            name: Picture(*size, rims.get(name, (0, 0, 0, 0)), spread[name][0] * spread[name][1] > 1)
            for name, size in sizes.items()
            if name not in slices and not _is_external(name)
        }

    def _views(self, free: Mapping[str, int], images: int) -> tuple[dict[str, View], int]:
        """Where every value lies, and the floats of the arena."""
        sizes, slices, pictures = self.sizes(**free), self.slices(**free), self._pictures(free)
        offsets, total = place({name: p.image * images for name, p in pictures.items()}, self.lives)
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
        return views, total + SLACK

    def geometry(
        self, compiled: tuple[Any, ...], free: Mapping[str, int], batch: int, threads: int, weight_bytes: int
    ) -> Geometry:
        """Lay out memory and work for such sizes."""
        _, one = self._views(free, 1)
        slices = self.slices(**free)
        budget = max(ARENA_BYTES, 2 * weight_bytes)
        chunk = max(1, min(MOST_IMAGES, batch, budget // (4 * (one - SLACK) or 1)))
        views, arena = self._views(free, chunk)
        arena += max((step.overrun for step in compiled if isinstance(step, CompiledConvolution)), default=0)
        table = Table()
        table.add([0] * len(compiled))
        cleared: set[str] = set()
        sections = []
        for step in compiled:
            buffer = slices.get(step.step.target, (step.step.target,))[0]
            rim = None
            if buffer not in cleared and not _is_external(buffer):
                cleared.add(buffer)
                rim = views[buffer]
            sections.append(step.section(table, views, rim, chunk, threads))
        table.put(0, sections)
        numbers = table.array()
        single = all(numbers[section] <= 1 for section in sections)  # tasks are a section's first cell
        return Geometry(numbers, arena, chunk, single)


def _kernels(steps: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
    """What convolution steps and the others call, each function once."""
    tiles: list[Any] = []
    rows: list[Any] = []
    for step in steps:
        mine = tiles if isinstance(step, CompiledConvolution) else rows
        mine += [kernel for kernel in step.kernels() if kernel not in mine]
    return tiles, rows


def _is_external(name: str) -> bool:
    return name.startswith(("input ", "output "))
