"""Steps that move values and compute none: padding, cutting, repeating, shuffling, another shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from upc.runtime.epilogue import epilogue
from upc.runtime.finishing import Tail, finish
from upc.runtime.layout import Table, View
from upc.runtime.records import R_OWN, R_SOURCE, R_TARGET
from upc.runtime.registers import TileType
from upc.runtime.rows import NOWHERE, CompiledRows, at
from upc.runtime.steps import (
    Cut,
    Gather,
    Move,
    Pad,
    Repeat,
    RepeatChannels,
    Reshape,
    Shuffle,
    Unshuffle,
)
from upc.runtime.subroutine import Floats, Integers, Kernel, kernel
from upc.runtime.tile import fetch, fill


@kernel
def gather_row(tile: TileType, operations: Tail, contiguous: bool) -> Any:
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


class CompiledGather(CompiledRows[Gather]):
    @property
    def contiguous(self) -> bool:
        move = self.step.move
        return isinstance(move, (Pad, Repeat)) or (isinstance(move, Cut) and move.steps[2] == 1)

    def whole_rows(self, views: Mapping[str, View]) -> bool:
        """Whether a row of the target is one run of the source."""
        source, target = views[self.step.source], views[self.step.target]
        alike = source.dense and target.dense and source.channels == target.channels
        return alike and isinstance(self.step.move, Cut) and self.step.move.steps[1:] == (1, 1)

    def run(self, views: Mapping[str, View]) -> int:
        target = views[self.step.target]
        return target.width * target.channels if self.whole_rows(views) else target.channels

    def kernel(self) -> Kernel:
        return gather_row(self.tile, epilogue(self.step.then).tail, self.contiguous)

    def cells(self, table: Table, views: Mapping[str, View], packed: tuple[int, ...]) -> list[int]:
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


def _maps(move: Move, source: View, target: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source offsets for every target row, column and channel, to be added up."""
    y, x, c = np.arange(target.height), np.arange(target.width), np.arange(target.channels)

    def offsets(places: np.ndarray, distance: int) -> np.ndarray:
        return np.where(places < 0, NOWHERE, places * distance)

    if isinstance(move, Pad):
        (top, _), (left, _) = move.rim
        rows = _padded(source.height, top, target.height, move.mode)
        columns = _padded(source.width, left, target.width, move.mode)
        return offsets(rows, source.row), offsets(columns, source.pitch), c
    if isinstance(move, Cut):
        rows, columns, channels = (
            first + place * step for place, first, step in zip((y, x, c), move.starts, move.steps, strict=True)
        )
        # The first channel counts with the column: a run of channels is read from where its column is.
        begin = move.starts[2]
        return rows * source.row, columns * source.pitch + begin, channels - begin
    if isinstance(move, Repeat):
        return y // move.size[0] * source.row, x // move.size[1] * source.pitch, c
    if isinstance(move, RepeatChannels):
        return y * source.row, x * source.pitch, c // move.times
    if isinstance(move, Shuffle):
        r = move.factor
        if move.order == "crd":
            return y // r * source.row + y % r * r, x // r * source.pitch + x % r, c * r * r
        return (
            y // r * source.row + y % r * r * target.channels,
            x // r * source.pitch + x % r * target.channels,
            c,
        )
    if isinstance(move, Unshuffle):
        r = move.factor
        if move.order == "crd":
            channel, i, j = c // (r * r), c // r % r, c % r
        else:
            channel, i, j = c % source.channels, c // source.channels // r, c // source.channels % r
        return y * r * source.row, x * r * source.pitch, i * source.row + j * source.pitch + channel
    distances = (source.row, source.pitch, 1)
    y, x, c = (place * distances[axis] for place, axis in zip((y, x, c), move.axes, strict=True))
    return y, x, c


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


class CompiledReshape(CompiledRows[Reshape]):
    def kernel(self) -> Kernel:
        return reshape_row()

    def cells(self, table: Table, views: Mapping[str, View], packed: tuple[int, ...]) -> list[int]:
        source, target = views[self.step.source], views[self.step.target]
        return [target.width, target.channels, source.width, source.channels]
