"""Numbers for the axes of pictures."""

from __future__ import annotations

from keras import ops


def _pair(value):
    """One number for each axis."""
    return (value, value) if isinstance(value, int) else tuple(value)


def _same_amounts(x, spans, strides):
    """Pixels before and after each axis that "same" adds: the odd one after."""
    amounts = []
    for size, span, stride in zip(ops.shape(x)[1:3], spans, strides):
        total = ((size + stride - 1) // stride - 1) * stride + span - size
        total = max(total, 0) if isinstance(size, int) else ops.maximum(total, 0)
        amounts.append((total // 2, total - total // 2))
    return amounts
