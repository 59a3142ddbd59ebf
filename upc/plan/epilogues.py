"""Which operations the kernel of each step can do on what it has made, before it stores it."""

from __future__ import annotations

from upc.runtime.steps import (
    Apply,
    BatchNorm,
    Combine,
    Convolution,
    Cut,
    Depthwise,
    Filtering,
    Gather,
    GlobalPool,
    Operation,
    Pad,
    PixelPRelu,
    Pointwise,
    Pool,
    Repeat,
    Resize,
    Step,
)


def takes(step: Step, operation: Operation) -> bool:
    """Whether the step can do one more operation after those that it has."""
    match operation:
        case Apply():
            return isinstance(step, _ALL) or (isinstance(step, Gather) and _by_pixel(step))
        case Combine():
            return isinstance(step, (Convolution, Filtering, Pointwise))
        case BatchNorm(flat=True):
            return isinstance(step, Convolution) and step.layout == "spread" and not step.then
        case BatchNorm():
            return _knows_channels(step)
        case PixelPRelu(shape=(rows, columns, _)):
            return isinstance(step, Pointwise) or (rows == columns == 1 and _knows_channels(step))


_ALL = (Convolution, Depthwise, Filtering, GlobalPool, Pointwise, Pool, Resize)


def _by_pixel(step: Gather) -> bool:
    """Whether it moves runs of channels, which vectors hold."""
    move = step.move
    return isinstance(move, (Pad, Repeat)) or (isinstance(move, Cut) and move.steps[2] == 1)


def _knows_channels(step: Step) -> bool:
    """Whether it has numbers for each channel; of blocks moved into space it does not know which channel is which."""
    if isinstance(step, Convolution):
        return step.shuffle is None
    return isinstance(step, (Depthwise, Filtering, Pointwise))
