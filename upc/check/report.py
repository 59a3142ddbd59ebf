"""A check in words: a table of every pair, then what was left out, what failed and why something differs."""

from __future__ import annotations

from collections.abc import Iterator

from upc.check import Check, Comparison
from upc.check.bound import FACTOR
from upc.check.problem import Problem
from upc.shape import show


def table(found: Check) -> str:
    """What `upc check` prints."""
    return "\n".join(_lines(found))


def _lines(found: Check) -> Iterator[str]:
    graph = found.problem.graph
    for posed in found.problems:
        those = tuple(comparison for comparison in found.comparisons if comparison.sizes == posed.sizes)
        if posed is not found.problem and all(comparison.ok for comparison in those):
            continue
        inputs = ", ".join(f"{v.name} {show(x.shape)}" for v, x in zip(graph.inputs, posed.inputs, strict=True))
        yield f"{graph.name}: {inputs}"
        yield ""
        yield from _columns(those, many=len(graph.outputs) > 1)
        yield ""
        yield from _bounds(posed)
    yield from _other_sizes(found)
    if found.left_out:
        yield f"left out: {', '.join(f'{target} (no {module})' for target, module in found.left_out.items())}"
    for target, failure in found.unsupported.items():
        yield f"left out: {target} ({failure.message})"
    for target, failure in found.failures.items():
        yield f"{target} gave no result: {failure.message}"
    for target, parting in found.partings.items():
        yield f"{target} {parting}"
    for target, cause in found.causes.items():
        yield f"{target}: {cause}"
    yield "all agree" if found.ok else _verdict(found)


def _bounds(posed: Problem) -> Iterator[str]:
    for output in posed.graph.outputs:
        bound = posed.bounds[output.name]
        yield (
            f"bound of {output.name}: {bound.limit:.2e} from the reference, twice that between targets "
            f"({FACTOR}u * sqrt(terms) at every layer, {bound.terms} terms along the longest way)"
        )


def _other_sizes(found: Check) -> Iterator[str]:
    """The sizes of which there is no table, because all agree there; those of the first are in its table."""
    apart = [comparison.sizes for comparison in found.comparisons if not comparison.ok]
    rest = [posed.sizes for posed in found.problems[1:] if posed.sizes not in apart]
    if rest and found.comparisons:
        listed = "; ".join(", ".join(f"{name}={size}" for name, size in sizes.items()) for sizes in rest)
        yield f"also run at {listed}: none differs"


def _verdict(found: Check) -> str:
    apart = sum(not comparison.ok for comparison in found.comparisons)
    if apart:
        unexplained = "" if found.causes else "; no known mistake explains it"
        return f"{apart} of {len(found.comparisons)} comparisons differ by more than they may{unexplained}"
    return "nothing was compared" if not found.comparisons else "some targets gave no result"


def _columns(comparisons: tuple[Comparison, ...], many: bool) -> Iterator[str]:
    rows = [("pair", "output", "max |Δ|", "relative", "ULP", "")]
    for c in comparisons:
        d = c.difference
        verdict = "" if c.ok else "differs"
        if d.shapes is not None:
            verdict = f"shapes {show(d.shapes[0])} and {show(d.shapes[1])}"
        ulp = str(d.ulp) if d.ulp < 10**7 else f"{d.ulp:.1e}"
        rows.append((f"{c.a} - {c.b}", c.output, f"{d.max_abs:.2e}", f"{d.max_rel:.2e}", ulp, verdict))
    if not many:
        rows = [(row[0], *row[2:]) for row in rows]  # type: ignore[misc]
    left = 2 if many else 1
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if i < left or i == len(row) - 1 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
