"""Let those who read a value that is another's equal read that other.

Needs: the plan as lowered. Does: removes steps that do nothing to each value (dropout). Does not: look for copies,
which move values from one buffer to another for a reason.
"""

from __future__ import annotations

from dataclasses import replace

from upc.plan.plan import Plan
from upc.runtime.steps import Pointwise


def drop_identities(plan: Plan) -> Plan:
    """The plan without steps that change nothing."""
    equal: dict[str, str] = {}
    steps = []
    for step in plan.steps:
        source = equal.get(step.source, step.source)
        operands = tuple(equal.get(name, name) for name in step.operands)
        if isinstance(step, Pointwise) and not step.then and not operands:
            equal[step.target] = source
        else:
            steps.append(replace(step, source=source, operands=operands))
    places = {name: replace(p, buffer=equal.get(p.buffer, p.buffer)) for name, p in plan.places.items()}
    return plan.with_steps(steps, places)
