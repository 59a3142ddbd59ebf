"""Windows over arrays: the taps of a convolution or pool, each as one strided slice."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from upc.ir import Array
from upc.layers.arguments import Padding
from upc.layers.shapes import fit_error, too_small
from upc.shape import Dim, Shape, conv_output, same_padding, window_span

Ints = tuple[int, ...]


def output_axes(
    name: str, shape: Shape, kernel: Ints, strides: Ints, padding: Padding, dilation: Ints
) -> tuple[Dim, ...]:
    """The spatial axes that a window leaves of a shape; LayerError where it does not fit."""
    result: list[Dim] = []
    for axis, dim in enumerate(shape[:-1]):
        k, s, d = kernel[axis], strides[axis], dilation[axis]
        before, after = (0, 0) if isinstance(padding, str) else padding[axis]
        out = conv_output(dim, k, s, d, "same" if padding == "same" else (before, after))
        if too_small(out):
            span = f"({d}*({k} - 1) + 1)" if d > 1 else f"{k}"
            equation = f"floor(({dim} + {before} + {after} - {span}) / {s}) + 1"
            hint = "`padding=same`, a smaller window or a larger input would leave some"
            raise fit_error(name, axis, len(kernel), shape, equation, out, hint)
        result.append(out)
    return tuple(result)


def amounts(sizes: Sequence[int], kernel: Ints, strides: Ints, padding: Padding, dilation: Ints) -> list[Ints]:
    """Pixels before and after each axis, once its size is known."""
    if padding == "same":
        pairs = [same_padding(n, k, s, d) for n, k, s, d in zip(sizes, kernel, strides, dilation, strict=True)]
        return [(a, b) for a, b in pairs if isinstance(a, int) and isinstance(b, int)]
    return [(0, 0) for _ in sizes] if isinstance(padding, str) else [tuple(pair) for pair in padding]


def taps(x: Array, kernel: Ints, strides: Ints, dilation: Ints) -> Iterator[tuple[Ints, Array]]:
    """Each tap of a window with what it sees from every position: (tap, (batch, *positions, channels))."""
    counts = [
        (n - window_span(k, d)) // s + 1 for n, k, s, d in zip(x.shape[1:-1], kernel, strides, dilation, strict=True)
    ]
    for tap in itertools.product(*map(range, kernel)):
        index = tuple(
            slice(i * d, i * d + (count - 1) * s + 1, s)
            for i, d, s, count in zip(tap, dilation, strides, counts, strict=True)
        )
        yield tap, x[(slice(None), *index)]


def padded(x: Array, pairs: Sequence[Ints], value: float = 0.0) -> Array:
    """The spatial axes extended by a constant."""
    return np.pad(x, [(0, 0), *pairs, (0, 0)], constant_values=value)
