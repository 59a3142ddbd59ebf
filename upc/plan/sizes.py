"""Numbers for the free sizes of a net, where something has to be tried out."""

from __future__ import annotations

from itertools import chain, islice, product

from upc.demands import fitting, holds, solve
from upc.ir import Graph
from upc.shape import names_of

_USUAL = (64, 96, 128, 72, 60, 100, 63, 65)
_TRIED = 20_000  # of all combinations, where equal sizes do not do


def allowed_sizes(graph: Graph) -> dict[str, int]:
    """Values of the free sizes that the net allows, of usual pictures if it can be."""
    free = sorted(set().union(*(names_of(value.shape) for value in graph.inputs)))
    if not free:
        return {}
    candidates = [*_USUAL, *range(1, 257)]
    alike = ((n,) * len(free) for n in candidates)
    alone = solve(graph.demands)
    near = tuple(fitting(graph.demands, free, 64).values())
    mixed = islice(product(candidates[:24], repeat=len(free)), _TRIED // len(free))
    demands = list(graph.demands)
    for sizes in chain(alike, mixed, [near]):
        bound = dict(zip(free, sizes, strict=True))
        if any(name in alone and number not in alone[name] for name, number in bound.items()):
            continue  # without looking at every demand
        unmet = next((i for i, demand in enumerate(demands) if not holds(demand, bound)), None)
        if unmet is None:
            return bound
        demands.insert(0, demands.pop(unmet))  # most likely the next sizes do not meet it, either
    return dict.fromkeys(free, 64)
