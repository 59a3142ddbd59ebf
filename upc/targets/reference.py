"""The reference as a target: it only runs, in NumPy, and can do all that a card can mean."""

from __future__ import annotations

from collections.abc import Mapping

from upc.ir import Array, Graph
from upc.memory import Holding
from upc.targets.target import Engine, Order, Runner, Target, run_loaded


def load(graph: Graph, weights: Mapping[str, Array], order: Order) -> Runner:
    """Runs the cards' own words, in the inputs' precision."""
    from upc import reference

    return lambda inputs: tuple(reference.run(graph, weights, inputs).values())


TARGET = Target(
    "reference",
    load,
    engines=(Engine("reference", run_loaded(load)),),
    # It adds up in float64.
    holding=Holding(of_inputs=4.0, of_results=6.0, copies=1),
)
