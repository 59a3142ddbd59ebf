"""What steps do at their end, whatever they compute: normalise, apply functions, keep rims zero."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from upc.runtime.finishing import ApplyChannels, Tail
from upc.runtime.layout import Table, View
from upc.runtime.records import (
    RIM_BOTTOM,
    RIM_HEIGHT,
    RIM_IMAGE,
    RIM_LEFT,
    RIM_RIGHT,
    RIM_ROW,
    RIM_START,
    RIM_TOP,
    RIM_WIDTH,
)
from upc.runtime.steps import Apply, BatchNorm, Combine, Operation, PixelPRelu, Step
from upc.runtime.subroutine import Floats, Integers, jit


def scale_offset(norm: BatchNorm, weights: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """A batch normalisation's factor and addend for every channel, in float64."""

    def get(name: str) -> np.ndarray:
        return np.asarray(weights[f"{norm.path}.{name}"], np.float64)

    scale = (get("gamma") if norm.scales else 1.0) / np.sqrt(get("moving_variance") + norm.epsilon)
    return scale, (get("beta") if norm.centers else 0.0) - get("moving_mean") * scale


def operand_names(step: Step) -> list[str]:
    """The values that the epilogue reads, made up to two by the target, which none of its operations then reads."""
    return [*step.operands, step.target, step.target][:2]


class Epilogue(NamedTuple):
    """What `finish` does, and the numbers that it reads for every channel."""

    tail: Tail
    slots: int


def epilogue(then: tuple[Operation, ...], scaled: bool = False) -> Epilogue:
    """Operations as `finish` takes them, after a factor and an addend for every channel if it is `scaled`."""
    made: list[Apply | ApplyChannels | Combine] = [ApplyChannels("channel_affine", 0)] if scaled else []
    slots = 2 if scaled else 0
    for operation in then:
        if isinstance(operation, BatchNorm):
            made.append(ApplyChannels("channel_affine", slots))
            slots += 2
        elif isinstance(operation, PixelPRelu):
            made.append(ApplyChannels("channel_prelu", slots))
            slots += 1
        else:
            made.append(operation)
    return Epilogue(tuple(made), slots)


def channel_numbers(then: tuple[Operation, ...], weights: Mapping[str, np.ndarray], channels: int) -> list[np.ndarray]:
    """What the operations need to know of every channel, in their order, in float64."""
    numbers: list[np.ndarray] = []
    for operation in then:
        if isinstance(operation, BatchNorm):
            numbers += scale_offset(operation, weights)
        elif isinstance(operation, PixelPRelu):
            alpha = np.asarray(weights[operation.alpha], np.float64).reshape(-1)
            numbers.append(np.broadcast_to(alpha, channels))
    return numbers


def channel_blocks(numbers: list[np.ndarray], width: int) -> np.ndarray:
    """Numbers per channel, (..., channels) each, as (..., block, which, `width`), as `finish` reads them."""
    stacked = np.stack(np.broadcast_arrays(*numbers), axis=-2)
    spare = -stacked.shape[-1] % width
    padded = np.pad(stacked, [(0, 0)] * (stacked.ndim - 1) + [(0, spare)])
    blocks = padded.reshape(*padded.shape[:-1], -1, width)
    return np.ascontiguousarray(np.moveaxis(blocks, -2, -3))


@jit
def clear_rim(table: Integers, at: int, target: Floats, first: int, last: int) -> None:
    """Zero the rim of pictures `first` to `last` of the buffer described at `table[at:]`; -1 for none."""
    if at < 0:
        return
    base, image, row = table[at + RIM_START], table[at + RIM_IMAGE], table[at + RIM_ROW]
    top, rows, bottom = table[at + RIM_TOP], table[at + RIM_HEIGHT], table[at + RIM_BOTTOM]
    left, middle, right = table[at + RIM_LEFT], table[at + RIM_WIDTH], table[at + RIM_RIGHT]
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
    return table.record(
        {
            RIM_START: view.base - top * view.row - left * view.pitch,
            RIM_IMAGE: view.image,
            RIM_ROW: view.row,
            RIM_TOP: top,
            RIM_HEIGHT: view.height,
            RIM_BOTTOM: bottom,
            RIM_LEFT: left * view.pitch,
            RIM_WIDTH: view.width * view.pitch,
            RIM_RIGHT: right * view.pitch,
        }
    )
