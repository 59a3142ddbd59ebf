"""Let convolutions read through what only moves values in front of them, so that it is never made.

Needs: steps as lowered, without epilogues on those that move values. Does: zeros around become the convolution's own
padding; a nearest enlargement becomes its phases; a picture laid out as numbers for dense layers is read as it is.
Does not: anything where a single reader cannot, for then the value is made all the same.
"""

from __future__ import annotations

from dataclasses import replace

from upc.plan.plan import Plan
from upc.runtime.steps import Convolution, Gather, Pad, Repeat, Reshape, Step


def reach_through(plan: Plan) -> Plan:
    """The plan with as few moves as its convolutions can do without."""
    steps: list[Step | None] = list(plan.steps)
    hosts, readers = plan.hosts(), plan.readers()
    for number, step in enumerate(plan.steps):
        after = readers[step.target]
        if not after or step.target in hosts or step.target in plan.places or step.then:
            continue
        through = [_through(step, plan.steps[reader], plan) for reader in after]
        if all(through):
            steps[number] = None
            for reader, made in zip(after, through, strict=True):
                steps[reader] = made
    return plan.with_steps(step for step in steps if step is not None)


def _through(step: Step, reader: Step, plan: Plan) -> Convolution | None:
    """The reader as one that reads what the step does, or None where it cannot."""
    if not isinstance(reader, Convolution) or reader.form != "convolution":
        return None
    if isinstance(step, Gather) and reader.layout == "conv":
        move = step.move
        if isinstance(move, Repeat) and reader.strides == (1, 1):
            return replace(reader, form="upsampled", size=move.size, source=step.source)
        if isinstance(move, Pad) and move.mode == "zero" and not isinstance(reader.padding, str):
            (top, bottom), (left, right) = reader.padding
            (above, below), (before, after) = move.rim
            padding = ((top + above, bottom + below), (left + before, right + after))
            return replace(reader, padding=padding, source=step.source)
    if isinstance(step, Reshape) and reader.layout == "gather" and reader.kernel == (1, 1):
        rows, columns, channels = plan.sizes[step.source]
        one_pixel = plan.sizes[step.target][:2] == (1, 1)
        if one_pixel and isinstance(rows, int) and isinstance(columns, int) and isinstance(channels, int):
            return replace(reader, kernel=(rows, columns), inputs=channels, source=step.source)
    return None
