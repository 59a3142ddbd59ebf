"""Graph -> Plan, node by node as the table of lowerings says: every value made by itself, nothing saved.

Needs: a verified Graph. Does: one lowering a node; a copy of each input from the caller's array and of each output
to it. Does not: fuse, share memory or choose between algorithms, which the passes do.
"""

from __future__ import annotations

from upc.gaps import CannotSay, Unsupported, unsupported
from upc.ir import Graph, Node
from upc.plan.lowered import Lowered
from upc.plan.lowerings import LOWERINGS
from upc.plan.plan import Algorithm, Place, Plan, Size, picture, resolved
from upc.runtime.steps import Gather, Step


def lower(graph: Graph, algorithm: Algorithm = "auto", batch: int = 1) -> Plan:
    """The plan of a graph before any pass. Raises UpcError where Numba cannot do a layer."""
    steps: list[Step] = []
    sizes: dict[str, Size] = {}
    places: dict[str, Place] = {}
    lines: dict[str, int] = {}
    for value in graph.inputs:
        sizes[f"input {value.name}"] = sizes[value.name] = picture(value.shape)
        steps.append(Gather(value.name, graph.span.line, f"input {value.name}", value.name))
    for node in graph.nodes:
        lowered = lower_node(node)
        steps += lowered.steps
        sizes |= {value.name: picture(value.shape) for value in node.outputs}
        sizes |= lowered.sizes
        places |= lowered.places
        lines |= {value.name: node.span.line for value in node.outputs}
    for output in graph.outputs:
        name, made = f"output {output.name}", output.value
        sizes[name] = picture(made.shape)
        steps.append(Gather(name, lines.get(made.name, graph.span.line), made.name, name))
    return Plan(graph, tuple(steps), sizes, resolved(places), algorithm=algorithm, batch=batch)


def lower_node(node: Node) -> Lowered:
    """What a node comes down to. Raises UpcError where there is nothing."""
    lowering = LOWERINGS[type(node.layer)]
    if isinstance(lowering, Unsupported):
        raise unsupported("numba", node, lowering.reason)
    try:
        made = lowering(node.layer, node)
    except CannotSay as problem:
        raise unsupported("numba", node, str(problem)) from None
    return made if isinstance(made, Lowered) else Lowered((made,))
