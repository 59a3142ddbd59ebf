"""Steps that make one row of one picture at a time, and how their rows are shared out; pointwise ones among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Generic, TypeVar

import numpy as np

from upc.runtime.compiled import Section, Setting
from upc.runtime.epilogue import channel_blocks, clear_rim, epilogue, operand_names, rim_section, scale_offset
from upc.runtime.finishing import Tail, finish
from upc.runtime.layout import Machine, Picture, Rim, Table, View, Weights
from upc.runtime.records import R_A, R_B, R_KERNEL, R_OWN, R_RIM, R_SOURCE, R_TARGET, R_TASKS, R_WORK
from upc.runtime.registers import TileType
from upc.runtime.steps import BatchNorm, PixelPRelu, Pointwise, Step
from upc.runtime.subroutine import Floats, Integers, Kernel, call, jit, kernel
from upc.runtime.team import finished, take
from upc.runtime.tile import fetch

TASK_FLOATS = 1 << 16  # a task worth handing to another thread

NOWHERE = -(1 << 60)


@jit
def at(table: Integers, view: int, n: int, y: int) -> int:
    """Offset of row y of picture n in the view whose cells start at `table[view]`."""
    offset: int = table[view] + n * table[view + 1] + y * table[view + 2]
    return offset


@jit
def make_rows(
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
    """Do a step row by row, and picture by picture: section `g` of the table."""
    make_row = table[g + R_KERNEL]
    task = take(job, leader, counter, table[g + R_TASKS])
    while task >= 0:
        w = table[g + R_WORK] + 4 * task
        for n in range(table[w], min(table[w + 1], images)):
            if table[w + 2] == 0:
                clear_rim(table, table[g + R_RIM], target, n, n + 1)
            for y in range(table[w + 2], table[w + 3]):
                call(make_row, (table, g, n, y, arena, weights, source, target))
        finished(job, counter)
        task = take(job, leader, counter, table[g + R_TASKS])


S = TypeVar("S", bound=Step)


class CompiledRows(Generic[S]):
    """A step made ready for a machine; subclasses give its body and its own cells."""

    def __init__(self, step: S, machine: Machine, views: Mapping[str, View], fixed: bool) -> None:
        self.step, self.machine, self.views = step, machine, views
        self.tile = TileType(1, 1 if self.run(views) <= machine.lanes else 2, machine.lanes)

    @staticmethod
    def reach(step: Step, source: Picture, target: Picture, fixed: bool) -> Rim:
        """The zero rim it needs around its source."""
        return 0, 0, 0, 0

    def run(self, views: Mapping[str, View]) -> int:
        """Floats side by side that are worked on in one go."""
        return views[self.step.target].channels

    def kernels(self) -> tuple[Kernel, ...]:
        """The function it calls."""
        return (self.kernel(),)

    def kernel(self) -> Kernel:
        raise NotImplementedError

    def pack(self, weights: Mapping[str, np.ndarray], into: Weights) -> tuple[int, ...]:
        """Put the weights it needs into the packed array; what its own cells say of them."""
        return ()

    def workspace(self, target: Picture, images: int) -> int:
        """Floats of scratch: none."""
        return 0

    def cells(self, table: Table, views: Mapping[str, View], packed: tuple[int, ...]) -> list[int]:
        """The step's own numbers."""
        return []

    rim_cell, overrun = R_RIM, 0

    def bases(self) -> dict[int, str]:
        """Which cells of a section say where values start, besides the rim's."""
        step = self.step
        names = [step.source, step.target, *operand_names(step)]
        return dict(zip((R_SOURCE, R_TARGET, R_A, R_B), names, strict=True))

    def rows(self, target: View) -> int:
        """Rows the work can be split into."""
        return target.height

    def seen(self, view: View, target: View) -> View:
        """How a view is walked while the target's pixels are."""
        return view

    def section(self, table: Table, setting: Setting, code: tuple[int, ...], packed: tuple[int, ...]) -> Section:
        """Write all that the kernel reads in a setting."""
        views, images, threads = setting.views, setting.images, setting.threads
        target = views[self.step.target]
        rows = self.rows(target)
        floats = target.height * target.width * target.channels
        parts = max(1, min(rows, -(-floats // TASK_FLOATS), -(-4 * threads // images)))
        together = max(1, TASK_FLOATS // max(floats, 1)) if parts == 1 else 1
        work = [
            [n, min(n + together, images), rows * part // parts, rows * (part + 1) // parts]
            for n in range(0, images, together)
            for part in range(parts)
        ]
        section = {R_TASKS: len(work), R_WORK: table.add(work), R_RIM: rim_section(table, setting.rim)}
        section[R_KERNEL] = code[0]
        for cell, name in self.bases().items():
            view = self.seen(views[name], target)
            section |= {cell: view.base, cell + 1: view.image, cell + 2: view.row, cell + 3: view.pitch}
        section |= dict(enumerate(self.cells(table, views, packed), start=R_OWN))
        return Section(table.record(section), len(section))


@kernel
def pointwise_row(tile: TileType, operations: Tail) -> Any:
    read, end, width = fetch(tile), finish(tile, operations), tile.width

    def make_row(
        table: Integers,
        g: int,
        n: int,
        y: int,
        arena: Floats,
        weights: Floats,
        source: Floats,
        target: Floats,
    ) -> None:
        own = g + R_OWN
        pixels, channels, params = table[own], table[own + 1], table[own + 2]
        params += y * table[own + 3]
        s, t = at(table, g + R_SOURCE, n, y), at(table, g + R_TARGET, n, y)
        a, b = at(table, g + R_A, n, y), at(table, g + R_B, n, y)
        for x in range(pixels):
            p = params + x * table[own + 4]
            for c in range(0, channels, width):
                acc = read(source, s + x * table[g + R_SOURCE + 3] + c, channels - c)
                t_at = t + x * table[g + R_TARGET + 3] + c
                a_at, b_at = a + x * table[g + R_A + 3] + c, b + x * table[g + R_B + 3] + c
                end(acc, weights, p, arena, a_at, b_at, target, t_at, 1, channels - c)
                p += table[own + 5]

    return make_row


class CompiledPointwise(CompiledRows[Pointwise]):
    def run(self, views: Mapping[str, View]) -> int:
        target = views[self.step.target]
        return target.width * target.channels

    def kernel(self) -> Kernel:
        return pointwise_row(self.tile, epilogue(self.step.then).tail)

    def pack(self, weights: Mapping[str, np.ndarray], into: Weights) -> tuple[int, ...]:
        """Where the channels' numbers are, and floats from those of a row, of a pixel and of a block to the next's."""
        numbers: list[np.ndarray] = []
        target = self.views[self.step.target]
        for operation in self.step.then:
            if isinstance(operation, BatchNorm):
                numbers += scale_offset(operation, weights)
            elif isinstance(operation, PixelPRelu):
                numbers.append(np.asarray(weights[operation.alpha]).reshape(operation.shape))
        if not numbers:
            return 0, 0, 0, 0
        widest = max(n.shape[-1] for n in numbers)
        full = [np.broadcast_to(n, (*n.shape[:-1], max(widest, target.channels))) for n in numbers]
        blocks = channel_blocks(full, self.tile.width)
        pixel = blocks[(0,) * (blocks.ndim - 3)].size
        rows, columns = blocks.shape[:2] if blocks.ndim == 5 else (1, 1)
        apart = columns * pixel if rows > 1 else 0, pixel if columns > 1 else 0
        return into.add(blocks), *apart, blocks.shape[-2] * self.tile.width

    def seen(self, view: View, target: View) -> View:
        """With distance 0 along the axes on which it has one row or pixel and the target more."""
        row = 0 if view.height == 1 < target.height else view.row
        return replace(view, row=row, pitch=0 if view.width == 1 < target.width else view.pitch)

    def cells(self, table: Table, views: Mapping[str, View], packed: tuple[int, ...]) -> list[int]:
        step = self.step
        target = views[step.target]
        together = [views[name] for name in (step.source, step.target, *step.operands)]
        alike = all(v.dense and v.channels == target.channels and v.width == target.width for v in together)
        if alike and not any(packed[1:]):
            return [1, target.width * target.channels, packed[0], 0, 0, 0]
        return [target.width, target.channels, *packed]
