"""What steps do at their end, whatever they compute: normalise, apply functions, keep rims zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from upc.runtime.layout import Table, View
from upc.runtime.subroutine import Floats, Integers, jit


@dataclass(frozen=True)
class BatchNorm:
    """A batch normalisation at inference: y = gamma * (x - mean) / sqrt(variance + epsilon) + beta.

    `flat` if its channels are those of a dense layer whose numbers are then laid out as a picture.
    """

    path: str
    epsilon: float
    flat: bool = False

    def scale_offset(self, weights: Mapping[str, np.ndarray], channels: int) -> tuple[np.ndarray, np.ndarray]:
        """Factor and addend for every channel, in float64."""

        def get(name: str, default: float) -> np.ndarray:
            return np.asarray(weights.get(f"{self.path}.{name}", np.full(channels, default)), np.float64)

        scale = get("gamma", 1.0) / np.sqrt(get("moving_variance", 1.0) + self.epsilon)
        return scale, get("beta", 0.0) - get("moving_mean", 0.0) * scale


def operand_names(step: Any) -> list[str]:
    """The values that merge operations read, made up to two by the target, which none of them then reads."""
    return [*step.operands, step.target, step.target][:2]


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


def channel_blocks(numbers: list[np.ndarray], width: int) -> np.ndarray:
    """Numbers per channel, (..., channels) each, as (..., block, which, `width`), as `finish` reads them."""
    stacked = np.stack(np.broadcast_arrays(*numbers), axis=-2)
    spare = -stacked.shape[-1] % width
    padded = np.pad(stacked, [(0, 0)] * (stacked.ndim - 1) + [(0, spare)])
    blocks = padded.reshape(*padded.shape[:-1], -1, width)
    return np.ascontiguousarray(np.moveaxis(blocks, -2, -3))


RIM_CELLS = 9  # of what `rim_section` writes, the first of which is where the first image starts


@jit
def clear_rim(table: Integers, at: int, target: Floats, first: int, last: int) -> None:
    """Zero the rim of pictures `first` to `last` of the buffer described at `table[at:]`; -1 for none."""
    if at < 0:
        return
    base, image, row = table[at], table[at + 1], table[at + 2]
    top, rows, bottom, left, middle, right = (
        table[at + 3],
        table[at + 4],
        table[at + 5],
        table[at + 6],
        table[at + 7],
        table[at + 8],
    )
    for n in range(first, last):
        p = base + n * image
        for i in range(top * row):
            target[p + i] = 0.0
        p += top * row
        for _ in range(rows):
            for i in range(left):
                target[p + i] = 0.0
            for i in range(left + middle, left + middle + right):
                target[p + i] = 0.0
            p += row
        for i in range(bottom * row):
            target[p + i] = 0.0


def rim_section(table: Table, view: View | None) -> int:
    """Write what `clear_rim` reads for a buffer, if it has a rim and this step is to clear it."""
    if view is None or not any(view.rim):
        return -1
    top, bottom, left, right = view.rim
    start_of_image = view.base - top * view.row - left * view.pitch
    middle = view.width * view.pitch
    numbers = [start_of_image, view.image, view.row, top, view.height, bottom]
    return table.add([*numbers, left * view.pitch, middle, right * view.pitch])
