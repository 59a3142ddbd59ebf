"""Pooling over windows and over whole pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import numpy as np

from upc.ir import Array, Example, Layer, LayerError, Literal, attr
from upc.layers.arguments import Padding, flag, padding, sizes
from upc.layers.shapes import spatial
from upc.layers.sums import mean, wide
from upc.layers.windows import amounts, output_axes, padded, taps
from upc.shape import Shape


def _strides(value: Literal, rank: int) -> tuple[int, ...]:
    """Strides for each axis; none stands for those of the windows themselves, filled in by the card."""
    return () if value is None else tuple(sizes(value, rank))


@dataclass(frozen=True, slots=True)
class Pooling(Layer):
    """What pooling over windows shares: one result for each window and channel."""

    pool_size: tuple[int, ...] = attr(sizes, 2, limit="kernel")
    strides: tuple[int, ...] = attr(_strides, None, limit="strides")
    padding: Padding = attr(padding, "valid")

    def check(self) -> None:
        if not self.strides:
            object.__setattr__(self, "strides", self.pool_size)
        if isinstance(self.padding, str):
            return
        for size, (before, after) in zip(self.pool_size, self.padding, strict=True):
            if max(before, after) >= size:
                raise LayerError(
                    f"padding must be below pool_size, or a window would see no pixel: {max(before, after)} >= {size}",
                    argument="padding",
                )

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        (shape,) = inputs
        _, channels = spatial(self.name, self.rank, shape)
        axes = output_axes(self.name, shape, self.pool_size, self.strides, self.padding, (1,) * self.rank)
        return ((*axes, channels),)

    def _windows(self, x: Array, beyond: float) -> list[Array]:
        """What each tap sees, `beyond` standing past the edges."""
        ones = (1,) * self.rank
        x = padded(x, amounts(x.shape[1:-1], self.pool_size, self.strides, self.padding, ones), beyond)
        return [seen for _, seen in taps(x, self.pool_size, self.strides, ones)]


@dataclass(frozen=True, slots=True)
class MaxPooling(Pooling):
    """The largest value of each window; pixels beyond the edges do not count.

    Shape:   (H, W, C) -> (H', W', C); same: H' = ceil(H/s); otherwise H' = floor((H + before + after - k) / s) + 1
    Errors:  a window that does not fit; padding not below pool_size.
    """

    kind: ClassVar[str] = "max_pooling{rank}d"

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        return (reduce(np.maximum, self._windows(inputs[0], -np.inf)),)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "max_pooling2d([1, 2], padding=same)",
            ((1, 3, 2),),
            inputs=([[[1, -4], [3, -6], [-2, -5]]],),
            weights={},
            outputs=([[[3, -4], [-2, -5]]],),
        ),
        Example("max_pooling2d()", ((5, 4, 3),)),
        Example("max_pooling2d(3, strides=2, padding=same)", ((7, 6, 3),)),
        Example("max_pooling2d([3, 2], strides=[1, 3], padding=[[2, 1], [0, 1]])", ((4, 7, 3),)),
        Example("max_pooling2d(2, strides=3)", ((8, 5, 2),)),
        Example("max_pooling2d(padding=same)", ((1, 1, 1),)),
    )


@dataclass(frozen=True, slots=True)
class AveragePooling(Pooling):
    """The mean of each window; pixels beyond the edges count only with `count_include_padding`.

    Shape:   (H, W, C) -> (H', W', C); same: H' = ceil(H/s); otherwise H' = floor((H + before + after - k) / s) + 1
    Errors:  a window that does not fit; padding not below pool_size.
    """

    kind: ClassVar[str] = "average_pooling{rank}d"
    count_include_padding: bool = attr(flag, False)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        (x,) = inputs
        total = reduce(np.add, self._windows(wide(x), 0.0))
        if self.count_include_padding:
            count = np.array(float(np.prod(self.pool_size)))
        else:
            count = reduce(np.add, self._windows(np.ones((1, *x.shape[1:-1], 1)), 0.0))
        return ((total / count).astype(x.dtype, copy=False),)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "average_pooling2d([1, 2], padding=same)",
            ((1, 3, 1),),
            inputs=([[[1], [3], [8]]],),
            weights={},
            outputs=([[[2], [8]]],),
        ),
        Example(
            "average_pooling2d([1, 2], padding=same, count_include_padding=true)",
            ((1, 3, 1),),
            inputs=([[[1], [3], [8]]],),
            weights={},
            outputs=([[[2], [4]]],),
        ),
        Example("average_pooling2d()", ((5, 4, 3),)),
        Example("average_pooling2d(3, strides=2, padding=same)", ((7, 6, 3),)),
        Example("average_pooling2d([3, 2], strides=[1, 3], padding=[[2, 1], [0, 1]])", ((4, 7, 3),)),
        Example("average_pooling2d(3, strides=1, padding=1, count_include_padding=true)", ((4, 5, 2),)),
        Example("average_pooling2d(2, strides=3)", ((8, 5, 2),)),
    )


@dataclass(frozen=True, slots=True)
class GlobalPooling(Layer):
    """What pooling over whole pictures shares: one result for each channel."""

    keepdims: bool = attr(flag, False)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        _, channels = spatial(self.name, self.rank, inputs[0])
        return ((*(1,) * self.rank, channels) if self.keepdims else (channels,),)

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(1, self.rank + 1))


@dataclass(frozen=True, slots=True)
class GlobalAveragePooling(GlobalPooling):
    """The mean of each channel over all pixels.

    Shape:   (H, W, C) -> (C,), or (1, 1, C) with keepdims
    """

    kind: ClassVar[str] = "global_average_pooling{rank}d"

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        (x,) = inputs
        y = mean(x, self._axes).astype(x.dtype, copy=False)
        return (y if self.keepdims else y.reshape(len(x), x.shape[-1]),)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "global_average_pooling2d()",
            ((2, 1, 2),),
            inputs=([[[1, 2]], [[3, 8]]],),
            weights={},
            outputs=([2, 5],),
        ),
        Example("global_average_pooling2d(keepdims=true)", ((4, 5, 3),)),
        Example("global_average_pooling2d()", ((7, 3, 2),)),
    )


@dataclass(frozen=True, slots=True)
class GlobalMaxPooling(GlobalPooling):
    """The largest value of each channel over all pixels.

    Shape:   (H, W, C) -> (C,), or (1, 1, C) with keepdims
    """

    kind: ClassVar[str] = "global_max_pooling{rank}d"

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        return (inputs[0].max(axis=self._axes, keepdims=self.keepdims),)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "global_max_pooling2d()",
            ((2, 1, 2),),
            inputs=([[[1, -2]], [[3, -8]]],),
            weights={},
            outputs=([3, -2],),
        ),
        Example("global_max_pooling2d(keepdims=true)", ((4, 5, 3),)),
        Example("global_max_pooling2d()", ((7, 3, 2),)),
    )
