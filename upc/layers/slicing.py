"""Layers that take a part of an axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from upc.ir import Array, Example, Layer, LayerError, Literal, attr
from upc.layers.arguments import optional, positive, whole
from upc.layers.shapes import Pair, axis_index, exact_quotient
from upc.shape import Dim, Shape, ceil_div, show


@dataclass(frozen=True, slots=True)
class Slice(Layer):
    """Keep `start` up to (not including) `stop` of an axis, every `step`-th; negative places count from the end.

    Shape:   (H, W, C) -> (H, W, ceil((stop - start) / step)) along the last axis (Keras's axes: the batch is 0)
    Errors:  places outside the axis; nothing kept; step below 1.
    """

    kind: ClassVar[str] = "slice"
    start: int = attr(whole)
    stop: int | None = attr(optional(whole), None)
    step: int = attr(positive, 1)
    axis: int = attr(whole, -1)

    def bounds(self, dim: Dim) -> tuple[Dim, Dim]:
        """First place kept and first beyond, counted from 0."""
        start = self.start + dim if self.start < 0 else self.start
        stop = dim if self.stop is None else self.stop + dim if self.stop < 0 else self.stop
        return start, stop

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        (shape,) = inputs
        at = axis_index(self.name, self.axis, shape)
        dim = shape[at]
        start, stop = self.bounds(dim)
        kept = stop - start
        if isinstance(dim, int):
            for argument, place in (("start", start), ("stop", stop)):
                if not isinstance(place, int) or not 0 <= place <= dim:
                    raise LayerError(
                        f"slice goes outside {show(shape)}: {argument} {getattr(self, argument)} "
                        f"is not within its {dim} (axis {self.axis})",
                        argument=argument,
                        inputs=(0,),
                    )
        if isinstance(kept, int) and kept < 1:
            raise LayerError(
                f"slice keeps nothing of {show(shape)}: stop - start = {stop} - {start} = {kept}",
                argument="start" if self.stop is None else "stop",
                inputs=(0,),
            )
        return ((*shape[:at], ceil_div(kept, self.step), *shape[at + 1 :]),)

    def at_least(self, inputs: Sequence[Shape]) -> tuple[tuple[Dim, Dim], ...]:
        dim = inputs[0][axis_index(self.name, self.axis, inputs[0])]
        if isinstance(dim, int):
            return ()
        start, stop = self.bounds(dim)
        # A place counted from the end must not lie before the start, one from the start not past the end.
        pairs: list[Pair] = [(start, 0) if self.start < 0 else (dim, start), (stop, start + 1)]
        if self.stop is not None:
            pairs.append((stop, 0) if self.stop < 0 else (dim, stop))
        return tuple((place, least) for place, least in pairs if not isinstance(place - least, int))

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        (x,) = inputs
        index = [slice(None)] * x.ndim
        index[self.axis] = slice(self.start, self.stop, self.step)
        return (x[tuple(index)],)

    examples: ClassVar[tuple[Example, ...]] = (
        Example("slice(1, 3)", ((5,),), inputs=([1, 2, 3, 4, 5],), weights={}, outputs=([2, 3],)),
        Example("slice(-3, step=2)", ((5,),), inputs=([1, 2, 3, 4, 5],), weights={}, outputs=([3, 5],)),
        Example("slice(0, 3)", ((4, 5, 7),)),
        Example("slice(1, -1, axis=1)", ((4, 5, 2),)),
        Example("slice(0, step=2, axis=2)", ((4, 5, 2),)),
        Example("slice(0, 1)", ((3, 2, 1),)),
    )


MOST_SECTIONS = 1024


def _sections(value: Literal, rank: int = 0) -> int:
    """How many parts: every one becomes a value of its own, so that there cannot be any number of them."""
    sections: int = positive(value, rank)
    if sections > MOST_SECTIONS:
        raise LayerError(f"expected at most {MOST_SECTIONS} parts, got {sections}")
    return sections


@dataclass(frozen=True, slots=True)
class Split(Layer):
    """Cut an axis into equal parts, one value each: `split(2) as a, b`.

    Shape:   (H, W, C) -> (H, W, C/sections), `sections` times (Keras's axes: the batch is 0)
    Errors:  a size not divisible by sections.
    """

    kind: ClassVar[str] = "split"
    sections: int = attr(_sections)
    axis: int = attr(whole, -1)

    def _resolve(self, shape: Shape) -> tuple[Shape, tuple[Pair, ...]]:
        at = axis_index(self.name, self.axis, shape)
        part, demands = exact_quotient(shape[at], self.sections)
        if part is None or part == 0:
            raise LayerError(
                f"split cannot cut {show(shape)} into {self.sections} equal parts: "
                f"{shape[at]} / {self.sections} is not whole",
                argument="sections",
                inputs=(0,),
            )
        return (*shape[:at], part, *shape[at + 1 :]), demands

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (self._resolve(inputs[0])[0],) * self.sections

    def demands(self, inputs: Sequence[Shape]) -> tuple[tuple[Dim, Dim], ...]:
        return self._resolve(inputs[0])[1]

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        return tuple(np.split(inputs[0], self.sections, axis=self.axis))

    examples: ClassVar[tuple[Example, ...]] = (
        Example("split(2)", ((4,),), inputs=([1, 2, 3, 4],), weights={}, outputs=([1, 2], [3, 4]), results=2),
        Example("split(3)", ((4, 5, 6),), results=3),
        Example("split(2, axis=1)", ((4, 5, 3),), results=2),
        Example("split(1)", ((2, 3, 5),)),
    )
