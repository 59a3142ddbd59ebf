"""How far float32 code may be from the float64 reference: one bound for every test of the Numba target.

Float32 rounds by at most u = 2**-24 = 6e-8 of a value. A sum of K products, taken in any order, is off by about
sqrt(K) u times the size of what is added up (Higham and Mary 2019, doi:10.1137/18M1226312), and our functions by
at most 5e-7 of their value, as `upc.runtime.vectors` states and its tests measure. So a layer whose longest sum
has K terms is allowed UNIT = 2e-6 = 34 u of its largest result, and for its inputs, whose products it adds up,
UNIT * sqrt(K) of the largest of them: the weights and the epilogue are rounded too, and a maximum is over many
results.

What becomes of such errors further on depends on the net: a subtraction keeps them while the values vanish, a
normalisation magnifies them. That is not guessed but measured: the reference runs a few times more with random
errors of the allowed size put in at every layer, and the largest change of an output is the bound for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from upc import reference
from upc.ir import Array, Graph, Node

UNIT = 2e-6
TRIALS = 4


@dataclass(frozen=True)
class Expected:
    """The float64 reference of an output and how far from it float32 code may be."""

    value: Array
    bound: float

    def ratio(self, got: Array) -> float:
        """The largest difference, as a share of the bound; infinite for wrong shapes, types and NaNs."""
        if got.shape != self.value.shape or got.dtype != np.float32 or not np.isfinite(got).all():
            return float("inf")
        largest = np.abs(got - self.value).max(initial=0.0)
        return float(largest / self.bound) if self.bound else (float("inf") if largest else 0.0)


def expect(graph: Graph, weights: Mapping[str, Array], inputs: Sequence[Array], seed: int = 0) -> list[Expected]:
    """What a net's outputs should be, in their order."""
    exact = [np.asarray(x, np.float64) for x in inputs]
    outputs = list(reference.run(graph, weights, exact).values())
    changes = [0.0] * len(outputs)
    for trial in range(TRIALS):
        shaken = _run_shaken(graph, weights, exact, np.random.default_rng([seed, trial]))
        for i, (value, other) in enumerate(zip(outputs, shaken, strict=True)):
            changes[i] = max(changes[i], float(np.abs(value - other).max(initial=0.0)))
    return [Expected(value, change) for value, change in zip(outputs, changes, strict=True)]


def _run_shaken(
    graph: Graph, weights: Mapping[str, Array], inputs: Sequence[Array], rng: np.random.Generator
) -> list[Array]:
    """The outputs with an error of the allowed size at every layer."""
    values = {value.name: array for value, array in zip(graph.inputs, inputs, strict=True)}
    for node in graph.nodes:
        terms = longest_sum(node, [values[v.name] for v in node.inputs])
        given = [_shaken(values[v.name], terms, rng) for v in node.inputs]
        own = {w.name: np.asarray(weights[f"{node.path}.{w.name}"], np.float64) for w in node.weights}
        for value, result in zip(node.outputs, node.layer.forward(given, own), strict=True):
            values[value.name] = _shaken(result, 1, rng)
    return [values[output.value.name] for output in graph.outputs]


def _shaken(array: Array, terms: int, rng: np.random.Generator) -> Array:
    size = UNIT * terms**0.5 * np.abs(array).max(initial=0.0)
    return array + rng.uniform(-size, size, array.shape)


def longest_sum(node: Node, inputs: Sequence[Array]) -> int:
    """The terms of the longest sum that the layer takes."""
    kernels = [w.shape for w in node.weights if w.name == "kernel"]
    if kernels:
        # Transposed kernels are (*size, results, inputs), all others (*size, inputs, results).
        transposed = "transpose" in node.layer.name
        return prod(kernels[0][:-2]) * kernels[0][-1 if transposed else -2]
    if node.layer.name.endswith("_normalization") and node.layer.name != "batch_normalization":
        return prod(inputs[0].shape[1:])
    if "global_average" in node.layer.name:
        return prod(inputs[0].shape[1:-1])
    if "pool" in node.layer.name:
        return prod(getattr(node.layer, "pool_size", (1,)))
    if node.layer.name == "softmax":
        return max(inputs[0].shape[1:])
    return 16 if node.layer.name in ("resizing", "up_sampling2d") else len(inputs)
