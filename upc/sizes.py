"""The search for numbers that the free sizes of a net may have together. What is preferred, its callers say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from upc.demands import fitting, holds, solve
from upc.ir import Graph
from upc.shape import names_of


def free_names(graph: Graph) -> list[str]:
    """The names of a net's free sizes, in the order in which tuples of numbers are tried."""
    return sorted(frozenset[str]().union(*(names_of(value.shape) for value in graph.inputs)))


def fits(graph: Graph, sizes: Mapping[str, int]) -> bool:
    """Whether a net can work with such sizes, each 1 or more."""
    return all(holds(demand, sizes) for demand in graph.demands)


def find_sizes(
    graph: Graph, preferred: Iterable[Sequence[int]], start: int, given: Mapping[str, int] | None = None
) -> dict[str, int] | None:
    """The first of some tuples of numbers that fits, one number for every free size that is not `given`.

    Where none does, numbers from `start` up that are worked out from what is asked of each name alone, or one of these
    for all names. None where those do not fit either.
    """
    given = given or {}
    names = [name for name in free_names(graph) if name not in given]
    alone = solve(graph.demands)
    demands = list(graph.demands)
    for numbers in chain(preferred, _worked_out(graph, names, start)):
        sizes = {**given, **dict(zip(names, numbers, strict=True))}
        if any(name in alone and number not in alone[name] for name, number in sizes.items()):
            continue  # without looking at every demand
        unmet = next((i for i, demand in enumerate(demands) if not holds(demand, sizes)), None)
        if unmet is None:
            return sizes
        demands.insert(0, demands.pop(unmet))  # most likely the next numbers do not meet it, either
    return None


def _worked_out(graph: Graph, names: Sequence[str], start: int) -> Iterable[tuple[int, ...]]:
    numbers = tuple(fitting(graph.demands, names, start).values())
    yield numbers
    for number in sorted(set(numbers)):
        yield (number,) * len(names)
