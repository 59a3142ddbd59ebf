"""Run one net on every target with the same weights and inputs, and compare them all.

Non-Goals: speed (see `bench`), and training: what is compared is what a net computes at inference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from upc.check.causes import Cause, explain
from upc.check.compare import Difference, difference
from upc.check.engines import Failure, Job, Result, choose, run_all
from upc.check.inner import Parting, first_parting
from upc.check.problem import Problem, pose, problem, several_sizes
from upc.diagnostics import EXIT_MISMATCH, EXIT_OK
from upc.ir import Array, Graph

__all__ = ["Check", "Comparison", "check", "check_results", "explain", "pose", "problem"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two targets on one output, where free sizes had these numbers. `limit` is what they may differ by."""

    a: str
    b: str
    output: str
    difference: Difference
    limit: float
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.difference.max_abs <= self.limit


@dataclass(frozen=True, slots=True)
class Check:
    """What a check found.

    `problems` are one net's at each of the sizes it was run on. `failures` are targets that gave no result at some
    size, `unsupported` those that have no words for a layer, `left_out` those that are not installed (with the module
    they lack), `causes` and `partings` stand by the target that is wrong.
    """

    problems: tuple[Problem, ...]
    targets: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    failures: Mapping[str, Failure]
    unsupported: Mapping[str, Failure]
    left_out: Mapping[str, str]
    causes: Mapping[str, Cause]
    partings: Mapping[str, Parting]

    @property
    def problem(self) -> Problem:
        """The first, at the sizes that were chosen or given."""
        return self.problems[0]

    @property
    def ok(self) -> bool:
        """Whether at least two results were compared, all agree, and no target failed but for want of words."""
        ran = bool(self.comparisons)
        return ran and not self.failures and all(comparison.ok for comparison in self.comparisons)

    @property
    def exit_code(self) -> int:
        return EXIT_OK if self.ok else EXIT_MISMATCH

    def pairs(self) -> list[dict[str, object]]:
        """For every pair the worst of its outputs and sizes, as `--json` gives it."""
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

    Without `weights`, made up ones. `sizes` gives free sizes numbers; those that have none are tried at several, the
    smallest that the net can work with among them. With `layers`, the first value in which a wrong target parts from
    the reference is looked for. `texts` has targets run other source than would be emitted.
    Errors: UpcError for targets that are unknown or not installed, and for sizes that do not fit.
    """
    chosen, left_out = choose(targets)
    if len(chosen) == 1 and chosen[0] != "reference":
        chosen = ("reference", *chosen)
    texts = texts or {}

    def run(those: Sequence[Problem], on: Sequence[str]) -> list[dict[str, Result]]:
        return run_all({t: [Job(graph, p.weights, p.inputs, texts.get(t)) for p in those] for t in on})

    def posed(tried: Sequence[Mapping[str, int]]) -> list[Problem]:
        return [pose(graph, weights, batch=batch, seed=seed, sizes=numbers) for numbers in tried]

    tried = several_sizes(graph, sizes or {})
    problems = posed(tried)
    results = run(problems, [target for target in chosen if target != "reference"])
    # A cause must hold at other sizes too, which are not compared where only some were asked for.
    suspects = {target for p, found in zip(problems, results, strict=True) for target in wrong(p, _arrays(found))}
    more = (
        posed([numbers for numbers in several_sizes(graph, {}) if numbers not in tried]) if suspects and sizes else []
    )
    witnesses = list(zip(more, run(more, sorted(suspects)), strict=True)) if more else []
    return check_results(problems, chosen, results, left_out, layers=layers, texts=texts, witnesses=witnesses)


def check_results(
    problems: Sequence[Problem],
    targets: Sequence[str],
    results: Sequence[Mapping[str, Result]],
    left_out: Mapping[str, str] | None = None,
    *,
    layers: bool = False,
    texts: Mapping[str, str] | None = None,
    witnesses: Sequence[tuple[Problem, Mapping[str, Result]]] = (),
) -> Check:
    """Compare what targets gave for each problem; the reference's own results are the problems'.

    `witnesses` are further problems with results: a cause must explain these too.
    """
    failures: dict[str, Failure] = {}
    comparisons: list[Comparison] = []
    causes: dict[str, Cause] = {}
    partings: dict[str, Parting] = {}
    suspects: dict[str, Problem] = {}
    for posed, found in zip(problems, results, strict=True):
        outputs = {"reference": posed.expected} if "reference" in targets else {}
        outputs |= _arrays(found)
        for target in targets:
            result = found.get(target)
            if isinstance(result, Failure):
                failures.setdefault(target, result)
        comparisons += _compared(posed, {target: outputs[target] for target in targets if target in outputs})
        for target in wrong(posed, outputs):
            suspects.setdefault(target, posed)
    everything = [*zip(problems, results, strict=True), *witnesses]
    for target, posed in suspects.items():
        ran = [(p, given) for p, found in everything if (given := _arrays(found).get(target)) is not None]
        if (cause := explain([p for p, _ in ran], [given for _, given in ran])) is not None:
            causes[target] = cause
        if layers and (parting := first_parting(posed, target, (texts or {}).get(target))) is not None:
            partings[target] = parting
    failed = {target: failure for target, failure in failures.items() if not failure.unsupported}
    unsupported = {target: failure for target, failure in failures.items() if failure.unsupported}
    return Check(
        tuple(problems), tuple(targets), tuple(comparisons), failed, unsupported, left_out or {}, causes, partings
    )


def _arrays(results: Mapping[str, Result]) -> dict[str, tuple[Array, ...]]:
    """The results of the targets that gave any."""
    return {target: result for target, result in results.items() if not isinstance(result, Failure)}


def _compared(posed: Problem, outputs: Mapping[str, Sequence[Array]]) -> Iterator[Comparison]:
    """Every two targets on every output, the reference first."""
    for a, b in combinations(sorted(outputs, key=lambda target: target != "reference"), 2):
        for output, x, y in zip(posed.graph.outputs, outputs[a], outputs[b], strict=True):
            limit = posed.bounds[output.name].limit * (1 + (a != "reference"))
            yield Comparison(a, b, output.name, difference(x, y), limit, posed.sizes)


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
