"""Graph -> Graph rewrites for targets that want the fastest net of the same meaning, in the order they run."""

from __future__ import annotations

from collections.abc import Callable

from upc.ir import Graph
from upc.passes.move_before_up_sampling import move_before_up_sampling
from upc.verify import InvalidGraph, verify

PASSES: tuple[Callable[[Graph], Graph], ...] = (move_before_up_sampling,)


def rewrite(graph: Graph) -> Graph:
    """The graph after every pass. Raises InvalidGraph, naming the passes so far, if one of them broke it."""
    done: list[str] = []
    for apply in PASSES:
        done.append(apply.__name__)
        try:
            graph = verify(apply(graph))
        except InvalidGraph as problem:
            raise InvalidGraph(f"after {', '.join(done)}: {problem}") from problem
    return graph
