"""Layers that join several values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar

import numpy as np

from upc.ir import Array, Example, Layer, LayerError, attr
from upc.layers.arguments import listed, number, whole
from upc.layers.shapes import Pair, all_shapes, axis_index, common
from upc.layers.sums import wide
from upc.shape import Dim, Shape, show


@dataclass(frozen=True, slots=True)
class Merge(Layer):
    """What element-wise layers share: the current value, the named ones, then constants, broadcast as in NumPy.

    Shapes are aligned at their last axis, the batch always apart: (C,) goes with (H, W, C).
    """

    arity: ClassVar[tuple[int, int | None]] = (1, None)
    operands: ClassVar[tuple[int, int | None]] = (2, None)
    """Fewest and most operands, constants included."""
    combine: ClassVar[Callable[[Any, Any], Any]]
    constants: tuple[float, ...] = attr(listed(number), (), variadic=True)

    def _join(self, inputs: Sequence[Shape]) -> tuple[Shape, tuple[Pair, ...]]:
        """The broadcast shape, and the pairs of sizes that must be equal for it."""
        least, most = self.operands
        count = len(inputs) + len(self.constants)
        if count < least or (most is not None and count > most):
            wanted = f"{least} operands" if least == most else f"at least {least} operands"
            raise LayerError(
                f"{self.name} takes {wanted} (the current value, then names and numbers), got {count}",
                hint=f"name another value, `{self.name}(other)`, or write a number, `{self.name}(0.5)`",
            )
        joined: list[Dim] = []
        demands: list[Pair] = []
        axes = max(len(shape) for shape in inputs)
        for axis in range(-axes, 0):
            dim: Dim = 1
            for position, shape in enumerate(inputs):
                other = shape[axis] if -axis <= len(shape) else 1
                if other == 1 or other == dim:
                    continue
                if dim == 1:
                    dim = other
                    continue
                shared = common(dim, other)
                if shared is None:
                    raise LayerError(
                        f"{self.name} cannot join {all_shapes(inputs)}: {dim} and {other} differ (axis {axis})",
                        inputs=(0, position),
                        hint="sizes must be equal, or 1 to be repeated",
                    )
                demands.append((dim, other))
                dim = shared
            joined.append(dim)
        return tuple(joined), tuple(demands)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (self._join(inputs)[0],)

    def demands(self, inputs: Sequence[Shape]) -> tuple[tuple[Dim, Dim], ...]:
        return self._join(inputs)[1]

    def aligned(self, inputs: Sequence[Array]) -> list[Any]:
        """All operands in float64, ready to be broadcast: axes of size 1 go between the batch and a shorter shape."""
        axes = max(x.ndim for x in inputs)
        arrays = [wide(x).reshape(len(x), *(1,) * (axes - x.ndim), *x.shape[1:]) for x in inputs]
        return [*arrays, *self.constants]

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        joined: Array = reduce(type(self).combine, self.aligned(inputs))
        return (joined.astype(np.result_type(*inputs), copy=False),)


_A, _B = [[[1, 2]], [[3, 4]]], [[[10, 20]], [[30, 40]]]


def _examples(name: str, worked: Any) -> tuple[Example, ...]:
    """Examples that fit any of them; `worked` is the result for two operands of shape (2, 1, 2)."""
    shape = (2, 1, 2)
    return (
        Example(f"{name}(b)", (shape, shape), inputs=(_A, _B), weights={}, outputs=(worked,)),
        Example(f"{name}(b)", ((4, 3, 5), (5,))),
        Example(f"{name}(b)", ((4, 1, 5), (3, 1))),
        Example(f"{name}(b)", ((1, 1, 2), (4, 3, 2))),
        Example(f"{name}(0.75)", ((4, 3, 5),)),
    )


_MORE = (((4, 3, 5), (4, 3, 1), (1, 1, 5)),)


@dataclass(frozen=True, slots=True)
class Add(Merge):
    """The sum of all operands.

    Shape:   broadcast as in NumPy
    Errors:  sizes that differ and are not 1; a single operand.
    """

    kind: ClassVar[str] = "add"
    combine: ClassVar[Callable[[Any, Any], Any]] = np.add
    examples: ClassVar[tuple[Example, ...]] = (
        *_examples("add", [[[11, 22]], [[33, 44]]]),
        Example("add(b, c, 1, -0.5)", *_MORE),
    )


@dataclass(frozen=True, slots=True)
class Subtract(Merge):
    """The current value less the other operand.

    Shape:   broadcast as in NumPy
    Errors:  sizes that differ and are not 1; not exactly two operands.
    """

    kind: ClassVar[str] = "subtract"
    arity: ClassVar[tuple[int, int | None]] = (1, 2)
    operands: ClassVar[tuple[int, int | None]] = (2, 2)
    combine: ClassVar[Callable[[Any, Any], Any]] = np.subtract
    examples: ClassVar[tuple[Example, ...]] = _examples("subtract", [[[-9, -18]], [[-27, -36]]])


@dataclass(frozen=True, slots=True)
class Multiply(Merge):
    """The product of all operands.

    Shape:   broadcast as in NumPy
    Errors:  sizes that differ and are not 1; a single operand.
    """

    kind: ClassVar[str] = "multiply"
    combine: ClassVar[Callable[[Any, Any], Any]] = np.multiply
    examples: ClassVar[tuple[Example, ...]] = (
        *_examples("multiply", [[[10, 40]], [[90, 160]]]),
        Example("multiply(b, c, 0.2)", *_MORE),
    )


@dataclass(frozen=True, slots=True)
class Average(Merge):
    """The mean of all operands.

    Shape:   broadcast as in NumPy
    Math:    y = (a + b + ...) / how many there are
    Errors:  sizes that differ and are not 1; a single operand.
    """

    kind: ClassVar[str] = "average"
    combine: ClassVar[Callable[[Any, Any], Any]] = np.add

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        operands = self.aligned(inputs)
        joined: Array = reduce(np.add, operands) / float(len(operands))
        return (joined.astype(np.result_type(*inputs), copy=False),)

    examples: ClassVar[tuple[Example, ...]] = (
        *_examples("average", [[[5.5, 11]], [[16.5, 22]]]),
        Example("average(b, c, 2)", *_MORE),
    )


@dataclass(frozen=True, slots=True)
class Maximum(Merge):
    """The largest of all operands.

    Shape:   broadcast as in NumPy
    Errors:  sizes that differ and are not 1; a single operand.
    """

    kind: ClassVar[str] = "maximum"
    combine: ClassVar[Callable[[Any, Any], Any]] = np.maximum
    examples: ClassVar[tuple[Example, ...]] = (
        *_examples("maximum", [[[10, 20]], [[30, 40]]]),
        Example("maximum(b, c, 0.1)", *_MORE),
    )


@dataclass(frozen=True, slots=True)
class Minimum(Merge):
    """The smallest of all operands.

    Shape:   broadcast as in NumPy
    Errors:  sizes that differ and are not 1; a single operand.
    """

    kind: ClassVar[str] = "minimum"
    combine: ClassVar[Callable[[Any, Any], Any]] = np.minimum
    examples: ClassVar[tuple[Example, ...]] = (
        *_examples("minimum", [[[1, 2]], [[3, 4]]]),
        Example("minimum(b, c, 0.1)", *_MORE),
    )


@dataclass(frozen=True, slots=True)
class Concatenate(Layer):
    """Put values one after another along an axis, the current one first (Keras's axes: the batch is 0).

    Shape:   (H, W, A), (H, W, B) -> (H, W, A + B)
    Errors:  other sizes that differ; a single value; an axis that is not there.
    """

    kind: ClassVar[str] = "concatenate"
    arity: ClassVar[tuple[int, int | None]] = (2, None)
    axis: int = attr(whole, -1, keyword=True)

    def _join(self, inputs: Sequence[Shape]) -> tuple[Shape, tuple[Pair, ...]]:
        first = inputs[0]
        at = axis_index(self.name, self.axis, first)
        joined = list(first)
        demands: list[Pair] = []
        for position, shape in enumerate(inputs[1:], start=1):
            if len(shape) != len(first):
                raise LayerError(
                    f"concatenate cannot join {all_shapes(inputs)}: "
                    f"{show(shape)} has {len(shape)} axes, not {len(first)}",
                    inputs=(0, position),
                )
            for axis, other in enumerate(shape):
                dim = joined[axis]
                if axis == at:
                    joined[axis] = dim + other
                    continue
                if dim == other:
                    continue
                shared = common(dim, other)
                if shared is None:
                    raise LayerError(
                        f"concatenate along axis {self.axis} cannot join {all_shapes(inputs)}: "
                        f"{dim} and {other} differ (axis {axis + 1})",
                        inputs=(0, position),
                        hint="all sizes but the one along the axis must be equal",
                    )
                demands.append((dim, other))
                joined[axis] = shared
        return tuple(joined), tuple(demands)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (self._join(inputs)[0],)

    def demands(self, inputs: Sequence[Shape]) -> tuple[tuple[Dim, Dim], ...]:
        return self._join(inputs)[1]

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        return (np.concatenate(inputs, axis=self.axis),)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "concatenate(b)",
            ((2, 1, 2), (2, 1, 1)),
            inputs=(_A, [[[7]], [[8]]]),
            weights={},
            outputs=([[[1, 2, 7]], [[3, 4, 8]]],),
        ),
        Example("concatenate(b, c)", ((4, 3, 5), (4, 3, 1), (4, 3, 2))),
        Example("concatenate(b, axis=1)", ((4, 3, 5), (2, 3, 5))),
        Example("concatenate(b, axis=-2)", ((4, 3, 5), (4, 1, 5))),
        Example("concatenate(b)", ((3,), (4,))),
    )
