"""Let runs of steps take turns with as many images as suits them: between large kernels and large pictures.

Needs: the last steps and places. Does: says where a run begins and how many images it takes, where all sizes are
known. Does not: change any step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod

from upc.plan.plan import ONE_TURN, Plan, Turns
from upc.runtime.steps import Filtering, Step

CACHE_BYTES = 8 << 20  # what a step reads and writes in a turn should fit in
MOST_SHARED_BYTES = 128 << 20  # of values that wait for the next segment
MOST_IMAGES = 64
ALIKE = 2  # turns that differ by no more than this factor are made the same


def take_turns(plan: Plan) -> Plan:
    """The plan with runs of steps that want about as many images in a turn.

    A step with a large kernel wants many images to share the reading of it, one with large pictures few, so
    that they are still in a cache when the next step reads them.
    """
    return replace(plan, turns=_turns(plan, {key: prod(weight.shape) for key, weight, _ in plan.graph.weights()}))


def _turns(plan: Plan, weights: Mapping[str, int]) -> Turns:
    """Runs of steps; `weights` are the floats of each."""
    steps, sizes = plan.steps, plan.sizes
    pixels = {name: 4 * prod(n for n in size if isinstance(n, int)) for name, size in sizes.items()}
    if any(not isinstance(n, int) for size in sizes.values() for n in size):
        return ONE_TURN
    wishes = [_images(step, pixels, weights) for step in steps]
    most = max(wishes)
    while True:
        found = _runs([min(wish, most) for wish in wishes])
        starts = [first for first, _ in found]
        shared = sum(pixels[name] for name in _shared(plan, starts))
        if most == 1 or most * shared <= MOST_SHARED_BYTES:
            return found
        most //= 2


def _images(step: Step, pixels: Mapping[str, int], weights: Mapping[str, int]) -> int:
    """How many images a step wants in a turn."""
    pictures = sum(pixels[name] for name in {step.source, step.target, *step.operands})
    kernel = 4 * sum(weights[key] for key in step.own_weights)
    if isinstance(step, Filtering):
        kernel = 4 * step.points * step.inputs * step.channels
    wanted = max(CACHE_BYTES, kernel) // pictures
    return 1 << (max(1, min(MOST_IMAGES, wanted)).bit_length() - 1)


def _runs(wishes: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """(first step, most images wished) of runs in which wishes are alike."""
    found: list[tuple[int, int]] = []
    least = 0
    for number, wish in enumerate(wishes):
        if found and max(wish, found[-1][1]) <= ALIKE * min(wish, least):
            found[-1] = found[-1][0], max(wish, found[-1][1])
            least = min(wish, least)
        else:
            found.append((number, wish))
            least = wish
    return tuple(found)


def _shared(plan: Plan, starts: Sequence[int]) -> set[str]:
    """Buffers that steps of several turns touch."""
    places: dict[str, set[int]] = {}
    for number, step in enumerate(plan.steps):
        for name in (step.target, *step.reads):
            places.setdefault(plan.buffer(name), set()).add(sum(start <= number for start in starts))
    return {name for name, those in places.items() if len(those) > 1}
