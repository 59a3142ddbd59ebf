"""Steps that look at a few pixels around each: pooling, depthwise convolution, resizing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from upc.runtime.epilogue import channel_blocks, channel_numbers, epilogue
from upc.runtime.finishing import Tail, finish
from upc.runtime.layout import Table, View, Weights
from upc.runtime.records import R_OWN, R_SOURCE, R_TARGET
from upc.runtime.registers import TileType
from upc.runtime.resampling import axis_taps
from upc.runtime.rows import CompiledRows, at
from upc.runtime.steps import Depthwise, GlobalPool, Padding, Pair, Pool, Resize
from upc.runtime.subroutine import Floats, Integers, Kernel, kernel
from upc.runtime.tile import fetch, fill, merge, number_at, product_add, scale_add, start
from upc.runtime.wide import wide_add, wide_over, wide_zero


@kernel
def pool_row(tile: TileType, operations: Tail, largest: bool, count_padding: bool) -> Any:
    read, end, width = fetch(tile), finish(tile, operations), tile.width
    least, larger = fill(tile, -np.inf), merge(tile, "maximum")
    nothing, plus, mean = wide_zero(tile), wide_add(tile), wide_over(tile)

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
        pixels, channels, height, columns = table[own], table[own + 1], table[own + 2], table[own + 3]
        window_h, window_w, stride_h, stride_w = table[own + 4], table[own + 5], table[own + 6], table[own + 7]
        top, left = y * stride_h - table[own + 8], table[own + 9]
        s, t = table[g + R_SOURCE] + n * table[g + R_SOURCE + 1], at(table, g + R_TARGET, n, y)
        y0, y1 = max(top, 0), min(top + window_h, height)
        for x in range(pixels):
            x0, x1 = max(x * stride_w - left, 0), min(x * stride_w - left + window_w, columns)
            count = window_h * window_w if count_padding else (y1 - y0) * (x1 - x0)
            for c in range(0, channels, width):
                acc, total = least(), nothing()
                for i in range(y0, y1):
                    for j in range(x0, x1):
                        p = s + i * table[g + R_SOURCE + 2] + j * table[g + R_SOURCE + 3] + c
                        if largest:
                            acc = larger(acc, read(source, p, channels - c))
                        else:
                            total = plus(total, read(source, p, channels - c))
                if not largest:
                    acc = mean(total, count)
                end(acc, weights, 0, arena, 0, 0, target, t + c, 1, channels - c)
            t += table[g + R_TARGET + 3]

    return make_row


def window_start(padding: Padding, spans: Pair, strides: Pair, source: View, target: View) -> Pair:
    """Rows and columns by which the first window stands in front of the source."""
    if not isinstance(padding, str):
        return padding[0][0], padding[1][0]
    down = (target.height - 1) * strides[0] + spans[0] - source.height
    across = (target.width - 1) * strides[1] + spans[1] - source.width
    return max(0, down) // 2, max(0, across) // 2


class CompiledPool(CompiledRows[Pool]):
    def kernel(self) -> Kernel:
        return pool_row(self.tile, epilogue(self.step.then).tail, self.step.largest, self.step.count_padding)

    def cells(self, table: Table, views: Mapping[str, View], packed: tuple[int, ...]) -> list[int]:
        step = self.step
        source, target = views[step.source], views[step.target]
        before = window_start(step.padding, step.window, step.strides, source, target)
        sizes = [target.width, target.channels, source.height, source.width]
        return [*sizes, *step.window, *step.strides, *before]


@kernel
def global_pool_row(tile: TileType, operations: Tail, largest: bool) -> Any:
    read, end, width = fetch(tile), finish(tile, operations), tile.width
    least, larger = fill(tile, -np.inf), merge(tile, "maximum")
    nothing, plus, mean = wide_zero(tile), wide_add(tile), wide_over(tile)

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
        channels, height, columns = table[own], table[own + 1], table[own + 2]
        t = at(table, g + R_TARGET, n, 0)
        for c in range(0, channels, width):
            acc, total = least(), nothing()
            for i in range(height):
                p = at(table, g + R_SOURCE, n, i) + c
                for j in range(columns):
                    value = read(source, p + j * table[g + R_SOURCE + 3], channels - c)
                    if largest:
                        acc = larger(acc, value)
                    else:
                        total = plus(total, value)
            if not largest:
                acc = mean(total, height * columns)
            end(acc, weights, 0, arena, 0, 0, target, t + c, 1, channels - c)

    return make_row


class CompiledGlobalPool(CompiledRows[GlobalPool]):
    def kernel(self) -> Kernel:
        return global_pool_row(self.tile, epilogue(self.step.then).tail, self.step.largest)

    def rows(self, target: View) -> int:
        return 1

    def cells(self, table: Table, views: Mapping[str, View], packed: tuple[int, ...]) -> list[int]:
        source = views[self.step.source]
        return [source.channels, source.height, source.width]


@kernel
def depthwise_row(tile: TileType, operations: Tail) -> Any:
    read, begin, gain = fetch(tile), start(tile), product_add(tile)
    end, width = finish(tile, operations), tile.width

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

    return make_row


class CompiledDepthwise(CompiledRows[Depthwise]):
    def kernel(self) -> Kernel:
        return depthwise_row(self.tile, epilogue(self.step.then).tail)

    def pack(self, weights: Mapping[str, np.ndarray], into: Weights) -> tuple[int, ...]:
        step, width = self.step, self.tile.width
        kernel = np.asarray(weights[step.weights[0]], np.float64).reshape(*step.kernel, -1)
        channels = kernel.shape[-1]
        bias = np.zeros(channels) if step.weights[1] is None else np.asarray(weights[step.weights[1]], np.float64)
        numbers = [bias, *channel_numbers(step.then, weights, channels)]
        padded = np.pad(kernel, ((0, 0), (0, 0), (0, -channels % width)))
        return into.add(padded), into.add(channel_blocks(numbers, width)), len(numbers), padded.shape[-1]

    def cells(self, table: Table, views: Mapping[str, View], packed: tuple[int, ...]) -> list[int]:
        step = self.step
        source, target = views[step.source], views[step.target]
        spans = step.dilation[0] * (step.kernel[0] - 1) + 1, step.dilation[1] * (step.kernel[1] - 1) + 1
        before = window_start(step.padding, spans, step.strides, source, target)
        sizes = [target.width, target.channels, source.height, source.width]
        return [*sizes, *step.kernel, *step.strides, *step.dilation, *before, *packed]


@kernel
def resize_row(tile: TileType, operations: Tail, taps: int) -> Any:
    read, end, nothing, gain, width = (
        fetch(tile),
        finish(tile, operations),
        fill(tile, 0.0),
        scale_add(tile),
        tile.width,
    )

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

    return make_row


class CompiledResize(CompiledRows[Resize]):
    def _taps(self, size: int, made: int) -> tuple[np.ndarray, np.ndarray]:
        step = self.step
        return axis_taps(size, made, step.interpolation, step.coordinates, step.cubic_coefficient, step.border)

    def kernel(self) -> Kernel:
        return resize_row(self.tile, epilogue(self.step.then).tail, self._taps(1, 1)[0].shape[1])

    def cells(self, table: Table, views: Mapping[str, View], packed: tuple[int, ...]) -> list[int]:
        source, target = views[self.step.source], views[self.step.target]
        cells = [target.width, target.channels]
        for size, made, distance in (
            (source.height, target.height, source.row),
            (source.width, target.width, source.pitch),
        ):
            places, shares = self._taps(size, made)
            cells += [table.add(places * distance), table.add(shares.astype(np.float32).view(np.int32))]
        return cells
