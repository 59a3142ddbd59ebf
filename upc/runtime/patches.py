"""How large a tile is, and which pixels it covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from upc.runtime.layout import Machine
from upc.runtime.steps import Pair

STREAM_BYTES = 256 << 10  # pixels that pass by a panel of weights: of more, the next tile's are asked for ahead


@dataclass(frozen=True)
class Patch:
    """The pixels of a tile: so many columns of so many rows of so many images."""

    columns: int
    rows: int = 1
    images: int = 1

    @property
    def pixels(self) -> int:
        return self.columns * self.rows * self.images

    def offsets(self, image: int, row: int, column: int) -> tuple[int, ...]:
        """Where its pixels stand from the first one, for such distances."""
        places = product(range(self.images), range(self.rows), range(self.columns))
        return tuple(n * image + y * row + x * column for n, y, x in places)


def most_rows(machine: Machine, vectors: int) -> int:
    """Pixels of a tile of that many vectors that leave registers for weights and a pixel."""
    if machine.registers >= 32:
        return {1: 24, 2: 14, 3: 9, 4: 6}[vectors]
    return {1: 10, 2: 6, 3: 4, 4: 2}[vectors]


def choose_vectors(machine: Machine, channels: int, pixels: int | None) -> int:
    """Vectors of a tile: few wasted lanes, and wide where there is but one pixel."""
    needed = -(-channels // machine.lanes)
    if needed <= 2:
        return needed
    candidates = (4, 2, 3) if pixels == 1 else (2, 3, 4)
    return min(candidates, key=lambda v: (-(-needed // v) * v, candidates.index(v)))


def choose_patch(limit: int, grids: Sequence[Pair], images: int = 1) -> Patch:
    """The patch of at most `limit` pixels that wastes the fewest in the phases' grids of so many images.

    A patch of several rows takes whole rows: only phases of equally many columns can share it. Where sizes are unknown
    it has as many columns as may be.
    """
    if not grids:
        return Patch(limit)
    rows, columns = max(grids)
    options = [Patch(c) for c in range(min(limit, columns), 0, -1)]
    if columns <= limit and len({c for _, c in grids}) == 1:
        options += [Patch(columns, r) for r in range(2, min(limit // columns, rows) + 1)]
        if rows * columns <= limit:
            options += [Patch(columns, rows, n) for n in range(2, min(limit // (rows * columns), images) + 1)]

    def cost(patch: Patch) -> float:
        tiles = -(-columns // patch.columns) * -(-rows // patch.rows) * -(-images // patch.images)
        return tiles * (patch.pixels + 1.5)  # loading weights and looping cost about so many pixels

    return min(options, key=lambda patch: (cost(patch), -patch.pixels))
