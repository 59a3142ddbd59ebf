"""The plan: what the Numba module does, step by step, over values that are pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from upc.ir import Graph
from upc.runtime.steps import STAY, Apply, BatchNorm, Combine, Gather, Operation, PixelPRelu, Step
from upc.shape import Dim, Shape, show

Algorithm = Literal["exact", "fast", "auto"]
"""Minimal filtering: never, wherever it can be done, or where it pays."""

Size = tuple[Dim, Dim, Dim]
"""Rows, columns and channels."""

Turns = tuple[tuple[int, int | None], ...]
"""(first step, images of a turn); None where that follows from sizes that are free."""

ONE_TURN: Turns = ((0, None),)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value lies in another's buffer: from this row, column and channel on."""

    buffer: str
    row: Dim = 0
    column: Dim = 0
    channel: Dim = 0

    @property
    def start(self) -> Size:
        return self.row, self.column, self.channel


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order, and where values lie.

    `sizes` are those of every value, one image; `places` of the values that are part of another's buffer. `turns`
    are the runs of steps that take turns together; `algorithm` is what was asked for, for calls of `batch` images.

    The caller's arrays are values called `input x` and `output y`; all others have buffers in the network's memory.
    """

    graph: Graph
    steps: tuple[Step, ...]
    sizes: Mapping[str, Size]
    places: Mapping[str, Place] = field(default_factory=dict)
    turns: Turns = ONE_TURN
    algorithm: Algorithm = "auto"
    batch: int = 1

    def buffer(self, name: str) -> str:
        """The buffer that a value lies in: mostly its own."""
        return self.places[name].buffer if name in self.places else name

    def readers(self) -> dict[str, list[int]]:
        """Of every value the steps that read it, by number, as often as they do; none where nothing does."""
        found: dict[str, list[int]] = {name: [] for name in self.sizes}
        for number, step in enumerate(self.steps):
            for name in step.reads:
                found[name].append(number)
        return found

    def hosts(self) -> set[str]:
        """The values whose buffers others lie in."""
        return {place.buffer for place in self.places.values()}

    def lives(self) -> dict[str, tuple[int, int]]:
        """The first and the last step that need a buffer."""
        lives: dict[str, tuple[int, int]] = {}
        for number, step in enumerate(self.steps):
            for name in (step.target, *step.reads):
                if not is_external(name):
                    buffer = self.buffer(name)
                    lives[buffer] = lives.get(buffer, (number, number))[0], number
        return lives

    def is_copy(self, step: Step) -> bool:
        """Whether a step makes again what it reads, and all of it."""
        stays = isinstance(step, Gather) and step.move == STAY and not step.then
        return stays and self.sizes[step.source] == self.sizes[step.target]

    def with_steps(self, steps: Iterable[Step], places: Mapping[str, Place] | None = None) -> Plan:
        """The plan with other steps, and without the values that none of them mentions."""
        steps = tuple(steps)
        mentioned = {name for step in steps for name in (step.target, *step.reads)}
        kept = {name: place for name, place in (self.places if places is None else places).items() if name in mentioned}
        mentioned |= {place.buffer for place in kept.values()}
        sizes = {name: size for name, size in self.sizes.items() if name in mentioned}
        return replace(self, steps=steps, sizes=sizes, places=kept)

    def __str__(self) -> str:
        lines = [f"plan {self.graph.name}"]
        for number, step in enumerate(self.steps):
            reads = ", ".join(f"{name} {show(self.sizes[name])}" for name in step.reads)
            lines.append(f"  {number:3d}  {step.target} {show(self.sizes[step.target])} <- {reads}")
            lines.append(f"       line {step.line}  {show_step(step)}")
        if len(self.turns) > 1:
            turns = ", ".join(f"from step {first} {images} images" for first, images in self.turns)
            lines.append(f"  turns: {turns}")
        for name, place in self.places.items():
            lines.append(
                f"  {name} is {place.buffer} from row {place.row}, column {place.column}, channel {place.channel}"
            )
        return "\n".join(lines)


def resolved(places: Mapping[str, Place]) -> dict[str, Place]:
    """Places in values that have places themselves, as places in the buffer."""
    found = {}
    for name, place in places.items():
        while place.buffer in places:
            outer = places[place.buffer]
            row, column, channel = (a + b for a, b in zip(outer.start, place.start, strict=True))
            place = Place(outer.buffer, row, column, channel)
        found[name] = place
    return found


def is_external(name: str) -> bool:
    """Whether a value is an array of the caller's."""
    return name.startswith(("input ", "output "))


def picture(shape: Shape) -> Size:
    """A value's shape as rows, columns and channels: leading axes are 1, or taken together as rows."""
    padded = (1,) * max(0, 3 - len(shape)) + tuple(shape)
    rows: Dim = 1
    for dim in padded[:-2]:
        rows = rows * dim
    return rows, padded[-2], padded[-1]


_HEAD = 4  # fields that every step begins with
_AFTER = ("then", "operands")


def settings(step: Step) -> dict[str, Any]:
    """What a step says beyond its head and its epilogue, where that does not go without saying."""
    own = [f for f in fields(step)[_HEAD:] if f.name not in _AFTER]
    return {f.name: getattr(step, f.name) for f in own if getattr(step, f.name) != f.default}


def show_step(step: Step) -> str:
    """What a step does, on one line."""
    how = ", ".join(f"{name}={value}" for name, value in settings(step).items())
    after = " ".join(f"| {_shown(operation, step.operands)}" for operation in step.then)
    return f"{type(step).__name__}({how}) {after}".strip()


def _shown(operation: Operation, operands: tuple[str, ...]) -> str:
    match operation:
        case Apply(function, numbers):
            return " ".join([function, *(f"{n:g}" if isinstance(n, float) else str(n) for n in numbers)])
        case BatchNorm():
            return f"batch_normalization {operation.path}" + " of single values" * operation.flat
        case PixelPRelu():
            return f"prelu {operation.alpha} {show(operation.shape)}"
        case Combine(function, operand):
            return f"{function} {operands[operand]}"
