"""What must always hold of a Graph, whoever made it: checked after the build and after every pass."""

from __future__ import annotations

from collections.abc import Mapping

from upc.demands import holds_always
from upc.ir import Graph, LayerError, Node, Value
from upc.shape import show


class InvalidGraph(Exception):
    """A graph that no net can have: a fault of the program that made it, not of a user's source."""


def verify(graph: Graph) -> Graph:
    """Return the graph; raise InvalidGraph with everything that does not hold."""
    problems: list[str] = []
    made: dict[str, Value] = {}
    for value in graph.inputs:
        if value.name in made:
            problems.append(f"two values are called {value.name}")
        made[value.name] = value
    paths: set[str] = set()
    for node in graph.nodes:
        if node.path in paths:
            problems.append(f"two nodes are called {node.path}")
        paths.add(node.path)
        for value in node.inputs:
            if value.name not in made:
                problems.append(f"{node.path} uses {value.name} before it is made")
            elif made[value.name] != value:
                known = made[value.name]
                problems.append(f"{node.path} sees {value.name} as {show(value.shape)}, it is {show(known.shape)}")
        problems += _card_problems(node)
        for value in node.outputs:
            if value.name in made:
                problems.append(f"two values are called {value.name}")
            made[value.name] = value
    problems += _output_problems(graph, made)
    if problems:
        raise InvalidGraph(f"{graph.name}: " + "; ".join(problems))
    return graph


def _card_problems(node: Node) -> list[str]:
    """Whether the node says what its card says."""
    least, most = node.layer.arity
    count = len(node.inputs)
    if count < least or (most is not None and count > most):
        return [f"{node.path} has {count} inputs"]
    try:
        shapes = node.layer.output_shapes(node.input_shapes)
        weights = node.layer.weights(node.input_shapes)
    except LayerError as e:
        return [f"{node.path}: {e.message}"]
    problems = []
    if shapes != node.output_shapes:
        expected, got = (", ".join(map(show, s)) for s in (shapes, node.output_shapes))
        problems.append(f"{node.path} gives {got}, its card {expected}")
    if weights != node.weights:
        problems.append(f"{node.path} has weights {node.weights}, its card {weights}")
    return problems


def _output_problems(graph: Graph, made: Mapping[str, Value]) -> list[str]:
    problems = []
    if not graph.outputs:
        problems.append("there is no output")
    names = [output.name for output in graph.outputs]
    problems += [f"two outputs are called {name}" for name in dict.fromkeys(names) if names.count(name) > 1]
    for output in graph.outputs:
        if made.get(output.value.name) != output.value:
            problems.append(f"output {output.name} returns {output.value.name}, which is not made")
    needed = {output.value.name for output in graph.outputs}
    for node in reversed(graph.nodes):
        if not any(value.name in needed for value in node.outputs):
            problems.append(f"nothing uses {node.path}")
        needed.update(value.name for value in node.inputs)
    paths = {node.path for node in graph.nodes}
    for demand in graph.demands:
        if demand.path not in paths:
            problems.append(f"a demand is made by {demand.path}, which is not there")
        if holds_always(demand):
            problems.append(f"a demand of {demand.path} asks nothing")
    return problems
