"""Where two targets part: the first inner value of a net in which a target differs from the reference.

A target is asked for inner values by giving it a net that returns them, which needs no hooks and works for
every target. A fault that shows only in the whole net (two layers joined into one) is found by cutting the
net short, one layer further each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from upc.check.compare import Difference, difference
from upc.check.engines import Failure, Job, Worker
from upc.check.problem import Problem
from upc.ir import Array, Graph, Node, Output, Value


@dataclass(frozen=True, slots=True)
class Parting:
    """The first layer, in the net's order, whose result differs from the reference by more than it may."""

    node: Node
    value: str
    difference: Difference
    limit: float

    def __str__(self) -> str:
        return (
            f"first parts at {self.node.path} ({self.node.span}): "
            f"|Δ| {self.difference.max_abs:.3g}, may be {self.limit:.3g}"
        )


def first_parting(posed: Problem, target: str, text: str | None = None) -> Parting | None:
    """The first layer in which a target parts from the reference; None where no inner value shows it.

    A source given as text cannot be made to return inner values.
    """
    if text is not None or target == "reference":
        return None
    graph = posed.graph
    made = [value for node in graph.nodes for value in node.outputs]
    with Worker(target) as worker:
        whole = _run(worker, posed, returning(graph, made))
        if whole is not None:
            for value, array in zip(made, whole, strict=True):
                if (found := _compare(posed, value, array)) is not None:
                    return found
        return _by_cutting(worker, posed)


def returning(graph: Graph, values: Sequence[Value]) -> Graph:
    """The graph with other outputs: some of its values, with no node that none of them needs."""
    wanted = set(values)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if wanted.intersection(node.outputs):
            kept.append(node)
            wanted.update(node.inputs)
    # Names as an emitter can use them, and no two alike.
    outputs = tuple(Output(f"value_{i}", value) for i, value in enumerate(values))
    paths = {node.path for node in kept}
    demands = tuple(demand for demand in graph.demands if demand.path in paths)
    return replace(graph, nodes=tuple(reversed(kept)), outputs=outputs, demands=demands, values_named=())


def _run(worker: Worker, posed: Problem, graph: Graph) -> tuple[Array, ...] | None:
    keys = {key for key, _, _ in graph.weights()}
    weights = {key: array for key, array in posed.weights.items() if key in keys}
    result = worker.run(Job(graph, weights, posed.inputs))
    return None if isinstance(result, Failure) else result


def _by_cutting(worker: Worker, posed: Problem) -> Parting | None:
    """Ever longer beginnings of the net, by halves: a wrong value is taken to leave those after it wrong."""
    nodes = posed.graph.nodes
    low, high, found = 0, len(nodes) - 1, None
    while low <= high:
        middle = (low + high) // 2
        parting = _cut(worker, posed, nodes[middle])
        if parting is None:
            low = middle + 1
        else:
            found, high = parting, middle - 1
    return found


def _cut(worker: Worker, posed: Problem, node: Node) -> Parting | None:
    results = _run(worker, posed, returning(posed.graph, node.outputs))
    for value, array in zip(node.outputs, results or (), strict=False):
        if (found := _compare(posed, value, array)) is not None:
            return found
    return None


def _compare(posed: Problem, value: Value, array: Array) -> Parting | None:
    found, limit = difference(posed.values[value.name], array), posed.bounds[value.name].limit
    if found.max_abs <= limit:
        return None
    node = next(node for node in posed.graph.nodes if value in node.outputs)
    return Parting(node, value.name, found, limit)
