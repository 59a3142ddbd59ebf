"""How far float32 code may be from the float64 reference, for every test of the Numba target: `upc.check.bound`'s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from upc.check.problem import problem
from upc.ir import Array, Graph


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


def expect(graph: Graph, weights: Mapping[str, Array], inputs: Sequence[Array]) -> list[Expected]:
    """What a net's outputs should be, in their order."""
    posed = problem(graph, weights, inputs)
    return [Expected(posed.values[o.name], posed.bounds[o.name].limit) for o in graph.outputs]
