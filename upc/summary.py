"""A net as a table: shapes, weights, multiply-adds, memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any

from upc.demands import explain_demands
from upc.ir import Graph, Node, Value
from upc.shape import Dim, Shape, Size, evaluate, names_of, show

_FLOAT_BYTES = 4


def parameters(node: Node, trainable: bool | None = None) -> int:
    """How many numbers a node's weights hold; all, or those trained, or those not."""
    counts = ((w.trainable and node.trainable, prod(w.shape)) for w in node.weights)
    return sum(count for trained, count in counts if trainable in (None, trained))


def multiply_adds(graph: Graph, sizes: Mapping[str, int]) -> int:
    """Multiply-adds for one image with these free sizes: what a framework's count would be, no inserted zeros."""
    return sum(_count(node, sizes) or 0 for node in graph.nodes)


def summary(graph: Graph, sizes: Mapping[str, int] | None = None) -> str:
    """A table like Keras's. With `sizes` for the free names, the figures that depend on them are numbers."""
    sizes = sizes or {}
    branching = _branches(graph)
    header = ["Layer (kind)", "Output shape", "Params", "Multiply-adds", *(["Connected to"] if branching else [])]
    rows = [[f"{v.name} (input)", _shape(v.shape, sizes), "0", "0", *([""] if branching else [])] for v in graph.inputs]
    for node in graph.nodes:
        frozen = " frozen" if node.weights and not node.trainable else ""
        row = [
            f"{node.path} ({node.layer.name})",
            ", ".join(_shape(s, sizes) for s in node.output_shapes),
            f"{parameters(node):,}{frozen}",
            _said(_multiply_adds(node, sizes)),
        ]
        rows.append([*row, *([", ".join(v.name for v in node.inputs)] if branching else [])])
    trained = sum(parameters(node, True) for node in graph.nodes)
    total = sum(map(parameters, graph.nodes))
    lines = [f"Net: {graph.name}{_arguments(graph)}", *_table(header, rows), ""]
    lines += [f"Outputs: {', '.join(f'{o.name} {_shape(o.value.shape, sizes)}' for o in graph.outputs)}"]
    lines += [f"Parameters: {total:,} ({_bytes(total * _FLOAT_BYTES)})"]
    lines += [f"  trainable: {trained:,}", f"  frozen:    {total - trained:,}"]
    work = _sum(_multiply_adds(node, sizes) for node in graph.nodes)
    lines += [f"Multiply-adds for one image: {_said(work)}"]
    held = _activations(graph, sizes)
    memory = f"{_bytes(held[0])} at most at once, {_bytes(held[1])} in all" if held else _unknown(graph)
    lines += [f"Activations of one image (float32): {memory}"]
    lines += [f"Demands: {sentence}" for sentence in explain_demands(graph)]
    return "\n".join(lines) + "\n"


def summary_json(graph: Graph) -> dict[str, Any]:
    """The same as plain data: shapes channels-last, free sizes as text."""
    return {
        "net": graph.name,
        "inputs": [{"name": value.name, "shape": _plain(value.shape)} for value in graph.inputs],
        "outputs": [{"name": output.name, "shape": _plain(output.value.shape)} for output in graph.outputs],
        "params": sum(map(parameters, graph.nodes)),
        "trainable": sum(parameters(node, True) for node in graph.nodes),
        "layers": [
            {
                "name": node.path,
                "kind": node.layer.name,
                "shape": _plain(node.outputs[0].shape),
                "params": parameters(node),
                "macs": _plain_work(_multiply_adds(node, {})),
            }
            for node in graph.nodes
        ],
    }


def _plain(shape: Shape) -> list[int | str]:
    return [dim if isinstance(dim, int) else str(dim) for dim in shape]


def _plain_work(work: Work) -> int | str:
    return work.get("", 0) if work.keys() <= {""} else _said(work).replace(",", "")


def _branches(graph: Graph) -> bool:
    """Whether some layer works on anything but the result of the one before it."""
    before: Value | None = graph.inputs[-1] if len(graph.inputs) == 1 else None
    for node in graph.nodes:
        if node.inputs != (before,):
            return True
        before = node.outputs[0] if len(node.outputs) == 1 else None
    return False


def _known(shape: Shape, sizes: Mapping[str, int]) -> tuple[int, ...] | None:
    """A shape in numbers, where all its free names have values."""
    dims = [evaluate(d, sizes) if isinstance(d, Size) and d.names() <= sizes.keys() else d for d in shape]
    return tuple(d for d in dims if isinstance(d, int)) if all(isinstance(d, int) for d in dims) else None


def _shape(shape: Shape, sizes: Mapping[str, int]) -> str:
    return show(_known(shape, sizes) or shape)


Work = dict[str, int]
"""Multiply-adds as a sum: how many for each product of free sizes, those of none under the empty name."""


def _multiply_adds(node: Node, sizes: Mapping[str, int]) -> Work:
    """Multiply-adds of a node for one image."""
    count = _count(node, sizes)
    if count is not None:
        return {"": count}
    # The count is a number for each pixel, of the result or (transposed layers) of the input: which, two pixels show.
    one = _count_at(node, 1, 1)
    for pixels, twice in ((node.outputs[0].shape[:-1], (1, 2)), (node.inputs[0].shape[:-1], (2, 1))):
        if one is not None and _count_at(node, *twice) == 2 * one:
            product = [_factor(evaluate(d, sizes) if names_of([d]) <= sizes.keys() else d) for d in pixels]
            return {"*".join(text for _, text in product if text): one * prod(n for n, _ in product)}
    return {"its sizes": 1}


def _count_at(node: Node, inputs: int, outputs: int) -> int | None:
    """Multiply-adds if the inputs and the outputs had so many pixels, and their own channels."""

    def cut(shapes: Iterable[Shape], pixels: int) -> list[Shape]:
        return [(pixels, *(1 for _ in shape[2:]), shape[-1]) for shape in shapes]

    count = node.layer.multiply_adds(cut(node.input_shapes, inputs), cut(node.output_shapes, outputs))
    return count if isinstance(count, int) else None


def _factor(dim: Dim) -> tuple[int, str]:
    """A dimension as a number times something in the free sizes."""
    if isinstance(dim, int):
        return dim, ""
    if len(dim.terms) == 1 and not dim.constant:
        ((atom, factor),) = dim.terms
        return factor, atom if isinstance(atom, str) else f"({atom})"
    return 1, f"({dim})"


def _count(node: Node, sizes: Mapping[str, int]) -> int | None:
    """Multiply-adds where they are a number with these sizes."""
    inputs = [_known(s, sizes) for s in node.input_shapes]
    outputs = [_known(s, sizes) for s in node.output_shapes]
    known = [s for s in (*inputs, *outputs) if s is not None]
    if len(known) < len(inputs) + len(outputs):
        count = node.layer.multiply_adds(node.input_shapes, node.output_shapes)
    else:
        count = node.layer.multiply_adds(known[: len(inputs)], known[len(inputs) :])
    return count if isinstance(count, int) else None


def _sum(work: Iterable[Work]) -> Work:
    total: Work = {}
    for terms in work:
        for product, count in terms.items():
            total[product] = total.get(product, 0) + count
    return total


def _said(work: Work) -> str:
    terms = [f"{count:,}*{product}" if product else f"{count:,}" for product, count in work.items() if count]
    return " + ".join(terms) or "0"


def _unknown(graph: Graph) -> str:
    names = sorted(frozenset().union(*(d.names() for v in graph.inputs for d in v.shape if isinstance(d, Size))))
    return f"depends on {', '.join(names)}"


def _activations(graph: Graph, sizes: Mapping[str, int]) -> tuple[int, int] | None:
    """(bytes alive at the worst moment, bytes of all values); None while a size is free.

    A value lives from the layer that makes it to the last that uses it; outputs live to the end.
    """
    values = [*graph.inputs, *(value for node in graph.nodes for value in node.outputs)]
    known = {value.name: _known(value.shape, sizes) for value in values}
    if any(shape is None for shape in known.values()):
        return None
    size = {name: prod(shape or ()) * _FLOAT_BYTES for name, shape in known.items()}
    last = {value.name: at for at, node in enumerate(graph.nodes) for value in node.inputs}
    last.update((output.value.name, len(graph.nodes)) for output in graph.outputs)
    held = peak = sum(size[value.name] for value in graph.inputs)
    held -= sum(size[value.name] for value in graph.inputs if value.name not in last)
    for at, node in enumerate(graph.nodes):
        held += sum(size[value.name] for value in node.outputs)
        peak = max(peak, held)
        over = dict.fromkeys(value.name for value in (*node.inputs, *node.outputs))
        held -= sum(size[name] for name in over if last.get(name, -1) <= at)
    return peak, sum(size.values())


def _arguments(graph: Graph) -> str:
    shown = (f"{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in graph.parameters)
    return f"({', '.join(shown)})" if graph.parameters else ""


def _bytes(count: int) -> str:
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            return f"{count} B" if unit == "B" else f"{amount:.2f} {unit}"
        amount /= 1024
    raise AssertionError("unreachable")


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    numeric = {2, 3}

    def line(row: list[str]) -> str:
        cells = (c.rjust(w) if i in numeric else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        return "  ".join(cells).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return [rule, line(header), rule, *map(line, rows), rule]
