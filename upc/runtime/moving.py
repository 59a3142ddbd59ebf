"""Steps that move values and compute none: padding, cutting, repeating, shuffling, another shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from upc.runtime.finishing import finish
from upc.runtime.layout import Table, View
from upc.runtime.registers import TileType
from upc.runtime.rows import NOWHERE, R_OWN, R_SOURCE, R_TARGET, CompiledRows, Step, at
from upc.runtime.subroutine import Floats, Integers, Kernel, kernel
from upc.runtime.tile import fetch, fill


@kernel
def gather_row(tile: TileType, operations: tuple[Any, ...], contiguous: bool) -> Any:
    read, end, nothing, width = fetch(tile), finish(tile, operations), fill(tile, 0.0), tile.width

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

    return make_row


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

    def kernel(self) -> Kernel:
        return gather_row(self.tile, self.step.then if self.contiguous else (), self.contiguous)

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


@kernel
def reshape_row() -> Any:
    """Row y of the target from the same places of the flattened source, run by run."""

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

    return make_row


@dataclass(frozen=True)
class Reshape(Step):
    """The same values, channels-last in order, under another shape."""


class CompiledReshape(CompiledRows):
    def kernel(self) -> Kernel:
        return reshape_row()

    def cells(self, table: Table, views: Mapping[str, View]) -> list[int]:
        source, target = views[self.step.source], views[self.step.target]
        return [target.width, target.channels, source.width, source.channels]
