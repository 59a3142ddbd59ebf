"""Where values lie in memory: channels-last pictures with a zero rim, placed in one arena by lifetime."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba.core.registry import cpu_target

LINE = 16  # floats in a cache line: everything starts on one
SLACK = 1024  # floats that a vector or a row of a tile may read past the last picture


@dataclass(frozen=True)
class Machine:
    """What kernels are shaped by: floats in a vector, and vector registers."""

    lanes: int
    registers: int


def machine() -> Machine:
    """This processor's, or narrower if `UPC_VECTOR_BITS` (512, 256 or 128) says so. Raises ValueError for another."""
    triple, _, features = (str(part) for part in cpu_target.target_context.codegen().magic_tuple())
    has = set(features.split(","))
    bits = 512 if "+avx512f" in has else 256 if "+avx" in has else 128
    wanted = os.environ.get("UPC_VECTOR_BITS") or str(bits)
    if wanted not in ("128", "256", "512"):
        raise ValueError(f"UPC_VECTOR_BITS must be 128, 256 or 512, got {wanted[:40]!r}")
    bits = min(bits, int(wanted))
    many = bits == 512 or triple.startswith(("aarch64", "arm64"))
    return Machine(bits // 32, 32 if many else 16)


Rim = tuple[int, int, int, int]
"""Rows above and below, columns to the left and right."""


@dataclass(frozen=True)
class Picture:
    """One buffer's form: pixels and channels, and the zero rim its readers need (top, bottom, left, right).

    A vector is a picture of one pixel.
    """

    height: int
    width: int
    channels: int
    rim: Rim = (0, 0, 0, 0)
    spread: bool = False

    @property
    def pitch(self) -> int:
        """Floats from a pixel to the next; `spread` keeps it off the powers of two that share cache lines."""
        return self.channels + LINE if self.spread and self.channels % 256 == 0 else self.channels

    @property
    def row(self) -> int:
        return (self.rim[2] + self.width + self.rim[3]) * self.pitch

    @property
    def image(self) -> int:
        """Floats from an image to the next, in whole cache lines."""
        return -(-(self.rim[0] + self.height + self.rim[1]) * self.row // LINE) * LINE

    @property
    def origin(self) -> int:
        """From the start of an image to its first pixel."""
        return self.rim[0] * self.row + self.rim[2] * self.pitch


@dataclass(frozen=True)
class View:
    """Some channels of a buffer in place: float offset of the first, and strides."""

    base: int
    image: int
    row: int
    pitch: int
    height: int
    width: int
    channels: int
    rim: Rim

    def at(self, y: int, x: int) -> int:
        """Offset of a pixel from the first one."""
        return y * self.row + x * self.pitch

    @property
    def dense(self) -> bool:
        """Whether a row is one run of floats."""
        return self.pitch == self.channels


def place(sizes: Mapping[str, int], lives: Mapping[str, tuple[int, int]]) -> tuple[dict[str, int], int]:
    """Offsets for buffers of those sizes, no two that live at the same step overlapping; and the total.

    The largest is placed first, each at the lowest free offset (Pisarchyk and Lee 2020, arXiv:2001.03288).
    """
    offsets: dict[str, int] = {}
    for name in sorted(sizes, key=lambda n: (-sizes[n], n)):
        born, dies = lives[name]
        rivals = sorted(
            (offsets[other], offsets[other] + sizes[other])
            for other in offsets
            if lives[other][0] <= dies and born <= lives[other][1]
        )
        offset = 0
        for start, end in rivals:
            if offset + sizes[name] <= start:
                break
            offset = max(offset, end)
        offsets[name] = offset
    return offsets, max((offsets[n] + sizes[n] for n in sizes), default=0)


class Table:
    """The numbers that kernels read: sections of int64, known by the index they start at."""

    def __init__(self) -> None:
        self._numbers: list[int] = []

    def add(self, numbers: Any) -> int:
        """Append numbers, however nested; where they start."""
        start = len(self._numbers)
        self._numbers += np.asarray(numbers, dtype=np.int64).reshape(-1).tolist()
        return start

    def record(self, cells: Mapping[int, int]) -> int:
        """Append a record, its cells given by the names of `records`, none left out; where it starts."""
        return self.add([cells[place] for place in range(len(cells))])

    def put(self, index: int, numbers: Iterable[int]) -> None:
        """Overwrite numbers that are there already."""
        for i, number in enumerate(numbers):
            self._numbers[index + i] = number

    def __getitem__(self, index: int) -> int:
        return self._numbers[index]

    def moved(self, start: int, count: int, by: Mapping[int, int]) -> int:
        """Append a copy of so many numbers with something added to some of them, given by their place; its start."""
        return self.add([number + by.get(i, 0) for i, number in enumerate(self._numbers[start : start + count])])

    def array(self) -> np.ndarray:
        return np.array(self._numbers, dtype=np.int64)


class Weights:
    """The packed float32 numbers of a network, each part on a cache line."""

    def __init__(self) -> None:
        self._writers: list[Callable[[np.ndarray], None]] = []
        self._length = 0

    def room(self, count: int) -> int:
        """Leave room for so many numbers; where they will start."""
        start = self._length
        self._length += -(-count // LINE) * LINE
        return start

    def later(self, write: Callable[[np.ndarray], None]) -> None:
        """Have the packed array handed to a function that writes to the room it has been left."""
        self._writers.append(write)

    def add(self, numbers: Any) -> int:
        """Append numbers, however nested; where they will start."""
        part = np.asarray(numbers, dtype=np.float32).reshape(-1)
        start = self.room(part.size)
        self.later(lambda packed: np.copyto(packed[start : start + part.size], part))
        return start

    def array(self) -> np.ndarray:
        """All parts in one aligned array, with room for a vector to be read past the end."""
        packed = aligned(self._length + SLACK)
        while self._writers:
            self._writers.pop()(packed)
        return packed


def aligned(count: int) -> np.ndarray:
    """Zeroed float32s that start on a cache line."""
    raw = np.zeros(count + LINE, np.float32)
    skip = -raw.ctypes.data // 4 % LINE
    return raw[skip : skip + count]
