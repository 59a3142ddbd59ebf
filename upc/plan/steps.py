"""The plan: what the Numba module does, step by step, over values that are pictures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from upc.ir import Graph
from upc.shape import Dim, Shape, show

Size = tuple[Dim, Dim, Dim]
"""Rows, columns and channels."""


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """A batch normalisation in an epilogue: y = gamma * (x - mean) / sqrt(variance + epsilon) + beta.

    `flat` if it comes before its numbers are laid out as a picture.
    """

    path: str
    epsilon: float
    flat: bool = False


Operation = Any
"""A BatchNorm, or a tuple: a function of the runtime's vectors and its numbers."""


@dataclass(frozen=True, slots=True)
class Step:
    """One kernel call. `kind` names the runtime's class, `settings` its further arguments.

    `operands` are values that merge operations in `then` read, by position.
    """

    kind: str
    name: str
    line: int
    source: str
    target: str
    settings: tuple[tuple[str, Any], ...] = ()
    then: tuple[Operation, ...] = ()
    operands: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.source, *self.operands)

    def setting(self, name: str) -> Any:
        return dict(self.settings)[name]

    def with_settings(self, **changed: Any) -> Step:
        return replace(self, settings=tuple({**dict(self.settings), **changed}.items()))

    def __str__(self) -> str:
        how = ", ".join(f"{k}={v}" for k, v in self.settings)
        after = " ".join(f"| {_shown(operation, self.operands)}" for operation in self.then)
        return f"{self.kind}({how}) {after}".strip()


def _shown(operation: Operation, operands: tuple[str, ...]) -> str:
    if isinstance(operation, BatchNorm):
        return f"batch_normalization {operation.path}"
    name, *numbers = operation
    if name in MERGES:
        return f"{name} {operands[numbers[0]]}"
    return " ".join([name, *(f"{n:g}" if isinstance(n, float) else str(n) for n in numbers)])


MERGES = frozenset({"add", "subtract", "subtract_from", "multiply", "maximum", "minimum"})
"""Operations whose number is the position of an operand."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order, and where values lie.

    `sizes` are those of every value, one image; `slices` the values that are part of another's buffer, as
    (buffer, row, column, channel); `lives` the first and last step that need a buffer; `segments` the runs of
    steps that take turns together, as (first step, images of a turn); `algorithm` is what was asked for.
    """

    graph: Graph
    steps: tuple[Step, ...]
    sizes: dict[str, Size]
    slices: dict[str, tuple[str, Dim, Dim, Dim]] = field(default_factory=dict)
    lives: dict[str, tuple[int, int]] = field(default_factory=dict)
    segments: tuple[tuple[int, int | None], ...] = ((0, None),)
    algorithm: str = "auto"

    def __str__(self) -> str:
        lines = [f"plan {self.graph.name}"]
        for number, step in enumerate(self.steps):
            reads = ", ".join(f"{name} {show(self.sizes[name])}" for name in step.reads)
            lines.append(f"  {number:3d}  {step.target} {show(self.sizes[step.target])} <- {reads}")
            lines.append(f"       line {step.line}  {step}")
        if len(self.segments) > 1:
            turns = ", ".join(f"from step {first} {images} images" for first, images in self.segments)
            lines.append(f"  turns: {turns}")
        for name, (buffer, row, column, channel) in self.slices.items():
            lines.append(f"  {name} is {buffer} from row {row}, column {column}, channel {channel}")
        return "\n".join(lines)


def picture(shape: Shape) -> Size:
    """A value's shape as rows, columns and channels: leading axes are 1, or taken together as rows."""
    padded = (1,) * max(0, 3 - len(shape)) + tuple(shape)
    rows: Dim = 1
    for dim in padded[:-2]:
        rows = rows * dim
    return rows, padded[-2], padded[-1]
