"""Why a target differs: known mistakes are made on purpose in the reference; the one that gives the same is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from upc.check.compare import difference
from upc.check.mistakes import Forward, Mistake, mistakes
from upc.check.problem import Problem
from upc.ir import Array, Graph, Node

_SMALL = 2_000_000
"""Elements of all values together; of a larger problem only the first of the batch is looked at."""

_TIE = 4.0
"""Of mistakes that leave about as little unexplained the first in the table is named: it is the more specific."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A mistake that explains a difference: `left` is what it leaves unexplained, as a share of the bound."""

    name: str
    detail: str
    nodes: tuple[Node, ...]
    left: float

    def __str__(self) -> str:
        first = self.nodes[0]
        where = f"{first.path} ({first.span})"
        if len(self.nodes) > 1:
            where = f"all of {', '.join(node.path for node in self.nodes)} (from {first.span})"
        return f"{self.name}: {self.detail} in {where} explains the difference"


@dataclass(frozen=True, slots=True)
class _Trial:
    """A mistake in one layer, or the same one in all layers where it can be made."""

    mistake: Mistake
    changed: Mapping[str, Forward]
    nodes: tuple[Node, ...]


def explain(problems: Sequence[Problem], outputs: Sequence[Sequence[Array]]) -> Cause | None:
    """The known mistake that explains what a target gave for each of some problems of one net; None where none does.

    It explains them if the target gave what the reference gives with the mistake made, within the bound, at every
    size: at those too where the target is right, so that a mistake would show there.
    """
    views = [_View.of(posed, arrays) for posed, arrays in zip(problems, outputs, strict=True)]
    graph = problems[0].graph
    best: list[Cause] = []
    for trial in _trials(graph, problems[0].weights):
        left = 0.0
        for view in views:
            left = max(left, view.left_by(trial))
            if not left <= 1:
                break
        else:
            best.append(Cause(trial.mistake.name, trial.mistake.detail, trial.nodes, left))
    if not best:
        return None
    least = min(cause.left for cause in best)
    return next(cause for cause in best if cause.left <= _TIE * max(least, 0.02))


@dataclass(frozen=True, slots=True)
class _View:
    """A problem, and what a target gave: all of the batch, or of a large one the first."""

    posed: Problem
    values: Mapping[str, Array]
    given: Sequence[Array]

    @classmethod
    def of(cls, posed: Problem, outputs: Sequence[Array]) -> _View:
        keep = slice(None) if sum(v.size for v in posed.values.values()) <= _SMALL else slice(0, 1)
        values = {name: array[keep] for name, array in posed.values.items()}
        return cls(posed, values, [array[keep] for array in outputs])

    def left_by(self, trial: _Trial) -> float:
        """What a mistake leaves unexplained, as a share of the bound; infinite where it cannot be made."""
        graph, bounds = self.posed.graph, self.posed.bounds
        results = rerun(graph, self.posed.weights, self.values, trial.changed)
        if results is None:
            return np.inf
        return max(
            difference(result, array).max_abs / max(bounds[output.name].limit, np.finfo(float).tiny)
            for output, result, array in zip(graph.outputs, results, self.given, strict=True)
        )


def _trials(graph: Graph, weights: Mapping[str, Array]) -> Iterator[_Trial]:
    """Every mistake in every layer; then those that can be made in several layers, in all of them at once."""
    everywhere: dict[Mistake, dict[str, Forward]] = {}
    by_path = {node.path: node for node in graph.nodes}
    for node in graph.nodes:
        for mistake, forward in mistakes(graph, node, weights):
            yield _Trial(mistake, {node.path: forward}, (node,))
            everywhere.setdefault(mistake, {})[node.path] = forward
    for mistake, changed in everywhere.items():
        if len(changed) > 1:
            yield _Trial(mistake, changed, tuple(by_path[path] for path in changed))


def rerun(
    graph: Graph, weights: Mapping[str, Array], values: Mapping[str, Array], changed: Mapping[str, Forward]
) -> list[Array] | None:
    """The outputs when some layers compute something else; None where their results no longer fit what follows.

    Only what depends on them is computed again; `values` holds the rest.
    """
    fresh: dict[str, Array] = {}
    for node in graph.nodes:
        forward = changed.get(node.path)
        if forward is None and not any(value.name in fresh for value in node.inputs):
            continue
        own = {w.name: np.asarray(weights[f"{node.path}.{w.name}"], np.float64) for w in node.weights}
        inputs = [fresh.get(value.name, values.get(value.name)) for value in node.inputs]
        try:
            with np.errstate(all="ignore"):
                results = (forward or node.layer.forward)([x for x in inputs if x is not None], own)
        except (ValueError, IndexError):
            return None
        fresh.update(zip((value.name for value in node.outputs), results, strict=True))
    return [fresh.get(o.value.name, values[o.value.name]) for o in graph.outputs]
