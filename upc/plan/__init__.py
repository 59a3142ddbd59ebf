"""Graph -> Plan, for Numba: which kernels make a network, and where its values lie.

`lower` makes every node's steps by themselves; then each pass runs once, in the order of `PASSES`, and what must
hold of a plan is checked after each.
"""

from __future__ import annotations

from collections.abc import Callable

from upc.demands import holds
from upc.ir import Graph
from upc.plan.lower import lower
from upc.plan.passes.choose_algorithms import choose_algorithms
from upc.plan.passes.drop_identities import drop_identities
from upc.plan.passes.fuse_epilogues import fuse_epilogues
from upc.plan.passes.join_in_place import join_in_place
from upc.plan.passes.place_outputs import place_outputs
from upc.plan.passes.reach_through import reach_through
from upc.plan.passes.take_turns import take_turns
from upc.plan.plan import Algorithm, Plan
from upc.plan.sizes import allowed_sizes
from upc.plan.verify import InvalidPlan, verify_plan

PASSES: tuple[Callable[[Plan], Plan], ...] = (
    drop_identities,
    reach_through,
    fuse_epilogues,
    join_in_place,
    place_outputs,
    choose_algorithms,
    take_turns,
)

_LONG = 500
"""Steps from which on a plan is verified when it is made and when it is done, not after each pass."""


def make_plan(graph: Graph, algorithm: Algorithm = "auto", batch: int = 1) -> Plan:
    """The plan of a graph for calls of so many images. Raises UpcError where Numba cannot do a layer.

    Raises InvalidPlan, naming what was done so far, if a pass broke the plan: a fault of upc's own.
    """
    free, done = allowed_sizes(graph), [lower.__name__]
    plan = lower(graph, algorithm, batch)
    # Numbers that the net does not take show nothing, and of a very long plan the last look has to do.
    told = all(holds(demand, free) for demand in graph.demands)
    if told:
        verify_plan(plan, free)
    for apply in PASSES:
        done.append(apply.__name__)
        try:
            plan = apply(plan)
            if told and (len(plan.steps) <= _LONG or apply is PASSES[-1]):
                verify_plan(plan, free)
        except InvalidPlan as problem:
            raise InvalidPlan(f"after {', '.join(done)}: {problem}") from problem
    return plan
