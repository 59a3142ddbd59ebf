"""What must always hold of a Plan, whoever made it: checked after the lowering and after every pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import prod

import numpy as np

from upc.ir import Array
from upc.plan.epilogues import takes
from upc.plan.joining import MOST_OPERANDS
from upc.plan.plan import Plan, Size, is_external
from upc.runtime.steps import (
    FUNCTION_NUMBERS,
    Apply,
    Combine,
    Convolution,
    Cut,
    Depthwise,
    Filtering,
    Gather,
    GlobalPool,
    Move,
    Normalize,
    Pad,
    Permute,
    Pointwise,
    Pool,
    Repeat,
    RepeatChannels,
    Reshape,
    Resize,
    Shuffle,
    Softmax,
    Step,
    Unshuffle,
)
from upc.shape import evaluate, show

Numbers = tuple[int, int, int]
"""Rows, columns and channels, or the first or last of them."""

Box = tuple[Numbers, Numbers]
"""First row, column and channel, and the first ones beyond."""


class InvalidPlan(Exception):
    """A plan that no network can have: a fault of the program that made it, not of a user's source."""


def verify_plan(plan: Plan, free: Mapping[str, int]) -> Plan:
    """Return the plan; raise InvalidPlan with everything that does not hold, at these numbers for the free sizes."""
    problems = list(_unknown(plan))
    if not problems:  # else sizes and places cannot be looked at
        for rule in (_ports, _places, _memory, _weights, _turns):
            problems += rule(plan, free)
        for step in plan.steps:
            problems += [f"step {step.name} {problem}" for problem in _step_problems(step, plan, free)]
    if problems:
        raise InvalidPlan(f"{plan.graph.name}: " + "; ".join(problems))
    return plan


def _unknown(plan: Plan) -> Iterator[str]:
    """Every value that is mentioned has a size, and every size is of one that is."""
    mentioned = {name for step in plan.steps for name in (step.target, *step.reads)}
    mentioned |= set(plan.places) | plan.hosts()
    yield from (f"nothing says how large {name} is" for name in sorted(mentioned - set(plan.sizes)))
    yield from (f"nothing mentions {name}" for name in sorted(set(plan.sizes) - mentioned))
    made = [step.target for step in plan.steps]
    yield from (f"two steps make {name}" for name, times in Counter(made).items() if times > 1)


def _ports(plan: Plan, free: Mapping[str, int]) -> Iterator[str]:
    """The caller's arrays are the network's inputs, which are only read, and its outputs, which are only made."""
    inputs = {f"input {value.name}" for value in plan.graph.inputs}
    outputs = {f"output {output.name}" for output in plan.graph.outputs}
    made, read = {s.target for s in plan.steps}, {name for s in plan.steps for name in s.reads}
    yield from (f"nothing makes {name}" for name in sorted(outputs - made))
    yield from (f"a step makes {name}" for name in sorted(name for name in made - outputs if is_external(name)))
    yield from (f"a step reads {name}" for name in sorted(name for name in read - inputs if is_external(name)))
    operands = {name for step in plan.steps for name in step.operands if is_external(name)}
    yield from (f"{name} is an operand, which must lie in the network's memory" for name in sorted(operands))


def _places(plan: Plan, free: Mapping[str, int]) -> Iterator[str]:
    """What lies in a buffer lies inside it, and a buffer lies in no other."""
    for name, place in plan.places.items():
        if place.buffer in plan.places or is_external(place.buffer) or is_external(name):
            yield f"{name} lies in {place.buffer}, which is no buffer"
            continue
        first, beyond = _box(plan, name, free)
        limits = _numbers(plan.sizes[place.buffer], free)
        if min(first) < 0 or any(end > limit for end, limit in zip(beyond, limits, strict=True)):
            yield f"{name} reaches out of {place.buffer}"


def _memory(plan: Plan, free: Mapping[str, int]) -> Iterator[str]:
    """No float of a buffer is made twice, so none is lost while it is needed; all are made before they are read."""
    targets: dict[str, list[str]] = {}
    for step in plan.steps:
        targets.setdefault(plan.buffer(step.target), []).append(step.target)
    boxes = {buffer: np.array([_box(plan, name, free) for name in names]) for buffer, names in targets.items()}
    done = dict.fromkeys(targets, 0)
    for step in plan.steps:
        for name in step.reads:
            if not is_external(name) and not (targets.get(name) == [name] and done[name]):  # as most are
                buffer, box = plan.buffer(name), _box(plan, name, free)
                if buffer not in done or _shared(boxes[buffer][: done[buffer]], box).sum() < _volume(box):
                    yield f"step {step.name} reads {name} before it is made"
        buffer = plan.buffer(step.target)
        count = done[buffer]
        for other in np.flatnonzero(_shared(boxes[buffer][:count], boxes[buffer][count])) if count else ():
            yield f"{step.target} is made where {targets[buffer][other]} lies"
        done[buffer] = count + 1


def _box(plan: Plan, name: str, free: Mapping[str, int]) -> Box:
    """Where a value lies in its buffer."""
    first = _numbers(plan.places[name].start, free) if name in plan.places else (0, 0, 0)
    (row, column, channel), (rows, columns, channels) = first, _numbers(plan.sizes[name], free)
    return first, (row + rows, column + columns, channel + channels)


def _volume(box: Box) -> int:
    return prod(end - start for start, end in zip(*box, strict=True))


def _shared(boxes: Array, box: Box | Array) -> Array:
    """How many floats each of the boxes shares with one."""
    sides = np.minimum(boxes[:, 1], np.asarray(box[1])) - np.maximum(boxes[:, 0], np.asarray(box[0]))
    shared: Array = np.prod(np.maximum(sides, 0), axis=1)
    return shared


def _weights(plan: Plan, free: Mapping[str, int]) -> Iterator[str]:
    """Every weight that is read is there, and every one that is there is read."""
    there = {key for key, _, _ in plan.graph.weights()}
    read = {key: step.name for step in plan.steps for key in step.weight_keys}
    yield from (f"step {name} reads {key}, which is no weight" for key, name in read.items() if key not in there)
    yield from (f"no step reads {key}" for key in sorted(there - set(read)))


def _turns(plan: Plan, free: Mapping[str, int]) -> Iterator[str]:
    """Turns begin with the first step, and each after the one before."""
    firsts = [first for first, _ in plan.turns]
    if firsts[:1] != [0] or firsts != sorted(set(firsts)) or firsts[-1] >= len(plan.steps):
        yield f"turns begin at the steps {show(tuple(firsts))} of {len(plan.steps)}"
    if any(images is not None and images < 1 for _, images in plan.turns):
        yield "a turn of no images"


def _step_problems(step: Step, plan: Plan, free: Mapping[str, int]) -> Iterator[str]:
    """What a step's kernel cannot do."""
    before = replace(step, then=()) if step.then else step
    for operation in step.then:
        if not takes(before, operation):
            yield f"cannot do {operation} there"
        if isinstance(operation, Apply) and FUNCTION_NUMBERS.get(operation.function) != len(operation.numbers):
            yield f"has no {operation.function} of {len(operation.numbers)} numbers"
        before = replace(before, then=(*before.then, operation))
    merged = {operation.operand for operation in step.then if isinstance(operation, Combine)}
    if merged != set(range(len(step.operands))) or len(merged) > MOST_OPERANDS:
        yield f"merges {sorted(merged)} of {len(step.operands)} operands"
    source, target = (_numbers(plan.sizes[name], free) for name in (step.source, step.target))
    repeats = isinstance(step, Pointwise)
    for name in step.reads if repeats else step.operands:
        size = _numbers(plan.sizes[name], free)
        axes = enumerate(zip(size, target, strict=True))
        if not all(own == made or (repeats and own == 1 and axis < 2) for axis, (own, made) in axes):
            yield f"joins {name} {show(size)} to {show(target)}"
    if not _fits(step, source, target):
        yield f"makes {show(target)} of {show(source)}"


def _numbers(size: Size, free: Mapping[str, int]) -> Numbers:
    rows, columns, channels = (evaluate(dim, free) for dim in size)
    return rows, columns, channels


def _fits(step: Step, source: Numbers, target: Numbers) -> bool:
    """Whether a step of its kind can make a value of that size of one of this."""
    match step:
        case Convolution(inputs=inputs, outputs=outputs, enlargement=factor):
            return (source[2], target[2]) == (inputs, outputs // factor**2)
        case Filtering(inputs=inputs, outputs=outputs):
            return (source[2], target[2]) == (inputs, outputs)
        case Gather(move=move):
            return _moves(move, source, target)
        case Reshape():
            return prod(source) == prod(target)
        case GlobalPool():
            return target == (1, 1, source[2])
        case Normalize() | Softmax():
            return target == source
        case Depthwise() | Pool() | Resize():
            return target[2] == source[2]
    return True


def _moves(move: Move, source: Numbers, target: Numbers) -> bool:
    """Whether values of that size moved so are of this."""
    rows, columns, channels = source
    match move:
        case Pad(((above, below), (before, after))):
            return target == (rows + above + below, columns + before + after, channels)
        case Cut(starts, steps):
            last = (start + (kept - 1) * step for start, kept, step in zip(starts, target, steps, strict=True))
            return all(0 <= end < size for end, size in zip(last, source, strict=True))
        case Repeat((down, across)):
            return target == (rows * down, columns * across, channels)
        case RepeatChannels(times):
            return target == (rows, columns, channels * times)
        case Shuffle(factor):
            return target == (rows * factor, columns * factor, channels // factor**2)
        case Unshuffle(factor):
            return target == (rows // factor, columns // factor, channels * factor**2)
        case Permute(axes):
            return target == tuple(source[axis] for axis in axes)
