"""Numbers for the free sizes of a net, where a plan has to be tried out."""

from __future__ import annotations

from itertools import chain, islice, product

from upc.ir import Graph
from upc.sizes import find_sizes, free_names

_USUAL = (64, 96, 128, 72, 60, 100, 63, 65)
_TRIED = 20_000  # of all combinations, where equal sizes do not do


def allowed_sizes(graph: Graph) -> dict[str, int]:
    """Values of the free sizes that the net allows, of usual pictures if it can be."""
    count = len(names := free_names(graph))
    if not count:
        return {}
    candidates = [*_USUAL, *range(1, 257)]
    alike = ((n,) * count for n in candidates)
    mixed = islice(product(candidates[:24], repeat=count), _TRIED // count)
    return find_sizes(graph, chain(alike, mixed), 64) or dict.fromkeys(names, 64)
