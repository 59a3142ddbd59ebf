"""Let values that are joined along their channels be made where they will stand.

Needs: a copy of every part, as a concatenation is lowered; epilogues are fused, so that values have their last names.
Does: gives the value that is copied the place of the copy. Does not: move a value that has a place already, one that
is itself joined of parts, or rows and columns, around which their readers want zeros.
"""

from __future__ import annotations

from upc.plan.plan import Place, Plan, is_external, resolved
from upc.runtime.steps import Step


def join_in_place(plan: Plan) -> Plan:
    """The plan without the copies that need not be."""
    places: dict[str, Place] = dict(plan.places)
    written = {plan.buffer(step.target) for step in plan.steps if step.target in places}
    steps: list[Step] = []
    for step in plan.steps:
        place = places.get(step.target)
        bound = step.source in places or step.source in written or is_external(step.source)
        if place is None or not plan.is_copy(step) or bound:
            steps.append(step)
        elif plan.sizes[step.source][:2] == plan.sizes[place.buffer][:2]:
            del places[step.target]
            places[step.source] = place
        else:
            steps.append(step)
    return plan.with_steps(steps, resolved(places))
