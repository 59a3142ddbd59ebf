"""Run one net on every target with the same weights and inputs, and compare them all.

Non-Goals: speed (see `bench`), and training: what is compared is what a net computes at inference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from upc.check.causes import Cause, explain
from upc.check.compare import Difference, difference
from upc.check.engines import Failure, Job, Result, choose, run_all
from upc.check.inner import Parting, first_parting
from upc.check.problem import Problem, pose, problem
from upc.diagnostics import EXIT_MISMATCH, EXIT_OK
from upc.ir import Array, Graph

__all__ = ["Check", "Comparison", "check", "check_results", "explain", "pose", "problem"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two targets on one output. `limit` is what they may differ by."""

    a: str
    b: str
    output: str
    difference: Difference
    limit: float

    @property
    def ok(self) -> bool:
        return self.difference.max_abs <= self.limit


@dataclass(frozen=True, slots=True)
class Check:
    """What a check found.

    `failures` are targets that gave no result, `left_out` those that are not installed (with the module
    they lack), `causes` and `partings` stand by the target that is wrong.
    """

    problem: Problem
    targets: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    failures: Mapping[str, Failure]
    left_out: Mapping[str, str]
    causes: Mapping[str, Cause]
    partings: Mapping[str, Parting]

    @property
    def ok(self) -> bool:
        """Whether at least two results were compared, all agree, and no target failed but for want of words."""
        ran = bool(self.comparisons)
        return ran and not self.failures and all(comparison.ok for comparison in self.comparisons)

    @property
    def exit_code(self) -> int:
        return EXIT_OK if self.ok else EXIT_MISMATCH

    def pairs(self) -> list[dict[str, object]]:
        """For every pair the worst of its outputs, as `--json` gives it."""
        found: dict[tuple[str, str], list[Difference]] = {}
        for comparison in self.comparisons:
            found.setdefault((comparison.a, comparison.b), []).append(comparison.difference)
        return [
            {
                "a": a,
                "b": b,
                "max_abs": max(d.max_abs for d in differences),
                "max_rel": max(d.max_rel for d in differences),
                "ulp": max(d.ulp for d in differences),
            }
            for (a, b), differences in found.items()
        ]


def check(
    graph: Graph,
    weights: Mapping[str, Array] | None = None,
    *,
    targets: Sequence[str] | None = None,
    batch: int = 2,
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
    layers: bool = False,
    texts: Mapping[str, str] | None = None,
) -> Check:
    """Compare targets (all that are installed, if not said) on a batch made up from a seed.

    Without `weights`, made up ones. `sizes` gives the free sizes numbers. With `layers`, the first value
    in which a wrong target parts from the reference is looked for. `texts` has targets run other source
    than would be emitted.
    Errors: UpcError for targets that are unknown or not installed, and for sizes that do not fit.
    """
    chosen, left_out = choose(targets)
    if len(chosen) == 1 and chosen[0] != "reference":
        chosen = ("reference", *chosen)
    posed = pose(graph, weights, batch=batch, seed=seed, sizes=sizes)
    texts = texts or {}
    jobs = {t: Job(graph, posed.weights, posed.inputs, texts.get(t)) for t in chosen if t != "reference"}
    return check_results(posed, chosen, run_all(jobs, jobs), left_out, layers=layers, texts=texts)


def check_results(
    posed: Problem,
    targets: Sequence[str],
    results: Mapping[str, Result],
    left_out: Mapping[str, str] | None = None,
    *,
    layers: bool = False,
    texts: Mapping[str, str] | None = None,
) -> Check:
    """Compare what targets gave; the reference's own result is the problem's."""
    outputs: dict[str, tuple[Array, ...]] = {}
    failures: dict[str, Failure] = {}
    for target in targets:
        result = posed.expected if target == "reference" else results[target]
        if isinstance(result, Failure):
            failures[target] = result
        else:
            outputs[target] = result
    comparisons = tuple(
        Comparison(a, b, output.name, difference(x, y), posed.bounds[output.name].limit * (1 + (a != "reference")))
        for a, b in combinations(sorted(outputs, key=lambda target: target != "reference"), 2)
        for output, x, y in zip(posed.graph.outputs, outputs[a], outputs[b], strict=True)
    )
    causes: dict[str, Cause] = {}
    partings: dict[str, Parting] = {}
    for target in wrong(posed, outputs):
        if (cause := explain(posed, outputs[target])) is not None:
            causes[target] = cause
        if layers and (parting := first_parting(posed, target, (texts or {}).get(target))) is not None:
            partings[target] = parting
    return Check(posed, tuple(targets), comparisons, failures, left_out or {}, causes, partings)


def wrong(posed: Problem, outputs: Mapping[str, Sequence[Array]]) -> list[str]:
    """The targets that lie further from the reference than they may."""
    return [
        target
        for target, arrays in outputs.items()
        if any(
            difference(posed.values[output.name], array).max_abs > posed.bounds[output.name].limit
            for output, array in zip(posed.graph.outputs, arrays, strict=True)
        )
    ]
