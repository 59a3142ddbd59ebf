"""Run a graph over its cards, in plain NumPy: the living definition of every network.

Non-Goals: speed. Whatever is fast is measured against this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from upc.demands import check_sizes, shape_hint
from upc.diagnostics import EXIT_USAGE, UpcError, error, nearest
from upc.ir import Array, Graph, Node
from upc.ownership import apart
from upc.shape import evaluate, show


def run(
    graph: Graph,
    weights: Mapping[str, Array],
    inputs: Mapping[str, Array] | Sequence[Array] | Array,
    inner: bool = False,
) -> dict[str, Array]:
    """The outputs of a graph by name; with `inner` every other value too, by its name in the graph.

    Inputs carry a batch axis in front. Everything is kept in their precision, float32 or float64; sums are taken in
    float64. No result shares memory with an input or with another result.
    Errors: inputs that do not fit the graph, or free sizes that it cannot work with.
    """
    arrays = _bind_inputs(graph, inputs)
    sizes = check_sizes(graph, {name: array.shape[1:] for name, array in arrays.items()})
    dtype = np.result_type(*(array.dtype for array in arrays.values()))
    uses = Counter(value.name for node in graph.nodes for value in node.inputs)
    uses.update(output.value.name for output in graph.outputs)
    values = {name: array.astype(dtype, copy=False) for name, array in arrays.items()}
    for node in graph.nodes:
        for value, result in zip(node.outputs, _apply(node, weights, values, dtype), strict=True):
            expected = tuple(evaluate(dim, sizes) for dim in value.shape)
            assert result.shape[1:] == expected, f"{value.name}: {result.shape[1:]} is not {expected}"
            values[value.name] = result
        uses.subtract(value.name for value in node.inputs)
        if not inner:
            for value in (*node.inputs, *node.outputs):
                if uses[value.name] == 0:
                    values.pop(value.name, None)
    outputs = {output.name: values[output.value.name] for output in graph.outputs}
    found = {**values, **outputs} if inner else outputs
    return dict(zip(found, apart([*found.values()], arrays.values()), strict=True))


def _apply(node: Node, weights: Mapping[str, Array], values: Mapping[str, Array], dtype: np.dtype) -> tuple[Array, ...]:
    """The results of one node."""
    own = {}
    for weight in node.weights:
        key = f"{node.path}.{weight.name}"
        if key not in weights:
            raise error("E0612", f"{key} {show(weight.shape)} is missing from the weights", node.span)
        array = np.asarray(weights[key], dtype)
        if array.shape != weight.shape:
            raise error("E0612", f"{key}: expected shape {show(weight.shape)}, got {show(array.shape)}", node.span)
        own[weight.name] = array
    return node.layer.forward([values[value.name] for value in node.inputs], own)


def _bind_inputs(graph: Graph, inputs: Mapping[str, Array] | Sequence[Array] | Array) -> dict[str, Array]:
    """Each input's array by its name, type and number of axes checked."""
    names = graph.input_names
    if isinstance(inputs, np.ndarray):
        inputs = [inputs]
    if not isinstance(inputs, Mapping):
        if len(inputs) != len(names):
            raise _usage(f"{graph.name} takes {_count(len(names))} ({', '.join(names)}), got {len(inputs)}")
        inputs = dict(zip(names, inputs, strict=True))
    for name in inputs:
        if name not in names:
            near = nearest(name, names)
            raise _usage(f"{graph.name} has no input `{name}`", f"did you mean `{near}`?" if near else None)
    arrays = {}
    for value in graph.inputs:
        if value.name not in inputs:
            raise _usage(f"{graph.name} is missing its input `{value.name}`")
        array = np.asarray(inputs[value.name])
        if array.dtype not in (np.float32, np.float64):
            raise _usage(
                f"input `{value.name}` must be float32, got {array.dtype}", "`.astype(np.float32)` converts an array"
            )
        if array.ndim != len(value.shape) + 1:
            wanted = show(("batch", *value.shape))  # type: ignore[arg-type]
            message = f"input `{value.name}` must have shape {wanted}, got {show(array.shape)}"
            raise _usage(message, shape_hint(value, array.shape))
        arrays[value.name] = array
    batches = {name: len(array) for name, array in arrays.items()}
    if len(set(batches.values())) > 1:
        listed = ", ".join(f"{name} {n}" for name, n in batches.items())
        raise _usage(f"all inputs must have the same batch size, got {listed}")
    return arrays


def _count(n: int) -> str:
    return "1 input" if n == 1 else f"{n} inputs"


def _usage(message: str, hint: str | None = None) -> UpcError:
    return error("E0620", message, hint=hint, exit_code=EXIT_USAGE)
