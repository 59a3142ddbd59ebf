"""Let convolutions take the way of minimal filtering where it pays, and tell all how many images to expect.

Needs: convolutions with their epilogues and the sizes of their targets. Does: as `Plan.algorithm` allows. Does not:
change what is read or made.
"""

from __future__ import annotations

from dataclasses import replace

from upc.plan.minimal import filtered
from upc.plan.plan import Plan
from upc.runtime.steps import Convolution, Step


def choose_algorithms(plan: Plan) -> Plan:
    """The plan with an algorithm for every convolution."""
    return plan.with_steps(_chosen(step, plan) for step in plan.steps)


def _chosen(step: Step, plan: Plan) -> Step:
    if not isinstance(step, Convolution):
        return step
    made = filtered(step, plan.sizes, plan.algorithm, plan.batch)
    return replace(made, images=plan.batch)
