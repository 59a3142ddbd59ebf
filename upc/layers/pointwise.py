"""Layers that are a number or nothing at all at inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from upc.ir import Array, Example, Layer, attr
from upc.layers.arguments import number, number_in
from upc.shape import Shape


@dataclass(frozen=True, slots=True)
class Dropout(Layer):
    """Drop a share of the elements while training; do nothing at inference.

    Math:    y = x
    Source:  Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting"
    """

    kind: ClassVar[str] = "dropout"
    rate: float = attr(number_in(0, 1))

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        return (inputs[0],)

    examples: ClassVar[tuple[Example, ...]] = (
        Example("dropout(0.5)", ((3,),), inputs=([1, 2, 3],), weights={}, outputs=([1, 2, 3],)),
        Example("dropout(0)", ((4, 3, 5),)),
    )


@dataclass(frozen=True, slots=True)
class Rescaling(Layer):
    """Scale and move every element.

    Math:    y = x * scale + offset
    """

    kind: ClassVar[str] = "rescaling"
    scale: float = attr(number)
    offset: float = attr(number, 0.0)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        return (inputs[0] * self.scale + self.offset,)

    examples: ClassVar[tuple[Example, ...]] = (
        Example("rescaling(2, offset=-1)", ((3,),), inputs=([0, 0.5, 1],), weights={}, outputs=([-1, 0, 1],)),
        Example("rescaling(0.5)", ((4, 3, 5),)),
    )
