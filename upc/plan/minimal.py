"""Which convolutions take the way of minimal filtering: fewer multiplications, more memory moved, some bits lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

from upc.plan.plan import Algorithm, Size
from upc.runtime.steps import Convolution, Entries, Filtering

POINTS = (4, 6, 8)  # on each axis, at which patches are evaluated
LEAST_CHANNELS, LEAST_PIXELS = 32, 4
MOST_TAPS = 5
INEXACT = {(2, 7), (3, 6)}  # taps and patch: measured 1.3e-5 and 1.02e-5 of the output off, which is "fast" alone
MOST_KERNEL_BYTES = 256 << 20  # of a kernel's values, which "fast" alone may pass

# Measured on one core of a Zen 4, of which the ratios matter.
MULTIPLY_ADDS_PER_SECOND = 50e9  # in large convolutions
FLOATS_PER_SECOND = 3e9  # of scratch made, with the sums that takes, written and read again
FLOATS_OF_KERNEL_PER_SECOND = 4e9  # read once for a call
TYPICAL_PIXELS = 128  # for a size that is free


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a convolution whose target pixels `p`, `p + step`, ... are phase p.

    Every phase sees equally many taps, source pixels side by side: `entries[p]` says which kernel entries each
    meets, added up. The first patch starts `before` pixels in front of the source. Of a patch's results a phase
    takes the first `skips[p]` to belong to the patch before. `pixels` are the results to cover, those included.
    """

    before: int
    skips: tuple[int, ...]
    entries: Entries
    pixels: int

    @property
    def taps(self) -> int:
        return len(self.entries[0])

    @property
    def phases(self) -> int:
        return len(self.entries)


@dataclass(frozen=True, slots=True)
class Way:
    """How a convolution is filtered: patches of so many pixels each way, and how many of them there are."""

    patch: int
    axes: tuple[Axis, Axis]

    @property
    def taps(self) -> int:
        return self.axes[0].taps

    @property
    def points(self) -> int:
        """Of both axes together."""
        return (self.patch + self.taps - 1) ** 2

    @property
    def phases(self) -> int:
        return self.axes[0].phases * self.axes[1].phases

    @property
    def patches(self) -> int:
        """Of one image."""
        return prod(-(-axis.pixels // self.patch) for axis in self.axes)


def filtered(step: Convolution, sizes: Mapping[str, Size], algorithm: Algorithm, batch: int) -> Convolution | Filtering:
    """The step that does the work of one by minimal filtering, or that step itself."""
    height, width = (size if isinstance(size, int) else TYPICAL_PIXELS for size in sizes[step.target][:2])
    way = _choose(step, (height, width), algorithm, batch)
    if way is None:
        return step
    rows, columns = way.axes
    return Filtering(
        *(step.name, step.line, step.source, step.target),
        layout="conv_transpose" if step.layout == "conv_transpose" else "conv",
        inputs=step.inputs,
        outputs=step.outputs,
        weights=step.weights,
        patch=way.patch,
        rows=rows.entries,
        columns=columns.entries,
        before=(rows.before, columns.before),
        skips=(rows.skips, columns.skips),
        images=batch,
        then=step.then,
        operands=step.operands,
    )


def _choose(step: Convolution, target: tuple[int, int], algorithm: Algorithm, batch: int) -> Way | None:
    """The cheapest way, if there is one and the algorithm allows it."""
    if algorithm == "exact" or not _fits(step, target):
        return None
    rows, columns = (_axis(step, axis, target[axis]) for axis in (0, 1))
    if rows is None or columns is None or rows.taps != columns.taps:
        return None
    ways = [Way(points - rows.taps + 1, (rows, columns)) for points in POINTS if rows.taps < points]
    inputs, outputs = step.inputs, step.outputs
    ways = [way for way in ways if algorithm == "fast" or _allowed(way, inputs, outputs)]
    if not ways:
        return None
    best = min(ways, key=lambda way: _seconds(way, inputs, outputs, batch))
    if algorithm == "fast":
        return best
    kernel, taps = inputs * outputs, prod(_taps_met(axis) for axis in best.axes) / best.phases
    direct = batch * prod(target) * taps * kernel / MULTIPLY_ADDS_PER_SECOND
    direct += prod(step.kernel) * kernel / FLOATS_OF_KERNEL_PER_SECOND
    return best if _seconds(best, inputs, outputs, batch) < direct else None


def _allowed(way: Way, inputs: int, outputs: int) -> bool:
    """Whether a way is exact enough, and its kernel small enough, to be taken without being asked for."""
    kernel_bytes = 4 * way.points * way.phases * inputs * outputs
    return (way.taps, way.patch) not in INEXACT and kernel_bytes <= MOST_KERNEL_BYTES


def _seconds(way: Way, inputs: int, outputs: int, batch: int) -> float:
    """About how long one core takes."""
    kernel, patches = way.points * way.phases * inputs * outputs, batch * way.patches
    moved = patches * way.points * (inputs + way.phases * outputs)
    return (
        patches * kernel / MULTIPLY_ADDS_PER_SECOND + moved / FLOATS_PER_SECOND + kernel / FLOATS_OF_KERNEL_PER_SECOND
    )


def _taps_met(axis: Axis) -> int:
    """Taps of all phases that meet any kernel entry."""
    return sum(bool(entries) for phase in axis.entries for entries in phase)


def _fits(step: Convolution, target: tuple[int, int]) -> bool:
    """Whether it is a convolution of the kind, of enough channels and pixels."""
    return (
        step.layout in ("conv", "conv_transpose")
        and step.shuffle is None
        and step.groups == 1
        and step.dilation == (1, 1)
        and (step.form == "transposed" or step.strides == (1, 1))
        and min(step.inputs, step.outputs) >= LEAST_CHANNELS
        and min(target) >= LEAST_PIXELS
    )


def _axis(step: Convolution, axis: int, target: int) -> Axis | None:
    """One axis of the convolution; None where filtering saves nothing."""
    kernel, form, padding = step.kernel[axis], step.form, step.padding
    before = (kernel - 1) // 2 if isinstance(padding, str) else padding[axis][0]
    pace = step.strides[axis] if form == "transposed" else step.size[axis]
    seen: list[dict[int, list[int]]] = [defaultdict(list) for _ in range(pace)]
    for phase, k in product(range(pace), range(kernel)):
        if form == "transposed":
            tap, rest = divmod(phase + before - k, pace)
        else:
            tap, rest = (phase + k - before) // pace, 0
        if rest == 0:
            seen[phase][tap].append(k)
    if not all(seen):
        return None
    first, taps = min(min(taps) for taps in seen), max(max(taps) - min(taps) + 1 for taps in seen)
    if not 2 <= taps <= MOST_TAPS:
        return None
    # A phase of fewer taps than others begins where they do if it can, so that the same patches serve both.
    starts = [max(first, max(taps_of) - taps + 1) for taps_of in seen]
    entries = tuple(
        tuple(tuple(taps_of.get(start + i, ())) for i in range(taps))
        for start, taps_of in zip(starts, seen, strict=True)
    )
    skips = tuple(start - first for start in starts)
    pixels = max(-(-(target - phase) // pace) + skip for phase, skip in enumerate(skips))
    return Axis(-first, skips, entries, pixels)
