"""Let the last steps write to the caller's arrays.

Needs: values have their last names and places. Does: makes an output where the caller wants it, if nothing else reads
it and it lies in no other buffer. Does not: let a copy of an input go from one of the caller's arrays to the other.
"""

from __future__ import annotations

from dataclasses import replace

from upc.plan.plan import Plan, is_external
from upc.runtime.steps import Step


def place_outputs(plan: Plan) -> Plan:
    """The plan without copies to outputs that can be made there at once."""
    steps: list[Step | None] = list(plan.steps)
    hosts, readers = plan.hosts(), plan.readers()
    makers = {step.target: number for number, step in enumerate(plan.steps)}
    for number, step in enumerate(plan.steps):
        name = step.source
        if not plan.is_copy(step) or not step.target.startswith("output ") or is_external(name):
            continue
        if name in plan.places or name in hosts:
            continue
        made = plan.steps[makers[name]]
        if len(readers[name]) == 1 and not is_external(made.source):
            steps[makers[name]], steps[number] = replace(made, target=step.target), None
    return plan.with_steps(step for step in steps if step is not None)
