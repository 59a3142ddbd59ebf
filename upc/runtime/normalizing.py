"""Steps that need statistics first: layer, group and instance normalisation, softmax."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from upc.runtime.layout import Table, View, Weights
from upc.runtime.records import R_OWN, R_SOURCE, R_TARGET
from upc.runtime.rows import CompiledRows, at
from upc.runtime.steps import Normalize, Softmax
from upc.runtime.subroutine import Floats, Integers, Kernel, kernel


@kernel
def normalize_row(pixelwise: bool) -> Any:
    """Mean 0 and variance 1 over a pixel's channels, or over a group of channels of the whole picture."""

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

    return make_row


class CompiledNormalize(CompiledRows[Normalize]):
    def kernel(self) -> Kernel:
        return normalize_row(self.step.groups == 0)

    def rows(self, target: View) -> int:
        return target.height if self.step.groups == 0 else 1

    def pack(self, weights: Mapping[str, np.ndarray], into: Weights) -> tuple[int, ...]:
        channels, step = self.views[self.step.target].channels, self.step
        gamma = weights[f"{step.path}.gamma"] if step.scales else np.ones(channels)
        beta = weights[f"{step.path}.beta"] if step.centers else np.zeros(channels)
        return into.add(gamma), into.add(beta), into.add([self.step.epsilon])

    def cells(self, table: Table, views: Mapping[str, View], packed: tuple[int, ...]) -> list[int]:
        target = views[self.step.target]
        return [target.width, target.channels, target.height, max(self.step.groups, 1), *packed]


@kernel
def softmax_row() -> Any:
    """e**x over its sum along one axis of picture n, by whole pictures."""

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

    return make_row


class CompiledSoftmax(CompiledRows[Softmax]):
    def kernel(self) -> Kernel:
        return softmax_row()

    def rows(self, target: View) -> int:
        return 1

    def cells(self, table: Table, views: Mapping[str, View], packed: tuple[int, ...]) -> list[int]:
        source, target = views[self.step.source], views[self.step.target]
        axes = [
            (target.height, source.row, target.row),
            (target.width, source.pitch, target.pitch),
            (target.channels, 1, 1),
        ]
        along = axes.pop(self.step.axis)
        return [n for axis in (along, *axes) for n in axis]
