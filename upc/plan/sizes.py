"""Numbers for the free sizes of a net, where something has to be tried out."""

from __future__ import annotations

from itertools import chain, islice, product

from upc.ir import Graph
from upc.shape import evaluate, names_of

_USUAL = (64, 96, 128, 72, 60, 100, 63, 65)
_TRIED = 20_000  # of all combinations, where equal sizes do not do


def allowed_sizes(graph: Graph) -> dict[str, int]:
    """Values of the free sizes that the net allows, of usual pictures if it can be."""
    free = sorted(set().union(*(names_of(value.shape) for value in graph.inputs)))
    if not free:
        return {}
    candidates = [*_USUAL, *range(1, 257)]
    alike = ((n,) * len(free) for n in candidates)
    for sizes in chain(alike, islice(product(candidates[:24], repeat=len(free)), _TRIED)):
        bound = dict(zip(free, sizes, strict=True))
        gaps = [(d.kind, evaluate(d.left, bound) - evaluate(d.right, bound)) for d in graph.demands]
        if all(gap == 0 if kind == "equal" else gap >= 0 for kind, gap in gaps):
            return bound
    return dict.fromkeys(free, 64)
