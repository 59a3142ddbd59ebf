"""The graph every target is made from: values, nodes and the protocol of a layer card. All of it frozen.

A `Layer` says what a layer *is* (attributes, shape rule, weights, meaning in NumPy). How it looks in a
framework stands with that framework, how it is made fast stands in `plan`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar

import numpy as np

from upc import limits
from upc.shape import Dim, Shape
from upc.source import Span

Array = np.ndarray
Literal = Any
"""What the language can write as an argument: bool, int, float, str, or a tuple of these."""


class LayerError(Exception):
    """A layer that cannot be: `argument` names the guilty one where a single one is, so that a caret finds it.

    `inputs` marks input values at fault by position.
    """

    def __init__(
        self, message: str, *, argument: str | None = None, inputs: tuple[int, ...] = (), hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.argument, self.inputs, self.hint = message, argument, inputs, hint


Convert = Callable[[Literal, "int"], Any]
"""Checks a written value and brings it to the form the card keeps; raises LayerError. Takes (value, rank)."""


def attr(
    convert: Convert, default: Any = MISSING, *, keyword: bool = False, variadic: bool = False, limit: str = ""
) -> Any:
    """A card's attribute: how a written value is checked, its default (Keras's), whether it must be named.

    The default is given in the form the card keeps. A `variadic` attribute takes all positional
    values that are left, as one tuple: `reshape(4, 4, 512)`. `limit` names the one of `upc.limits` that
    its numbers are held to.
    """
    metadata = {"convert": convert, "keyword": keyword, "variadic": variadic, "limit": limit}
    return field(default=default, metadata=metadata)


def _hold(argument: str, stored: tuple[int, ...], limit: str) -> None:
    """Hold the numbers of an argument, one for each axis, to a limit."""
    most: int = getattr(limits.current(), limit)
    found = max(stored, default=0)
    if found > most:
        message = f"{argument} is {found:,}; the limit is {most:,}"
        raise LayerError(message, argument=argument, hint=limits.hint(limit, found))


@dataclass(frozen=True, slots=True)
class Weight:
    """One array of a layer: `name` below the layer's path, `shape` in Keras's layout.

    `initializer` is a Keras initializer's snake_case name; `trainable` is the layer's own nature
    (False for moving statistics), not whether the user froze it.
    """

    name: str
    shape: tuple[int, ...]
    initializer: str
    trainable: bool = True


@dataclass(frozen=True, slots=True)
class Example:
    """A worked example: the layer as written, its input shapes, and, where short enough to read, values.

    `shapes` leave the batch out, and the values do too. With `inputs` given, `weights` (by weight name) and
    `outputs` are too. The call names further inputs b, c and so on; `results` counts what it gives.
    """

    call: str
    shapes: tuple[tuple[int, ...], ...]
    inputs: tuple[Any, ...] = ()
    weights: Mapping[str, Any] | None = None
    outputs: tuple[Any, ...] = ()
    results: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer card. Subclasses are frozen dataclasses whose `attr` fields are the layer's arguments, in order.

    `rank` is how many spatial axes it works on; one class serves every rank.
    """

    kind: ClassVar[str]
    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    """Fewest and most inputs; None for any number."""
    examples: ClassVar[tuple[Example, ...]] = ()
    rank: int = 2

    def __post_init__(self) -> None:
        """Bring every argument to its stored form, so that a card with a wrong argument cannot exist."""
        for argument in self.arguments():
            try:
                stored = argument.metadata["convert"](getattr(self, argument.name), self.rank)
            except LayerError as e:
                e.argument = e.argument or argument.name
                raise
            object.__setattr__(self, argument.name, stored)
            if argument.metadata["limit"]:
                _hold(argument.name, stored, argument.metadata["limit"])
        self.check()

    def check(self) -> None:
        """Raise LayerError where arguments, each right alone, do not fit together."""

    @classmethod
    def arguments(cls) -> tuple[Field[Any], ...]:
        """The fields a user writes, in positional order."""
        return tuple(f for f in fields(cls) if "convert" in f.metadata)

    @property
    def name(self) -> str:
        """What the user writes: `conv2d`. Cards that serve several ranks carry a `{rank}` in `kind`."""
        return self.kind.format(rank=self.rank)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        """The shapes of the results. Raises LayerError where the inputs do not fit."""
        raise NotImplementedError(self.name)

    def weights(self, inputs: Sequence[Shape]) -> tuple[Weight, ...]:
        """The arrays it owns; none for most."""
        return ()

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """What it means: arrays with a batch axis in front, channels last, to the same; keeps their dtype."""
        raise NotImplementedError(self.name)

    def multiply_adds(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim | None:
        """Multiplications of a multiply-add kind for one image, none with inserted zeros; None if not expressible."""
        return 0

    def demands(self, inputs: Sequence[Shape]) -> tuple[tuple[Dim, Dim], ...]:
        """Pairs of dimensions that must be equal though their expressions differ: `2*(H/2)` and `H`."""
        return ()

    def at_least(self, inputs: Sequence[Shape]) -> tuple[tuple[Dim, Dim], ...]:
        """Pairs (dimension, least): what free sizes must reach beyond giving every result at least one pixel."""
        return ()


@dataclass(frozen=True, slots=True)
class Value:
    """What flows along an edge. `name` is unique in its graph: a node's path, with `:1` and so on for a
    second result; an input's own name. float32, channels-last, batch left out of `shape`."""

    name: str
    shape: Shape
    dtype: str = "float32"

    def __hash__(self) -> int:
        return hash(self.name)  # long sizes would be worked through each time


@dataclass(frozen=True, slots=True)
class Frame:
    """One instance of a block or one turn of a repeat that a node stands in.

    `name` is the block's name, or the repeat's variable; `path` the instance's (`up_1`), unique for
    blocks; `arguments` the values it was instantiated with (for a repeat: the variable's value).
    `site` marks the statement, so that turns of one repeat are known by an equal `site`.
    """

    kind: str  # "block" or "repeat"
    name: str
    path: str
    arguments: tuple[tuple[str, Literal], ...]
    site: Span


@dataclass(frozen=True, slots=True)
class Node:
    """One layer in its place. `path` names it and its weights: `up_2.conv2d_transpose`."""

    path: str
    layer: Layer
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    weights: tuple[Weight, ...]
    span: Span
    trainable: bool = True
    frames: tuple[Frame, ...] = ()

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return tuple(v.shape for v in self.inputs)

    @property
    def output_shapes(self) -> tuple[Shape, ...]:
        return tuple(v.shape for v in self.outputs)


@dataclass(frozen=True, slots=True)
class Demand:
    """Something the free sizes must satisfy: `kind` "equal" (left == right) or "at_least" (left >= right)."""

    kind: str
    left: Dim
    right: Dim
    span: Span
    path: str


@dataclass(frozen=True, slots=True)
class Output:
    """A returned value under the name the user gave it."""

    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class Graph:
    """A whole net: nodes in an order in which every value is made before it is used, dead ones removed."""

    name: str
    parameters: tuple[tuple[str, Literal], ...]
    inputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Output, ...]
    demands: tuple[Demand, ...]
    span: Span
    values_named: tuple[tuple[str, str], ...] = ()
    """(the user's `as` name, the value's name), for emitters that keep the user's words."""

    def weights(self) -> tuple[tuple[str, Weight, bool], ...]:
        """(full key, weight, trainable after freezing) of every array, in order."""
        return tuple(
            (f"{node.path}.{w.name}", w, w.trainable and node.trainable) for node in self.nodes for w in node.weights
        )

    @property
    def input_names(self) -> tuple[str, ...]:
        return tuple(v.name for v in self.inputs)
