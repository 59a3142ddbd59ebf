"""Layers that put pixels around a picture or take them away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from upc.ir import Array, Example, Layer, LayerError, attr
from upc.layers.arguments import Pairs, pairs
from upc.layers.shapes import fit_error, spatial, too_small
from upc.shape import Dim, Shape, show


def _grown(name: str, rank: int, shape: Shape, padding: Pairs) -> Shape:
    axes, channels = spatial(name, rank, shape)
    return (*(n + (before + after) for n, (before, after) in zip(axes, padding, strict=True)), channels)


@dataclass(frozen=True, slots=True)
class ZeroPadding(Layer):
    """Put zeros around the picture.

    Shape:   (H, W, C) -> (H + before + after, W + before + after, C)
    """

    kind: ClassVar[str] = "zero_padding{rank}d"
    padding: Pairs = attr(pairs, 1)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (_grown(self.name, self.rank, inputs[0], self.padding),)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        return (np.pad(inputs[0], [(0, 0), *self.padding, (0, 0)]),)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "zero_padding2d([[0, 1], [2, 0]])",
            ((1, 2, 1),),
            inputs=([[[1], [2]]],),
            weights={},
            outputs=([[[0], [0], [1], [2]], [[0], [0], [0], [0]]],),
        ),
        Example("zero_padding2d()", ((4, 3, 5),)),
        Example("zero_padding2d([2, 0])", ((1, 1, 2),)),
    )


@dataclass(frozen=True, slots=True)
class ReflectPadding(Layer):
    """Continue the picture by its mirror image; the edge pixel itself is not repeated.

    Shape:   (H, W, C) -> (H + before + after, W + before + after, C)
    Math:    y[h] = x[|h - before|] on the near side, mirrored likewise at the far one
    Errors:  more pixels than there are to mirror: an amount not below the size.
    """

    kind: ClassVar[str] = "reflect_padding{rank}d"
    padding: Pairs = attr(pairs, 1)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        (shape,) = inputs
        grown = _grown(self.name, self.rank, shape, self.padding)
        for dim, sides in zip(shape, self.padding, strict=False):
            if isinstance(dim, int) and max(sides) >= dim:
                raise LayerError(
                    f"{self.name} mirrors at most {dim - 1} of the {dim} pixels in {show(shape)}, got {max(sides)}",
                    argument="padding",
                    inputs=(0,),
                )
        return (grown,)

    def at_least(self, inputs: Sequence[Shape]) -> tuple[tuple[Dim, Dim], ...]:
        sides = zip(inputs[0], self.padding, strict=False)
        return tuple((dim, max(pair) + 1) for dim, pair in sides if not isinstance(dim, int))

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        return (np.pad(inputs[0], [(0, 0), *self.padding, (0, 0)], mode="reflect"),)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "reflect_padding2d([[0, 0], [2, 1]])",
            ((1, 3, 1),),
            inputs=([[[1], [2], [3]]],),
            weights={},
            outputs=([[[3], [2], [1], [2], [3], [2]]],),
        ),
        Example("reflect_padding2d()", ((4, 3, 5),)),
        Example("reflect_padding2d([[3, 2], [0, 4]])", ((4, 5, 2),)),
    )


@dataclass(frozen=True, slots=True)
class ReplicatePadding(Layer):
    """Continue the picture by its edge pixels.

    Shape:   (H, W, C) -> (H + before + after, W + before + after, C)
    """

    kind: ClassVar[str] = "replicate_padding{rank}d"
    padding: Pairs = attr(pairs, 1)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (_grown(self.name, self.rank, inputs[0], self.padding),)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        return (np.pad(inputs[0], [(0, 0), *self.padding, (0, 0)], mode="edge"),)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "replicate_padding2d([[0, 0], [2, 1]])",
            ((1, 2, 1),),
            inputs=([[[1], [2]]],),
            weights={},
            outputs=([[[1], [1], [1], [2], [2]]],),
        ),
        Example("replicate_padding2d()", ((4, 3, 5),)),
        Example("replicate_padding2d([[3, 0], [1, 4]])", ((1, 2, 2),)),
    )


@dataclass(frozen=True, slots=True)
class Cropping(Layer):
    """Take pixels away from the edges.

    Shape:   (H, W, C) -> (H - before - after, W - before - after, C)
    Errors:  nothing left.
    """

    kind: ClassVar[str] = "cropping{rank}d"
    cropping: Pairs = attr(pairs, 0)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        (shape,) = inputs
        _, channels = spatial(self.name, self.rank, shape)
        result: list[Dim] = []
        for axis, (before, after) in enumerate(self.cropping):
            left = shape[axis] - (before + after)
            if too_small(left):
                equation = f"{shape[axis]} - {before} - {after}"
                raise fit_error(self.name, axis, self.rank, shape, equation, left, "crop less")
            result.append(left)
        return ((*result, channels),)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        (x,) = inputs
        sizes = zip(x.shape[1:-1], self.cropping, strict=True)
        return (x[(slice(None), *(slice(before, n - after) for n, (before, after) in sizes))],)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "cropping2d([[0, 0], [1, 2]])",
            ((1, 4, 1),),
            inputs=([[[1], [2], [3], [4]]],),
            weights={},
            outputs=([[[2]]],),
        ),
        Example("cropping2d(1)", ((5, 4, 3),)),
        Example("cropping2d([[2, 0], [0, 3]])", ((3, 7, 2),)),
        Example("cropping2d()", ((3, 1, 2),)),
    )
