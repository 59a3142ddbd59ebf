"""A step of a person's own for Numba: what it does, its kernel, and how it is made ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from upc.runtime.layout import Table, View
from upc.runtime.network import COMPILED
from upc.runtime.records import R_OWN, R_SOURCE, R_TARGET
from upc.runtime.rows import CompiledRows, at
from upc.runtime.steps import Step
from upc.runtime.subroutine import Floats, Integers, Kernel, kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class RollColumns(Step):
    """Columns moved to the right by `shift`, and those that fall out back in at the left."""

    shift: int


@kernel
def rolled_row() -> Any:
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
        columns, channels, shift = table[own], table[own + 1], table[own + 2]
        s, t = at(table, g + R_SOURCE, n, y), at(table, g + R_TARGET, n, y)
        for x in range(columns):
            p = s + (x + columns - shift) % columns * table[g + R_SOURCE + 3]
            for c in range(channels):
                target[t + c] = source[p + c]
            t += table[g + R_TARGET + 3]

    return make_row


class CompiledRoll(CompiledRows[RollColumns]):
    def kernel(self) -> Kernel:
        return rolled_row()

    def cells(self, table: Table, views: Mapping[str, View], packed: tuple[int, ...]) -> list[int]:
        target = views[self.step.target]
        return [target.width, target.channels, self.step.shift]


COMPILED[RollColumns] = CompiledRoll
