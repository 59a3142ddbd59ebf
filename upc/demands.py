"""What a net demands of its free sizes: worked out by trying remainders, said in sentences, held against numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import lcm

from upc.diagnostics import EXIT_USAGE, Diagnostic, UpcError
from upc.ir import Demand, Graph
from upc.shape import Dim, Quotient, Size, evaluate, show

_LONGEST_PERIOD = 1 << 12
"""Remainders tried; a demand that repeats after more is quoted as it stands."""


@dataclass(frozen=True, slots=True)
class Solution:
    """The numbers a free size may be: those from `least` up that leave one of `remainders` when divided by
    `period`, and `single` ones besides."""

    period: int
    remainders: frozenset[int]
    single: frozenset[int]
    least: int = 1

    def __contains__(self, number: int) -> bool:
        return number in self.single or (number >= self.least and number % self.period in self.remainders)

    def __bool__(self) -> bool:
        return bool(self.remainders or self.single)

    def around(self, number: int) -> tuple[int, ...]:
        """The nearest allowed numbers below and above."""
        reach = max(self.period, self.least) + 1
        below = next((n for n in range(number - 1, max(0, number - reach), -1) if n in self), None)
        above = next((n for n in range(number + 1, number + 2 * reach) if n in self), None)
        return tuple(n for n in (below, above) if n is not None) or tuple(sorted(self.single))


def depth(dim: Dim) -> int:
    """How many divisions stand inside each other."""
    if isinstance(dim, int):
        return 0
    return max((1 + depth(atom.numerator) for atom, _ in dim.terms if isinstance(atom, Quotient)), default=0)


def never_equal(left: Dim, right: Dim) -> bool:
    """Whether two sizes are known to differ whatever their free names are."""
    gap = left - right
    if isinstance(gap, int):
        return gap != 0
    if len(gap.names()) != 1 or _period(gap) > _LONGEST_PERIOD:
        return False
    return not _solve_equal(gap)


def holds_always(demand: Demand) -> bool:
    """Whether a demand asks nothing: equal sizes, or a least size that every positive number reaches."""
    gap = demand.left - demand.right
    if isinstance(gap, int):
        return gap == 0 if demand.kind == "equal" else gap >= 0
    # Sizes grow with their names where every factor is positive: the smallest is found at 1.
    growing = all(factor > 0 for _, factor in gap.terms)
    return demand.kind == "at_least" and growing and evaluate(gap, dict.fromkeys(gap.names(), 1)) >= 0


def solve(demands: Iterable[Demand]) -> dict[str, Solution]:
    """By free name, what the demands that mention no other name leave it."""
    return {name: _solve(tuple(group)) for name, group in _by_name(demands)[0].items()}


def explain_demands(graph: Graph) -> list[str]:
    """A sentence for each thing the net demands of its free sizes.

    "H must be a multiple of 4: concatenate at line 14 joins 2*(H/2) and H"
    """
    single, shared = _by_name(graph.demands)
    sentences: list[str] = []
    for name, demands in single.items():
        sentences += _sentences(name, demands)
    for demand in shared:
        relation = "equal" if demand.kind == "equal" else "be at least"
        sentences.append(f"{demand.left} must {relation} {demand.right}: {_where(demand)}")
    return sentences


def check_sizes(graph: Graph, shapes: Mapping[str, Sequence[int]] | Sequence[Sequence[int]]) -> dict[str, int]:
    """The free sizes' values when the inputs have these shapes (channels-last, batch left out).

    `shapes` are by input name, or in the inputs' order. Raises UpcError where they do not fit.
    """
    if not isinstance(shapes, Mapping):
        if len(shapes) != len(graph.inputs):
            raise _misfit(f"{graph.name} takes {len(graph.inputs)} inputs, got {len(shapes)}")
        shapes = dict(zip(graph.input_names, shapes, strict=True))
    if set(shapes) != set(graph.input_names):
        listed = ", ".join(graph.input_names)
        raise _misfit(f"{graph.name} takes the inputs {listed}, got {', '.join(shapes) or 'none'}")
    sizes: dict[str, int] = {}
    for value in graph.inputs:
        given = tuple(int(n) for n in shapes[value.name])
        message = f"input `{value.name}`: expected shape {show(value.shape)}, got {show(given)}"
        if len(given) != len(value.shape):
            raise _misfit(message, "the batch is not part of it" if len(given) == len(value.shape) + 1 else None)
        for dim, number in zip(value.shape, given, strict=True):
            if number < 1 or (isinstance(dim, int) and dim != number):
                raise _misfit(message)
            if isinstance(dim, Size):
                name = str(dim)
                if sizes.setdefault(name, number) != number:
                    raise _misfit(message, f"{name} is {sizes[name]} elsewhere")
    problems = [d for d in graph.demands if not _holds(d, sizes)]
    if problems:
        raise UpcError([_unmet(graph, d, sizes) for d in problems[:3]], EXIT_USAGE)
    return sizes


def _unmet(graph: Graph, demand: Demand, sizes: Mapping[str, int]) -> Diagnostic:
    names = sorted(_names(demand))
    given = ", ".join(f"{name} = {sizes[name]}" for name in names)
    left, right = evaluate(demand.left, sizes), evaluate(demand.right, sizes)
    relation = "would have to equal" if demand.kind == "equal" else "would have to be at least"
    message = f"{given} does not fit {graph.name}: at {demand.path}, {demand.left} = {left} {relation} "
    message += f"{demand.right} = {right}" if isinstance(demand.right, Size) else f"{right}"
    hint = None
    if len(names) == 1:
        near = solve(graph.demands)[names[0]].around(sizes[names[0]])
        if near:
            hint = f"{names[0]} = {' or '.join(map(str, near))} fits: pad or crop the input"
    return Diagnostic("E0403", message, demand.span, hint)


def _misfit(message: str, hint: str | None = None) -> UpcError:
    return UpcError(Diagnostic("E0403", message, hint=hint), EXIT_USAGE)


def _names(demand: Demand) -> frozenset[str]:
    return frozenset().union(*(d.names() for d in (demand.left, demand.right) if isinstance(d, Size)))


def _holds(demand: Demand, sizes: Mapping[str, int]) -> bool:
    gap = evaluate(demand.left, sizes) - evaluate(demand.right, sizes)
    return gap == 0 if demand.kind == "equal" else gap >= 0


def _by_name(demands: Iterable[Demand]) -> tuple[dict[str, list[Demand]], list[Demand]]:
    """The demands on a single name, by name, and those on several."""
    single: dict[str, list[Demand]] = {}
    shared: list[Demand] = []
    seen: set[tuple[str, Dim, Dim]] = set()
    for demand in demands:
        key = (demand.kind, demand.left, demand.right)
        if key in seen or holds_always(demand):
            continue
        seen.add(key)
        names = _names(demand)
        gap = demand.left - demand.right
        if len(names) == 1 and _period(gap) <= _LONGEST_PERIOD:
            single.setdefault(next(iter(names)), []).append(demand)
        else:
            shared.append(demand)
    return single, shared


def _period(dim: Dim) -> int:
    """After how many steps of its name a size has grown by a whole number of its slope."""
    if isinstance(dim, int):
        return 1
    return lcm(*(_quotient_period(atom) for atom, _ in dim.terms if isinstance(atom, Quotient)))


@cache
def _quotient_period(quotient: Quotient) -> int:
    return _period(quotient.numerator) * quotient.divisor


def _line(gap: Dim, remainder: int, period: int) -> tuple[int, int]:
    """(value, step): the gap at the smallest positive number of a remainder, and its growth a period on."""
    start = remainder or period
    if isinstance(gap, int):
        return gap, 0
    (name,) = gap.names()
    value = evaluate(gap, {name: start})
    return value, evaluate(gap, {name: start + period}) - value


@cache
def _solve_equal(gap: Size) -> Solution:
    """Where a size is 0."""
    period = _period(gap)
    remainders: set[int] = set()
    single: set[int] = set()
    for remainder in range(period):
        value, step = _line(gap, remainder, period)
        if value == step == 0:
            remainders.add(remainder)
        elif step and -value % step == 0 and -value // step >= 0:
            single.add((remainder or period) + period * (-value // step))
    return Solution(period, frozenset(remainders), frozenset(single))


def _solve(demands: tuple[Demand, ...]) -> Solution:
    """The numbers that meet all demands on one name."""
    period, remainders, single = 1, frozenset({0}), None
    for demand in demands:
        gap = demand.left - demand.right
        if demand.kind == "equal" and isinstance(gap, Size):
            found = _solve_equal(gap)
            joint = lcm(period, found.period)
            if joint > _LONGEST_PERIOD:
                continue
            points = {n for n in found.single if n % period in remainders}
            if single is not None:
                points = {n for n in points | single if (n in single or n % period in remainders) and n in found}
            single = points
            remainders = frozenset(
                n for n in range(joint) if n % period in remainders and n % found.period in found.remainders
            )
            period = joint
    period, remainders = _reduced(period, remainders)
    limits = [d for d in demands if d.kind == "at_least"]
    (name,) = _names(demands[0])
    kept = frozenset(n for n in single or () if all(_holds(d, {name: n}) for d in demands))
    return Solution(period, remainders, kept, max((_least(d, period, remainders) for d in limits), default=1))


def _reduced(period: int, remainders: frozenset[int]) -> tuple[int, frozenset[int]]:
    """The same numbers by the smallest period that tells them."""
    for shorter in range(1, period):
        if period % shorter == 0:
            folded = frozenset(n % shorter for n in remainders)
            if len(folded) * (period // shorter) == len(remainders):
                return shorter, folded
    return period, remainders


def _least(demand: Demand, period: int, remainders: frozenset[int]) -> int:
    """The number from which on a demand of a least size holds for all that leave such remainders."""
    gap = demand.left - demand.right
    joint = lcm(period, _period(gap))
    last = 0
    for remainder in range(joint):
        if remainder % period in remainders:
            value, step = _line(gap, remainder, joint)
            if value < 0 < step:
                last = max(last, (remainder or joint) + joint * (-(value // step) - 1))
    return next((n for n in range(last + 1, last + period + 1) if n % period in remainders), last + 1)


def _sentences(name: str, demands: Sequence[Demand]) -> list[str]:
    equal = [d for d in demands if d.kind == "equal"]
    limits = [d for d in demands if d.kind == "at_least"]
    sentences: list[str] = []
    whole = _solve(tuple(demands))
    if equal:
        # One demand that asks as much as all together is enough to name.
        target = (whole.period, whole.remainders)
        alone = [d for d in equal if (found := _solve((d,))).period == target[0] and found.remainders == target[1]]
        cited = alone[:1] or equal
        sentences.append(f"{name} must {_said(whole)}: {'; '.join(map(_where, cited))}")
    first = min((r or whole.period for r in whole.remainders), default=1)
    if whole.remainders and whole.least > first:
        tight = max(limits, key=lambda d: _least(d, whole.period, whole.remainders))
        sentences.append(f"{name} must be at least {whole.least}: {_where(tight)}")
    return sentences


def _said(solution: Solution) -> str:
    period, remainders, single = solution.period, sorted(solution.remainders), sorted(solution.single)
    parts: list[str] = []
    if remainders == [0]:
        parts.append(f"be {'even' if period == 2 else f'a multiple of {period}'}")
    elif period == 2 and remainders == [1]:
        parts.append("be odd")
    elif remainders:
        parts.append(f"leave {_either(remainders)} when divided by {period}")
    if single:
        parts.append(f"be {_either(single)}")
    return " or ".join(parts) or "be what it cannot"


def _either(numbers: Sequence[int]) -> str:
    shown = [str(n) for n in numbers]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def _where(demand: Demand) -> str:
    kind = re.sub(r"_[0-9]+$", "", demand.path.rpartition(".")[2])
    verb = (
        f"joins {demand.left} and {demand.right}"
        if demand.kind == "equal"
        else f"needs {demand.left} >= {demand.right}"
    )
    return f"{kind} at line {demand.span.line} {verb}"
