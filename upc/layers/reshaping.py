"""Layers that lay the same numbers out differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from upc.ir import Array, Example, Layer, LayerError, Literal, attr
from upc.layers.arguments import at_least, listed, positive, shown
from upc.layers.shapes import Pair, exact_quotient
from upc.shape import Dim, Shape, show, volume


def _target_size(value: Literal, rank: int = 0) -> int:
    """A size, or -1 for the rest."""
    size: int = at_least(-1)(value, rank)
    if size == 0:
        raise LayerError(f"expected sizes from 1 up, or -1 for what is left, got {shown(value)}")
    return size


@dataclass(frozen=True, slots=True)
class Reshape(Layer):
    """Lay the numbers out in another shape, last axis fastest. One size may be -1: whatever is left.

    Shape:   any -> target
    Errors:  a different number of elements; more than one -1; a free size that does not go into the -1.
    """

    kind: ClassVar[str] = "reshape"
    target: tuple[int, ...] = attr(listed(_target_size, least=1), variadic=True)

    def check(self) -> None:
        if self.target.count(-1) > 1:
            raise LayerError(f"only one size can be -1, got {show(self.target)}", argument="target")

    def _resolve(self, shape: Shape) -> tuple[Shape, tuple[Pair, ...]]:
        elements = volume(shape)
        known = prod(n for n in self.target if n != -1)
        if elements is None:
            raise LayerError(
                f"{show(shape)} has more than one free size, and so no known layout as {show(self.target)}",
                inputs=(0,),
                hint="give the input fixed sizes",
            )
        if -1 not in self.target:
            if elements == known:
                return self.target, ()
            count = " * ".join(str(n) for n in self.target)
            raise LayerError(
                f"cannot reshape {show(shape)} to {show(self.target)}: it has {elements} elements, {count} = {known}",
                argument="target",
                inputs=(0,),
                hint="-1 in place of a size takes what is left",
            )
        rest, pairs = exact_quotient(elements, known)
        if rest is None:
            raise LayerError(
                f"cannot reshape {show(shape)} to {show(self.target)}: {elements} elements / {known} is not whole",
                argument="target",
                inputs=(0,),
            )
        return tuple(rest if n == -1 else n for n in self.target), pairs

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (self._resolve(inputs[0])[0],)

    def demands(self, inputs: Sequence[Shape]) -> tuple[tuple[Dim, Dim], ...]:
        return self._resolve(inputs[0])[1]

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        (x,) = inputs
        return (x.reshape(len(x), *self.output_shapes([x.shape[1:]])[0]),)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "reshape(3, 1, 2)",
            ((2, 3),),
            inputs=([[1, 2, 3], [4, 5, 6]],),
            weights={},
            outputs=([[[1, 2]], [[3, 4]], [[5, 6]]],),
        ),
        Example("reshape(-1, 5)", ((3, 5, 4),)),
        Example("reshape(2, -1, 2)", ((12,),)),
        Example("reshape(1, 1, 1)", ((1,),)),
    )


@dataclass(frozen=True, slots=True)
class Flatten(Layer):
    """All axes in one.

    Shape:   (H, W, C) -> (H*W*C,)
    Math:    y[(h*W + w)*C + c] = x[h, w, c]
    Errors:  more than one free size.
    """

    kind: ClassVar[str] = "flatten"

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        elements = volume(inputs[0])
        if elements is None:
            raise LayerError(
                f"cannot flatten {show(inputs[0])}: it has more than one free size",
                inputs=(0,),
                hint="give the input fixed sizes, or use `global_average_pooling2d()`",
            )
        return ((elements,),)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        (x,) = inputs
        return (x.reshape(len(x), prod(x.shape[1:])),)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "flatten()",
            ((2, 1, 2),),
            inputs=([[[1, 2]], [[3, 4]]],),
            weights={},
            outputs=([1, 2, 3, 4],),
        ),
        Example("flatten()", ((3, 4, 5),)),
        Example("flatten()", ((1,),)),
    )


@dataclass(frozen=True, slots=True)
class Permute(Layer):
    """Reorder the axes, counted from 1 as in Keras (the batch stays first).

    Shape:   `permute(3, 1, 2)`: (H, W, C) -> (C, H, W)
    Errors:  not every axis named once.
    """

    kind: ClassVar[str] = "permute"
    dims: tuple[int, ...] = attr(listed(positive, least=1), variadic=True)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        (shape,) = inputs
        if sorted(self.dims) != list(range(1, len(shape) + 1)):
            raise LayerError(
                f"permute must name each of the {len(shape)} axes of {show(shape)} once, got {show(self.dims)}",
                argument="dims",
                inputs=(0,),
                hint="axes are counted from 1",
            )
        return (tuple(shape[d - 1] for d in self.dims),)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        return (np.ascontiguousarray(inputs[0].transpose(0, *self.dims)),)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "permute(2, 1)",
            ((2, 3),),
            inputs=([[1, 2, 3], [4, 5, 6]],),
            weights={},
            outputs=([[1, 4], [2, 5], [3, 6]],),
        ),
        Example("permute(3, 1, 2)", ((2, 3, 5),)),
        Example("permute(2, 1, 3)", ((1, 3, 4),)),
    )
