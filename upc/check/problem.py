"""What a check is run on: sizes that the net can work with, a batch made up from a seed, weights that show faults."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from upc import reference
from upc.check.bound import Bound, bounds
from upc.demands import check_sizes, fitting
from upc.diagnostics import EXIT_USAGE, error
from upc.initializers import initialize
from upc.ir import Array, Graph
from upc.shape import evaluate
from upc.sizes import find_sizes, fits, free_names

_MOST_SIZES = 4
"""Sets of sizes that a check is run on."""

_LEAST, _MOST = 6, 40
"""Free sizes are looked for between these first, small enough for the reference; then below and above."""

_LARGEST = 1024
"""Larger sizes than this have to be asked for: the reference takes its time."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A net with weights and a batch, what the reference in float64 gives for it, and how far others may be off.

    `values` holds every value of the graph and every output by its name, and `bounds` the same names.
    """

    graph: Graph
    weights: Mapping[str, Array]
    inputs: tuple[Array, ...]
    sizes: Mapping[str, int]
    values: Mapping[str, Array]
    bounds: Mapping[str, Bound]

    @property
    def expected(self) -> tuple[Array, ...]:
        """The outputs in their order."""
        return tuple(self.values[output.name] for output in self.graph.outputs)


def pose(
    graph: Graph,
    weights: Mapping[str, Array] | None = None,
    *,
    batch: int = 2,
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
) -> Problem:
    """A problem with standard normal inputs; without weights, with made up ones.

    Errors: UpcError for sizes that the net cannot work with.
    """
    found = choose_sizes(graph, sizes or {})
    inputs = made_up_inputs(graph, found, batch, seed)
    return problem(graph, made_up_weights(graph, seed) if weights is None else weights, inputs)


def problem(graph: Graph, weights: Mapping[str, Array], inputs: Sequence[Array]) -> Problem:
    """The problem of given arrays."""
    sizes = check_sizes(graph, {v.name: x.shape[1:] for v, x in zip(graph.inputs, inputs, strict=True)})
    with np.errstate(all="ignore"):
        exact = reference.run(graph, weights, [x.astype(np.float64) for x in inputs], inner=True)
        limits = bounds(graph, weights, sizes, exact)
    return Problem(graph, weights, tuple(inputs), sizes, exact, limits)


def made_up_inputs(graph: Graph, sizes: Mapping[str, int], batch: int, seed: int) -> tuple[Array, ...]:
    """A standard normal batch for every input, one after another from one RandomState."""
    random = np.random.RandomState(seed)
    shapes = [tuple(evaluate(dim, sizes) for dim in value.shape) for value in graph.inputs]
    return tuple(random.standard_normal((batch, *shape)).astype(np.float32) for shape in shapes)


def made_up_weights(graph: Graph, seed: int) -> dict[str, Array]:
    """First weights, but none of them constant: biases of 0 and statistics of 0 and 1 would hide faults."""
    weights = initialize(graph, seed)
    random = np.random.default_rng(seed)
    for key, weight, _ in graph.weights():
        drawn = random.standard_normal(weight.shape).astype(np.float32)
        if weight.name == "moving_variance":
            weights[key] = (0.5 + np.abs(drawn)).astype(np.float32)
        elif weight.initializer == "ones":
            weights[key] = (1 + 0.2 * drawn).astype(np.float32)
        elif weight.initializer == "zeros":
            weights[key] = (0.2 * drawn).astype(np.float32)
    return weights


def choose_sizes(graph: Graph, given: Mapping[str, int]) -> dict[str, int]:
    """A number for every free size: as given, else small ones that the net can work with, no two alike.

    Errors: UpcError for names that are not the net's, or where no such numbers are found, or only large ones.
    """
    names = free_names(graph)
    for name in given:
        if name not in names:
            has = f"its free sizes are {', '.join(names)}" if names else "it has no free sizes"
            raise error("E0620", f"{graph.name} has no free size {name}", hint=has, exit_code=EXIT_USAGE)
    open_names = [name for name in names if name not in given]
    found = find_sizes(graph, _candidates(len(open_names)), _LEAST, given)
    if found is None and open_names and not given:
        raise error(
            "E0620",
            f"no sizes that {graph.name} can work with were found for {', '.join(open_names)}",
            hint=f"say them: --size {open_names[0]}=64",
            exit_code=EXIT_USAGE,
        )
    # Where what is given does not fit whatever the others are, that is what is to be said.
    sizes = {**given, **fitting(graph.demands, open_names, _LEAST)} if found is None else found
    check_sizes(graph, {v.name: tuple(evaluate(dim, sizes) for dim in v.shape) for v in graph.inputs})
    if any(sizes[name] > _LARGEST for name in open_names):
        chosen = ",".join(f"{name}={sizes[name]}" for name in open_names)
        raise error(
            "E0620",
            f"no sizes up to {_LARGEST:,} that {graph.name} can work with were found for {', '.join(open_names)}",
            hint=f"say them, if so large ones are meant: --size {chosen}",
            exit_code=EXIT_USAGE,
        )
    return sizes


def several_sizes(graph: Graph, given: Mapping[str, int]) -> list[dict[str, int]]:
    """Numbers for the free sizes to run a net on: those of `choose_sizes`, the smallest that it can work with, and
    those in between with one free size at its smallest. What is `given` stays.

    Where a picture is smaller than a window, a stride or a tile, some of the work has nothing to do; faults of such
    work show at no other sizes.
    """
    first = choose_sizes(graph, given)
    names = [name for name in first if name not in given]
    smallest = _smallest(graph, first, names)
    mixed = [{**first, name: smallest[name]} for name in names]
    found = [first]
    for sizes in (smallest, *(sizes for sizes in mixed if fits(graph, sizes))):
        if sizes not in found and len(found) < _MOST_SIZES:
            found.append(sizes)
    return found


def _smallest(graph: Graph, fitting: Mapping[str, int], names: Sequence[str]) -> dict[str, int]:
    """Sizes that fit of which none can be smaller alone: from equal ones, or from those that are known to fit."""
    alike = ({**fitting, **dict.fromkeys(names, n)} for n in range(1, max(fitting.values(), default=0)))
    found = next((sizes for sizes in alike if fits(graph, sizes)), dict(fitting))
    for name in names:
        lower = ({**found, name: n} for n in range(1, found[name]))
        found = next((sizes for sizes in lower if fits(graph, sizes)), found)
    return found


def _candidates(count: int) -> Iterator[tuple[int, ...]]:
    """Tuples of numbers to try: different ones first, then equal ones, then larger multiples of powers of two."""
    if count == 0:
        yield ()
        return
    ladder = [*range(_LEAST, _MOST + 1), 48, 64, 96, 128, 192, 256, 512, *range(1, _LEAST)]
    if count <= 2:
        yield from sorted(itertools.product(ladder, repeat=count), key=_preference)
        return
    for start in ladder:
        yield tuple(start + 2 * i for i in range(count))
    for start in ladder:
        yield tuple(start * (i + 1) for i in range(count))
    for start in ladder:
        yield (start,) * count


def _preference(numbers: tuple[int, ...]) -> tuple[bool, bool, int]:
    """Not tiny, different, small."""
    return min(numbers) < _LEAST, len(set(numbers)) < len(numbers), sum(numbers)
