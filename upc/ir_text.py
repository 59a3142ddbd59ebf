"""A graph as text, a line a node: what `upc compile --emit ir` prints."""

from __future__ import annotations

from dataclasses import MISSING

from upc.ir import Graph, Layer, Node
from upc.shape import show


def show_graph(graph: Graph) -> str:
    """Every value with its shape, every node with what is not its default, its weights and its place."""
    parameters = ", ".join(f"{name}={_literal(value)}" for name, value in graph.parameters)
    lines = [f"net {graph.name}({parameters})" if parameters else f"net {graph.name}"]
    lines += [f"  input {value.name} {show(value.shape)}" for value in graph.inputs]
    lines += [f"  {_node(node)}" for node in graph.nodes]
    lines += [f"  output {output.name} = {output.value.name} {show(output.value.shape)}" for output in graph.outputs]
    for demand in graph.demands:
        sign = "==" if demand.kind == "equal" else ">="
        lines.append(f"  demand {demand.left} {sign} {demand.right}  # {demand.path}, {demand.span}")
    return "\n".join(lines) + "\n"


def _node(node: Node) -> str:
    made = ", ".join(f"{value.name} {show(value.shape)}" for value in node.outputs)
    operands = ", ".join((*(value.name for value in node.inputs), *_arguments(node.layer)))
    weights = ", ".join(f"{w.name} {show(w.shape)}" for w in node.weights)
    frozen = "" if node.trainable else " frozen"
    owned = f"  {{{weights}{frozen}}}" if weights else ""
    return f"{made} = {node.layer.name}({operands}){owned}  # {node.span}"


def _arguments(layer: Layer) -> list[str]:
    """The arguments that have no default or another value than it."""
    shown = []
    for argument in type(layer).arguments():
        value, default = getattr(layer, argument.name), argument.default
        if default is MISSING or value != argument.metadata["convert"](default, layer.rank):
            shown.append(f"{argument.name}={_literal(value)}")
    return shown


def _literal(value: object) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(_literal, value))}]" if isinstance(value, tuple) else str(value)
