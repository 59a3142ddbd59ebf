"""Which steps take turns together, and with how many images: between large kernels and large pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from upc.plan.steps import Size, Step

Segments = tuple[tuple[int, int | None], ...]
"""(first step, images of a turn); None where that follows from sizes that are free."""

CACHE_BYTES = 8 << 20  # what a step reads and writes in a turn should fit in
MOST_SHARED_BYTES = 128 << 20  # of values that wait for the next segment
MOST_IMAGES = 64
ALIKE = 2  # turns that differ by no more than this factor are made the same


def segments(
    steps: Sequence[Step], sizes: Mapping[str, Size], buffers: Mapping[str, str], weights: Mapping[str, int]
) -> Segments:
    """Runs of steps that want about as many images in a turn.

    `buffers` are those of values that lie in another's, `weights` the floats of each weight.

    A step with a large kernel wants many images to share the reading of it, one with large pictures few, so
    that they are still in a cache when the next step reads them.
    """
    pixels = {name: 4 * prod(n for n in size if isinstance(n, int)) for name, size in sizes.items()}
    if any(not isinstance(n, int) for size in sizes.values() for n in size):
        return ((0, None),)
    wishes = [_images(step, pixels, weights) for step in steps]
    most = max(wishes)
    while True:
        found = _runs([min(wish, most) for wish in wishes])
        starts = [first for first, _ in found]
        shared = sum(pixels[name] for name in _shared(steps, starts, buffers))
        if most == 1 or most * shared <= MOST_SHARED_BYTES:
            return found
        most //= 2


def _images(step: Step, pixels: Mapping[str, int], weights: Mapping[str, int]) -> int:
    """How many images a step wants in a turn."""
    pictures = sum(pixels[name] for name in {step.source, step.target, *step.operands})
    kernel = 4 * sum(weights[key] for key in dict(step.settings).get("weights", ()) if key is not None)
    if step.kind == "Filtering":
        rows, columns, patch = step.setting("rows"), step.setting("columns"), step.setting("patch")
        points = (patch + len(rows[0]) - 1) ** 2
        kernel = 4 * points * len(rows) * len(columns) * step.setting("inputs") * step.setting("outputs")
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


def _shared(steps: Sequence[Step], starts: Sequence[int], buffers: Mapping[str, str]) -> set[str]:
    """Buffers that steps of several segments touch."""
    places: dict[str, set[int]] = {}
    for number, step in enumerate(steps):
        for name in (step.target, *step.reads):
            places.setdefault(buffers.get(name, name), set()).add(sum(start <= number for start in starts))
    return {name for name, those in places.items() if len(those) > 1}
