"""The other steps: each a few lines that make one row of one picture, shared out by rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from upc.runtime.convolution import BatchNorm, Pair, clear_rim, rim_section
from upc.runtime.layout import Machine, Table, View, Weights
from upc.runtime.subroutine import jit, one_of
from upc.runtime.team import finished, take
from upc.runtime.tile import TileType, fetch, fill, finish, merge, number_at, product_add, scale_add, start

# Cells of a section: the work, then four views of four cells each, then what the step needs.
R_TASKS, R_WORK, R_RIM, R_BODY, R_SOURCE, R_TARGET, R_A, R_B, R_OWN = 0, 1, 2, 3, 4, 8, 12, 16, 20
TASK_FLOATS = 1 << 16  # a task worth handing to another thread

NOWHERE = -(1 << 60)


@jit
def at(table: Any, view: int, n: int, y: int) -> int:
    """Offset of row y of picture n in the view whose cells start at `table[view]`."""
    offset: int = table[view] + n * table[view + 1] + y * table[view + 2]
    return offset


def by_rows(bodies: Sequence[Any]) -> Any:
    """The function that does a step with the body that the table names: row by row, and picture by picture."""
    make_row = one_of(bodies)

    @jit
    def run(
        job: Any, counter: int, table: Any, g: int, images: int, arena: Any, weights: Any, source: Any, target: Any
    ) -> None:
        tasks, body = table[g + R_TASKS], table[g + R_BODY]
        task = take(job, counter, tasks)
        while task >= 0:
            w = table[g + R_WORK] + 4 * task
            for n in range(table[w], min(table[w + 1], images)):
                if table[w + 2] == 0:
                    clear_rim(table, table[g + R_RIM], target, n, n + 1)
                for y in range(table[w + 2], table[w + 3]):
                    make_row(body, table, g, n, y, arena, weights, source, target)
            finished(job, counter)
            task = take(job, counter, tasks)

    return run


@dataclass(frozen=True)
class Step:
    """What every step says of itself: the layer's path, its line, what it reads and what it makes."""

    name: str
    line: int
    source: str
    target: str

    operands: tuple[str, ...] = ()
    then: tuple[Any, ...] = ()


class CompiledRows:
    """A step made ready for a machine; subclasses give its body and its own cells."""

    def __init__(self, step: Any, machine: Machine, views: Mapping[str, View], fixed: bool) -> None:
        self.step, self.machine, self.views = step, machine, views
        self.tile = TileType(1, 1 if self.run(views) <= machine.lanes else 2, machine.lanes)
        self.packed: list[int] = []
        self.numbers: tuple[int, ...] = ()

    def run(self, views: Mapping[str, View]) -> int:
        """Floats side by side that are worked on in one go."""
        return views[self.step.target].channels

    def kernels(self) -> tuple[Any, ...]:
        """The function it calls."""
        return (self.body(),)

    def body(self) -> Any:
        raise NotImplementedError

    def pack(self, weights: Mapping[str, np.ndarray], into: Weights) -> None:
        """Put the weights it needs into the packed array."""

    def cells(self, table: Table, views: Mapping[str, View]) -> list[int]:
        """The step's own numbers."""
        return []

    def rows(self, target: View) -> int:
        """Rows the work can be split into."""
        return target.height

    def seen(self, view: View, target: View) -> View:
        """How a view is walked while the target's pixels are."""
        return view

    def section(self, table: Table, views: Mapping[str, View], rim: View | None, images: int, threads: int) -> int:
        """Write all that the kernel reads for these sizes and so many images; where it starts."""
        step = self.step
        target = views[step.target]
        names = [step.source, step.target, *[*step.operands, step.target, step.target][:2]]
        rows = self.rows(target)
        floats = target.height * target.width * target.channels
        parts = max(1, min(rows, -(-floats // TASK_FLOATS), -(-4 * threads // images)))
        together = max(1, TASK_FLOATS // max(floats, 1)) if parts == 1 else 1
        work = [
            [n, min(n + together, images), rows * part // parts, rows * (part + 1) // parts]
            for n in range(0, images, together)
            for part in range(parts)
        ]
        seen = [self.seen(views[name], target) for name in names]
        four = [cell for view in seen for cell in (view.base, view.image, view.row, view.pitch)]
        own = self.cells(table, views)
        g = table.add([len(work), 0, 0, self.numbers[0], *four, *own])
        table.put(g + R_WORK, [table.add(work), rim_section(table, rim)])
        return g


def channel_blocks(numbers: list[np.ndarray], width: int) -> np.ndarray:
    """Numbers per channel, (..., channels) each, as (..., block, which, `width`), as `finish` reads them."""
    stacked = np.stack(np.broadcast_arrays(*numbers), axis=-2)
    spare = -stacked.shape[-1] % width
    padded = np.pad(stacked, [(0, 0)] * (stacked.ndim - 1) + [(0, spare)])
    blocks = padded.reshape(*padded.shape[:-1], -1, width)
    return np.ascontiguousarray(np.moveaxis(blocks, -2, -3))


def epilogue(then: tuple[Any, ...]) -> tuple[tuple[Any, ...], int]:
    """Operations as `finish` takes them, and how many numbers a channel they need."""
    made: list[tuple[Any, ...]] = []
    slots = 0
    for operation in then:
        if isinstance(operation, BatchNorm):
            made.append(("channel_affine", slots))
            slots += 2
        elif operation[0] == "channel_prelu":
            made.append(("channel_prelu", slots))
            slots += 1
        else:
            made.append(operation)
    return tuple(made), slots


@cache
def pointwise_body(tile: TileType, operations: tuple[Any, ...]) -> Any:
    read, end, width = fetch(tile), finish(tile, operations), tile.width

    def body(table: Any, g: int, n: int, y: int, arena: Any, weights: Any, source: Any, target: Any) -> None:
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

    return body


@dataclass(frozen=True)
class Pointwise(Step):
    """Functions of each value, of channels' numbers and of other values of the same picture."""


class CompiledPointwise(CompiledRows):
    def run(self, views: Mapping[str, View]) -> int:
        target = views[self.step.target]
        return target.width * target.channels

    def body(self) -> Any:
        return pointwise_body(self.tile, epilogue(self.step.then)[0])

    def pack(self, weights: Mapping[str, np.ndarray], into: Weights) -> None:
        numbers: list[np.ndarray] = []
        target = self.views[self.step.target]
        for operation in self.step.then:
            if isinstance(operation, BatchNorm):
                numbers += operation.scale_offset(weights, target.channels)
            elif operation[0] == "channel_prelu":
                shape = np.asarray(operation[2])
                numbers.append(np.asarray(weights[operation[1]]).reshape(shape))
        self.strides = [0, 0, 0]
        self.packed = [0]
        if numbers:
            widest = max(n.shape[-1] for n in numbers)
            full = [np.broadcast_to(n, (*n.shape[:-1], max(widest, target.channels))) for n in numbers]
            blocks = channel_blocks(full, self.tile.width)
            pixel = blocks[(0,) * (blocks.ndim - 3)].size
            if blocks.ndim == 5:
                rows, columns = blocks.shape[:2]
                self.strides = [columns * pixel if rows > 1 else 0, pixel if columns > 1 else 0, 0]
            self.strides[2] = blocks.shape[-2] * self.tile.width
            self.packed = [into.add(blocks)]

    def seen(self, view: View, target: View) -> View:
        """With distance 0 along the axes on which it has one row or pixel and the target more."""
        row = 0 if view.height == 1 < target.height else view.row
        return replace(view, row=row, pitch=0 if view.width == 1 < target.width else view.pitch)

    def cells(self, table: Table, views: Mapping[str, View]) -> list[int]:
        step = self.step
        target = views[step.target]
        together = [views[name] for name in (step.source, step.target, *step.operands)]
        alike = all(v.dense and v.channels == target.channels and v.width == target.width for v in together)
        if alike and not any(self.strides):
            return [1, target.width * target.channels, self.packed[0], 0, 0, 0]
        return [target.width, target.channels, self.packed[0], *self.strides]


@cache
def gather_body(tile: TileType, operations: tuple[Any, ...], contiguous: bool) -> Any:
    read, end, nothing, width = fetch(tile), finish(tile, operations), fill(tile, 0.0), tile.width

    def body(table: Any, g: int, n: int, y: int, arena: Any, weights: Any, source: Any, target: Any) -> None:
        own = g + R_OWN
        pixels, channels = table[own], table[own + 1]
        row = table[table[own + 2] + y]
        s = table[g + R_SOURCE] + n * table[g + R_SOURCE + 1] + row
        t = at(table, g + R_TARGET, n, y)
        for x in range(pixels):
            column = table[table[own + 3] + x]
            inside = row != NOWHERE and column != NOWHERE
            if contiguous:
                for c in range(0, channels, width):
                    acc = nothing()
                    if inside:
                        acc = read(source, s + column + c, channels - c)
                    end(acc, weights, 0, arena, 0, 0, target, t + c, 1, channels - c)
            else:
                for c in range(channels):
                    offset = table[table[own + 4] + c]
                    target[t + c] = source[s + column + offset] if inside and offset != NOWHERE else np.float32(0.0)
            t += table[g + R_TARGET + 3]

    return body


@dataclass(frozen=True)
class Gather(Step):
    """Values moved, none computed. `move` says how, with its numbers: ("pad", rim, mode),
    ("slice", starts, steps), ("repeat", size), ("shuffle", factor, order), ("unshuffle", factor, order),
    ("permute", axes), ("channels", times)."""

    move: tuple[Any, ...] = ("pad", ((0, 0), (0, 0)), "zero")


class CompiledGather(CompiledRows):
    @property
    def contiguous(self) -> bool:
        kind, *numbers = self.step.move
        return kind in ("pad", "repeat") or (kind == "slice" and numbers[1][2] == 1)

    def whole_rows(self, views: Mapping[str, View]) -> bool:
        """Whether a row of the target is one run of the source."""
        source, target = views[self.step.source], views[self.step.target]
        alike = source.dense and target.dense and source.channels == target.channels
        return alike and self.step.move[0] == "slice" and self.step.move[2][1:] == (1, 1)

    def run(self, views: Mapping[str, View]) -> int:
        target = views[self.step.target]
        return target.width * target.channels if self.whole_rows(views) else target.channels

    def body(self) -> Any:
        return gather_body(self.tile, self.step.then if self.contiguous else (), self.contiguous)

    def cells(self, table: Table, views: Mapping[str, View]) -> list[int]:
        source, target = views[self.step.source], views[self.step.target]
        rows, columns, channels = _maps(self.step.move, source, target)
        if self.whole_rows(views):
            return [1, target.width * target.channels, table.add(rows), table.add(columns[:1]), table.add(channels[:1])]
        return [target.width, target.channels, table.add(rows), table.add(columns), table.add(channels)]


def _padded(size: int, before: int, count: int, mode: str) -> np.ndarray:
    """For each of `count` places, the source place it copies; -1 for a zero."""
    i = np.arange(count) - before
    if mode == "reflect":
        period = max(2 * (size - 1), 1)
        i = np.abs(i) % period
        return np.where(i >= size, period - i, i)
    if mode == "replicate":
        return np.clip(i, 0, size - 1)
    return np.where((i >= 0) & (i < size), i, -1)


def _maps(move: tuple[Any, ...], source: View, target: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source offsets for every target row, column and channel, to be added up."""
    kind, *numbers = move
    y, x, c = np.arange(target.height), np.arange(target.width), np.arange(target.channels)

    def offsets(places: np.ndarray, distance: int) -> np.ndarray:
        return np.where(places < 0, NOWHERE, places * distance)

    if kind == "pad":
        ((top, _), (left, _)), mode = numbers
        rows = _padded(source.height, top, target.height, mode)
        columns = _padded(source.width, left, target.width, mode)
        return offsets(rows, source.row), offsets(columns, source.pitch), c
    if kind == "slice":
        rows, columns, channels = (
            first + place * step for place, first, step in zip((y, x, c), numbers[0], numbers[1], strict=True)
        )
        # The first channel counts with the column: a run of channels is read from where its column is.
        begin = numbers[0][2]
        return rows * source.row, columns * source.pitch + begin, channels - begin
    if kind == "repeat":
        return y // numbers[0][0] * source.row, x // numbers[0][1] * source.pitch, c
    if kind == "channels":
        return y * source.row, x * source.pitch, c // numbers[0]
    if kind == "shuffle":
        r, order = numbers
        if order == "crd":
            return y // r * source.row + y % r * r, x // r * source.pitch + x % r, c * r * r
        return (
            y // r * source.row + y % r * r * target.channels,
            x // r * source.pitch + x % r * target.channels,
            c,
        )
    if kind == "unshuffle":
        r, order = numbers
        if order == "crd":
            channel, i, j = c // (r * r), c // r % r, c % r
        else:
            channel, i, j = c % source.channels, c // source.channels // r, c // source.channels % r
        return y * r * source.row, x * r * source.pitch, i * source.row + j * source.pitch + channel
    if kind == "permute":
        distances = (source.row, source.pitch, 1)
        return tuple(place * distances[axis] for place, axis in zip((y, x, c), numbers[0], strict=True))  # type: ignore[return-value]
    raise AssertionError(f"no such move: {kind}")


def reshape_body(table: Any, g: int, n: int, y: int, arena: Any, weights: Any, source: Any, target: Any) -> None:
    """Row y of the target from the same places of the flattened source, run by run."""
    own = g + R_OWN
    target_width, target_channels = table[own], table[own + 1]
    source_width, source_channels = table[own + 2], table[own + 3]
    s, t = table[g + R_SOURCE] + n * table[g + R_SOURCE + 1], at(table, g + R_TARGET, n, y)
    for x in range(target_width):
        place = (y * target_width + x) * target_channels
        done = 0
        while done < target_channels:
            pixel, channel = divmod(place + done, source_channels)
            row, column = divmod(pixel, source_width)
            run = min(target_channels - done, source_channels - channel)
            p = s + row * table[g + R_SOURCE + 2] + column * table[g + R_SOURCE + 3] + channel
            for i in range(run):
                target[t + done + i] = source[p + i]
            done += run
        t += table[g + R_TARGET + 3]


@dataclass(frozen=True)
class Reshape(Step):
    """The same values, channels-last in order, under another shape."""


class CompiledReshape(CompiledRows):
    def body(self) -> Any:
        return reshape_body

    def cells(self, table: Table, views: Mapping[str, View]) -> list[int]:
        source, target = views[self.step.source], views[self.step.target]
        return [target.width, target.channels, source.width, source.channels]


@cache
def pool_body(tile: TileType, operations: tuple[Any, ...], largest: bool, count_padding: bool) -> Any:
    read, end, width = fetch(tile), finish(tile, operations), tile.width
    begin, larger, plus = fill(tile, -np.inf if largest else 0.0), merge(tile, "maximum"), scale_add(tile)

    def body(table: Any, g: int, n: int, y: int, arena: Any, weights: Any, source: Any, target: Any) -> None:
        own = g + R_OWN
        pixels, channels, height, columns = table[own], table[own + 1], table[own + 2], table[own + 3]
        window_h, window_w, stride_h, stride_w = table[own + 4], table[own + 5], table[own + 6], table[own + 7]
        top, left = y * stride_h - table[own + 8], table[own + 9]
        s, t = table[g + R_SOURCE] + n * table[g + R_SOURCE + 1], at(table, g + R_TARGET, n, y)
        y0, y1 = max(top, 0), min(top + window_h, height)
        for x in range(pixels):
            x0, x1 = max(x * stride_w - left, 0), min(x * stride_w - left + window_w, columns)
            share = np.float32(1.0) / np.float32(window_h * window_w if count_padding else (y1 - y0) * (x1 - x0))
            for c in range(0, channels, width):
                acc = begin()
                for i in range(y0, y1):
                    for j in range(x0, x1):
                        p = s + i * table[g + R_SOURCE + 2] + j * table[g + R_SOURCE + 3] + c
                        value = read(source, p, channels - c)
                        acc = larger(acc, value) if largest else plus(acc, value, share)
                end(acc, weights, 0, arena, 0, 0, target, t + c, 1, channels - c)
            t += table[g + R_TARGET + 3]

    return body


@dataclass(frozen=True)
class Pool(Step):
    """Largest or mean value of windows; `padding` "same" or (before, after) for each axis."""

    window: Pair = (2, 2)
    strides: Pair = (2, 2)
    padding: str | tuple[Pair, Pair] = ((0, 0), (0, 0))
    largest: bool = True
    count_padding: bool = False


class CompiledPool(CompiledRows):
    def body(self) -> Any:
        return pool_body(self.tile, self.step.then, self.step.largest, self.step.count_padding)

    def cells(self, table: Table, views: Mapping[str, View]) -> list[int]:
        step = self.step
        source, target = views[step.source], views[step.target]
        before = []
        for axis, (size, made) in enumerate(((source.height, target.height), (source.width, target.width))):
            if step.padding == "same":
                before.append(max(0, (made - 1) * step.strides[axis] + step.window[axis] - size) // 2)
            else:
                before.append(step.padding[axis][0])
        sizes = [target.width, target.channels, source.height, source.width]
        return [*sizes, *step.window, *step.strides, *before]


@cache
def global_pool_body(tile: TileType, operations: tuple[Any, ...], largest: bool) -> Any:
    read, end, width = fetch(tile), finish(tile, operations), tile.width
    begin, larger, plus = fill(tile, -np.inf if largest else 0.0), merge(tile, "maximum"), merge(tile, "add")
    nothing, scaled = fill(tile, 0.0), scale_add(tile)

    def body(table: Any, g: int, n: int, y: int, arena: Any, weights: Any, source: Any, target: Any) -> None:
        own = g + R_OWN
        channels, height, columns = table[own], table[own + 1], table[own + 2]
        share = np.float32(1.0) / np.float32(height * columns)
        t = at(table, g + R_TARGET, n, 0)
        for c in range(0, channels, width):
            total = begin()
            for i in range(height):
                p = at(table, g + R_SOURCE, n, i) + c
                row = begin()
                for j in range(columns):
                    value = read(source, p + j * table[g + R_SOURCE + 3], channels - c)
                    row = larger(row, value) if largest else plus(row, value)
                total = larger(total, row) if largest else plus(total, row)
            acc = total if largest else scaled(nothing(), total, share)
            end(acc, weights, 0, arena, 0, 0, target, t + c, 1, channels - c)

    return body


@dataclass(frozen=True)
class GlobalPool(Step):
    """Largest or mean value of each channel's whole picture."""

    largest: bool = False


class CompiledGlobalPool(CompiledRows):
    def body(self) -> Any:
        return global_pool_body(self.tile, self.step.then, self.step.largest)

    def rows(self, target: View) -> int:
        return 1

    def cells(self, table: Table, views: Mapping[str, View]) -> list[int]:
        source = views[self.step.source]
        return [source.channels, source.height, source.width]


@cache
def depthwise_body(tile: TileType, operations: tuple[Any, ...]) -> Any:
    read, begin, gain = fetch(tile), start(tile), product_add(tile)
    end, width = finish(tile, operations), tile.width

    def body(table: Any, g: int, n: int, y: int, arena: Any, weights: Any, source: Any, target: Any) -> None:
        own = g + R_OWN
        pixels, channels, height, columns = table[own], table[own + 1], table[own + 2], table[own + 3]
        kernel_h, kernel_w, stride_h, stride_w = table[own + 4], table[own + 5], table[own + 6], table[own + 7]
        dilate_h, dilate_w, top, left = table[own + 8], table[own + 9], table[own + 10], table[own + 11]
        kernel, params, slots, padded = table[own + 12], table[own + 13], table[own + 14], table[own + 15]
        s, t = table[g + R_SOURCE] + n * table[g + R_SOURCE + 1], at(table, g + R_TARGET, n, y)
        for x in range(pixels):
            for c in range(0, channels, width):
                p = params + c * slots
                acc = begin(weights, p)
                for i in range(kernel_h):
                    row = y * stride_h - top + i * dilate_h
                    if 0 <= row < height:
                        for j in range(kernel_w):
                            column = x * stride_w - left + j * dilate_w
                            if 0 <= column < columns:
                                q = s + row * table[g + R_SOURCE + 2] + column * table[g + R_SOURCE + 3] + c
                                w = read(weights, kernel + (i * kernel_w + j) * padded + c, channels - c)
                                acc = gain(acc, read(source, q, channels - c), w)
                end(acc, weights, p + width, arena, 0, 0, target, t + c, 1, channels - c)
            t += table[g + R_TARGET + 3]

    return body


@dataclass(frozen=True)
class Depthwise(Step):
    """A window of its own for every channel."""

    kernel: Pair = (3, 3)
    strides: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: str | tuple[Pair, Pair] = ((0, 0), (0, 0))
    weights: tuple[str, str | None] = ("kernel", None)


class CompiledDepthwise(CompiledRows):
    def body(self) -> Any:
        return depthwise_body(self.tile, epilogue(self.step.then)[0])

    def pack(self, weights: Mapping[str, np.ndarray], into: Weights) -> None:
        step, width = self.step, self.tile.width
        kernel = np.asarray(weights[step.weights[0]], np.float64).reshape(*step.kernel, -1)
        channels = kernel.shape[-1]
        bias = np.zeros(channels) if step.weights[1] is None else np.asarray(weights[step.weights[1]], np.float64)
        numbers = [bias]
        for operation in step.then:
            if isinstance(operation, BatchNorm):
                numbers += operation.scale_offset(weights, channels)
            elif operation[0] == "channel_prelu":
                numbers.append(np.broadcast_to(np.asarray(weights[operation[1]], np.float64).reshape(-1), channels))
        padded = np.pad(kernel, ((0, 0), (0, 0), (0, -channels % width)))
        self.packed = [into.add(padded), into.add(channel_blocks(numbers, width)), len(numbers), padded.shape[-1]]

    def cells(self, table: Table, views: Mapping[str, View]) -> list[int]:
        step = self.step
        source, target = views[step.source], views[step.target]
        before = []
        for axis, (size, made) in enumerate(((source.height, target.height), (source.width, target.width))):
            span = step.dilation[axis] * (step.kernel[axis] - 1) + 1
            if step.padding == "same":
                before.append(max(0, (made - 1) * step.strides[axis] + span - size) // 2)
            else:
                before.append(step.padding[axis][0])
        sizes = [target.width, target.channels, source.height, source.width]
        return [*sizes, *step.kernel, *step.strides, *step.dilation, *before, *self.packed]


@cache
def resize_body(tile: TileType, operations: tuple[Any, ...], taps: int) -> Any:
    read, end, nothing, gain, width = (
        fetch(tile),
        finish(tile, operations),
        fill(tile, 0.0),
        scale_add(tile),
        tile.width,
    )

    def body(table: Any, g: int, n: int, y: int, arena: Any, weights: Any, source: Any, target: Any) -> None:
        own = g + R_OWN
        pixels, channels = table[own], table[own + 1]
        rows, row_shares = table[own + 2] + y * taps, table[own + 3] + y * taps
        s, t = table[g + R_SOURCE] + n * table[g + R_SOURCE + 1], at(table, g + R_TARGET, n, y)
        for x in range(pixels):
            columns, column_shares = table[own + 4] + x * taps, table[own + 5] + x * taps
            for c in range(0, channels, width):
                acc = nothing()
                for i in range(taps):
                    line = nothing()
                    for j in range(taps):
                        p = s + table[rows + i] + table[columns + j] + c
                        line = gain(line, read(source, p, channels - c), number_at(table, column_shares + j))
                    acc = gain(acc, line, number_at(table, row_shares + i))
                end(acc, weights, 0, arena, 0, 0, target, t + c, 1, channels - c)
            t += table[g + R_TARGET + 3]

    return body


@dataclass(frozen=True)
class Resize(Step):
    """Interpolation; the numbers for `axis_taps` are those of the layer."""

    interpolation: str = "bilinear"
    coordinates: str = "half_pixel"
    cubic_coefficient: float = -0.5
    border: str = "renormalize"


def axis_taps(
    size: int, made: int, interpolation: str, coordinates: str, coefficient: float, border: str
) -> tuple[np.ndarray, np.ndarray]:
    """(places, shares), (made, taps) each: which source pixels an axis's pixels mix, and how much of each."""
    i = np.arange(made, dtype=np.float64)
    if coordinates == "align_corners":
        x = i * ((size - 1) / (made - 1)) if made > 1 else i
    elif coordinates == "asymmetric":
        x = i * size / made
    else:
        x = (i + 0.5) * size / made - 0.5
    if interpolation == "nearest":
        # Whole numbers decide, so that no rounding can move a pixel.
        whole = np.arange(made, dtype=np.int64)
        places = whole * size // made if coordinates == "asymmetric" else (2 * whole + 1) * size // (2 * made)
        return np.clip(places, 0, size - 1)[:, None], np.ones((made, 1))
    low = np.floor(x).astype(np.int64)
    f = x - low
    if interpolation == "bilinear":
        places, shares = np.stack([low, low + 1], axis=1), np.stack([1 - f, f], axis=1)
        return np.clip(places, 0, size - 1), shares
    places = low[:, None] + np.arange(-1, 3)
    d, a = np.abs(x[:, None] - places), coefficient
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((d - 5) * d + 8) * d * a - 4 * a
    shares = np.where(d <= 1, near, np.where(d < 2, far, 0.0))
    if border == "renormalize":
        shares = np.where((places >= 0) & (places < size), shares, 0.0)
        shares /= shares.sum(axis=1, keepdims=True)
    return np.clip(places, 0, size - 1), shares


class CompiledResize(CompiledRows):
    def _taps(self, size: int, made: int) -> tuple[np.ndarray, np.ndarray]:
        step = self.step
        return axis_taps(size, made, step.interpolation, step.coordinates, step.cubic_coefficient, step.border)

    def body(self) -> Any:
        return resize_body(self.tile, self.step.then, self._taps(1, 1)[0].shape[1])

    def cells(self, table: Table, views: Mapping[str, View]) -> list[int]:
        source, target = views[self.step.source], views[self.step.target]
        cells = [target.width, target.channels]
        for size, made, distance in (
            (source.height, target.height, source.row),
            (source.width, target.width, source.pitch),
        ):
            places, shares = self._taps(size, made)
            cells += [table.add(places * distance), table.add(shares.astype(np.float32).view(np.int32))]
        return cells


@cache
def normalize_body(pixelwise: bool) -> Any:
    """Mean 0 and variance 1 over a pixel's channels, or over a group of channels of the whole picture."""

    def body(table: Any, g: int, n: int, y: int, arena: Any, weights: Any, source: Any, target: Any) -> None:
        own = g + R_OWN
        columns, channels, height, groups = table[own], table[own + 1], table[own + 2], table[own + 3]
        gamma, beta, epsilon = table[own + 4], table[own + 5], weights[table[own + 6]]
        source_pitch, target_pitch = table[g + R_SOURCE + 3], table[g + R_TARGET + 3]
        each = channels // groups
        first_row, last_row = (y, y + 1) if pixelwise else (0, height)
        turns = columns if pixelwise else 1
        for turn in range(turns):
            x0, x1 = (turn, turn + 1) if pixelwise else (0, columns)
            for group in range(groups):
                c0, c1 = group * each, (group + 1) * each
                count = (last_row - first_row) * (x1 - x0) * each
                total = 0.0
                for i in range(first_row, last_row):
                    p = at(table, g + R_SOURCE, n, i)
                    for j in range(x0, x1):
                        for c in range(c0, c1):
                            total += source[p + j * source_pitch + c]
                mean = total / count
                total = 0.0
                for i in range(first_row, last_row):
                    p = at(table, g + R_SOURCE, n, i)
                    for j in range(x0, x1):
                        for c in range(c0, c1):
                            total += (source[p + j * source_pitch + c] - mean) ** 2
                scale = 1.0 / math.sqrt(total / count + epsilon)
                for i in range(first_row, last_row):
                    p, q = at(table, g + R_SOURCE, n, i), at(table, g + R_TARGET, n, i)
                    for j in range(x0, x1):
                        for c in range(c0, c1):
                            factor = scale * weights[gamma + c]
                            value = (source[p + j * source_pitch + c] - mean) * factor + weights[beta + c]
                            target[q + j * target_pitch + c] = np.float32(value)

    return body


@dataclass(frozen=True)
class Normalize(Step):
    """Layer (`groups` 0), group or instance (`groups` = channels) normalisation."""

    path: str = ""
    epsilon: float = 1e-3
    groups: int = 0


class CompiledNormalize(CompiledRows):
    def body(self) -> Any:
        return normalize_body(self.step.groups == 0)

    def rows(self, target: View) -> int:
        return target.height if self.step.groups == 0 else 1

    def pack(self, weights: Mapping[str, np.ndarray], into: Weights) -> None:
        channels, path = self.views[self.step.target].channels, self.step.path
        gamma = weights.get(f"{path}.gamma", np.ones(channels))
        beta = weights.get(f"{path}.beta", np.zeros(channels))
        self.packed = [into.add(gamma), into.add(beta), into.add([self.step.epsilon])]

    def cells(self, table: Table, views: Mapping[str, View]) -> list[int]:
        target = views[self.step.target]
        return [target.width, target.channels, target.height, max(self.step.groups, 1), *self.packed]


def softmax_body(table: Any, g: int, n: int, y: int, arena: Any, weights: Any, source: Any, target: Any) -> None:
    """e**x over its sum along one axis of picture n, by whole pictures."""
    own = g + R_OWN
    count, s_step, t_step = table[own], table[own + 1], table[own + 2]
    s0, t0 = at(table, g + R_SOURCE, n, 0), at(table, g + R_TARGET, n, 0)
    for i in range(table[own + 3]):
        for j in range(table[own + 6]):
            s = s0 + i * table[own + 4] + j * table[own + 7]
            t = t0 + i * table[own + 5] + j * table[own + 8]
            largest = source[s]
            for k in range(1, count):
                largest = max(largest, source[s + k * s_step])
            total = 0.0
            for k in range(count):
                value = math.exp(np.float64(source[s + k * s_step] - largest))
                total += value
                target[t + k * t_step] = np.float32(value)
            for k in range(count):
                target[t + k * t_step] = np.float32(target[t + k * t_step] / total)


@dataclass(frozen=True)
class Softmax(Step):
    """e**x over its sum along `axis` (0 rows, 1 columns, 2 channels)."""

    axis: int = 2


class CompiledSoftmax(CompiledRows):
    def body(self) -> Any:
        return softmax_body

    def rows(self, target: View) -> int:
        return 1

    def cells(self, table: Table, views: Mapping[str, View]) -> list[int]:
        source, target = views[self.step.source], views[self.step.target]
        axes = [
            (target.height, source.row, target.row),
            (target.width, source.pitch, target.pitch),
            (target.channels, 1, 1),
        ]
        along = axes.pop(self.step.axis)
        return [n for axis in (along, *axes) for n in axis]
