"""Let a step do what follows it to each value before it stores it.

Needs: moves that convolutions reach through are gone. Does: functions, normalisations and merges of one reader go
into the step that makes what they read, as far as its kernel can do them and finds the other operands made already;
so do the blocks of channels that a convolution moves into space, and the picture that a dense layer's numbers are
laid out as. Does not: change the order of operations on any value, give the copy of an input more to do, or take in
parts of a long sum, which are added as they were cut.
"""

from __future__ import annotations

from dataclasses import replace

from upc.plan.epilogues import takes
from upc.plan.joining import MOST_OPERANDS
from upc.plan.plan import Plan, is_external
from upc.runtime.steps import (
    BatchNorm,
    Combine,
    CombineName,
    Convolution,
    Gather,
    Operation,
    PixelPRelu,
    Pointwise,
    Reshape,
    Shuffle,
    Step,
)

_SWAPPED: dict[CombineName, CombineName] = {"subtract": "subtract_from", "subtract_from": "subtract"}
"""A function of the two values the other way round, where that is another."""


def fuse_epilogues(plan: Plan) -> Plan:
    """The plan with as few steps as their epilogues allow."""
    fusing = _Fusing(plan)
    for number in range(len(plan.steps)):
        fusing.grow(number)
    return plan.with_steps(fusing.steps[number] for number in sorted(fusing.steps))


class _Fusing:
    """The steps that are left, by their numbers in the plan, where what they have taken in has gone from it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.steps = dict(enumerate(plan.steps))
        self._hosts = plan.hosts()
        self._values = {value.name for node in plan.graph.nodes for value in node.outputs}
        self._readers = plan.readers()
        self._made: dict[str, int] = {}  # the last step that writes to a buffer
        for number, step in self.steps.items():
            self._made[plan.buffer(step.target)] = number

    def grow(self, number: int) -> None:
        """Let a step take in all that it can of what follows it."""
        while (step := self.steps.get(number)) is not None and not is_external(step.source):
            readers = self._readers[step.target]
            if len(readers) != 1 or step.target in self._hosts:
                return
            (after,) = readers
            reader = self.steps[after]
            grown = self._with(number, step, reader) if reader.target in self._values else None
            if grown is None:
                return
            del self.steps[after]
            self.steps[number] = grown
            self._made[grown.target] = number
            for name in grown.operands[len(step.operands) :]:
                self._readers[name] = [number if n == after else n for n in self._readers[name]]

    def _with(self, number: int, step: Step, reader: Step) -> Step | None:
        """The step as one that also does what its reader does, or None where it cannot."""
        match reader:
            case Pointwise():
                return self._with_pointwise(number, step, reader)
            case Reshape():
                return self._spread(step, reader)
            case Gather(move=Shuffle() as shuffle):
                fits = isinstance(step, Convolution) and step.form == "convolution" and step.groups == 1
                if fits and not step.operands and step.shuffle is None:  # type: ignore[attr-defined]
                    return replace(step, shuffle=shuffle, target=reader.target)  # type: ignore[call-arg]
        return None

    def _with_pointwise(self, number: int, step: Step, reader: Pointwise) -> Step | None:
        seen = _seen_from(reader, step.target)
        if seen is None:
            return None
        others, operations = seen
        operands = (*step.operands, *others)
        if others:
            sizes = self.plan.sizes
            alike = all(sizes[name] == sizes[reader.target] for name in reader.reads)
            ready = all(self._made[self.plan.buffer(name)] < number for name in others)
            if not alike or not ready or len(operands) > MOST_OPERANDS:
                return None
        grown = replace(step, target=reader.target, operands=operands)
        for operation in operations:
            if not takes(grown, operation):
                return None
            if isinstance(operation, Combine):
                operation = replace(operation, operand=operation.operand + len(step.operands))
            grown = replace(grown, then=(*grown.then, operation))
        return grown

    def _spread(self, step: Step, reader: Reshape) -> Step | None:
        """A dense layer whose numbers are laid out as a picture writes that picture at once."""
        if not isinstance(step, Convolution) or step.layout != "gather" or step.kernel != (1, 1) or step.operands:
            return None
        rows, columns, channels = self.plan.sizes[reader.target]
        one_pixel = self.plan.sizes[step.target][:2] == (1, 1)
        if not one_pixel or not isinstance(rows, int) or not isinstance(columns, int) or not isinstance(channels, int):
            return None
        then = step.then
        if any(isinstance(o, PixelPRelu) or (isinstance(o, BatchNorm) and n > 0) for n, o in enumerate(then)):
            return None  # numbers for each number: only a normalisation in front can go into the kernel
        if then and isinstance(then[0], BatchNorm):
            then = (replace(then[0], flat=True), *then[1:])
        laid_out = replace(step, form="transposed", layout="spread", kernel=(rows, columns), outputs=channels)
        return replace(laid_out, then=then, target=reader.target)


def _seen_from(reader: Pointwise, value: str) -> tuple[tuple[str, ...], tuple[Operation, ...]] | None:
    """What else a step reads and what it does, as done to one of the values that it reads; None if it cannot be."""
    if reader.source == value:
        return reader.operands, reader.then
    count = len(reader.operands)
    merged, rest = reader.then[:count], reader.then[count:]
    functions = {operation.function if isinstance(operation, Combine) else None for operation in merged}
    (function,) = functions if len(functions) == 1 else (None,)
    if function is None or (count > 1 and function in _SWAPPED):
        return None  # something is done to its first value, or the order counts
    others = (reader.source, *(name for name in reader.operands if name != value))
    swapped = _SWAPPED.get(function, function)
    return others, (*(Combine(swapped, operand) for operand in range(len(others))), *rest)
