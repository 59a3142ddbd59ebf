"""What a net demands of its free sizes: worked out by trying remainders, said in sentences, held against numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import lcm

import numpy as np

from upc.diagnostics import EXIT_USAGE, Diagnostic, UpcError
from upc.ir import Array, Demand, Graph, Value
from upc.runtime.advice import shape_advice
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


@lru_cache(4096)
def depth(dim: Dim) -> int:
    """How many divisions stand inside each other."""
    if isinstance(dim, int):
        return 0
    return max((1 + depth(atom.numerator) for atom, _ in dim.terms if isinstance(atom, Quotient)), default=0)


@lru_cache(4096)
def parts(dim: Dim) -> int:
    """How many names and divisions an expression is made of."""
    if isinstance(dim, int):
        return 0
    return sum(1 + parts(atom.numerator) if isinstance(atom, Quotient) else 1 for atom, _ in dim.terms)


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
                raise _misfit(message, shape_hint(value, (1, *given)))
            if isinstance(dim, Size):
                name = str(dim)
                if sizes.setdefault(name, number) != number:
                    raise _misfit(message, f"{name} is {sizes[name]} elsewhere")
    problems = [d for d in graph.demands if not holds(d, sizes)]
    if problems:
        raise UpcError([_unmet(graph, d, sizes) for d in problems[:3]], EXIT_USAGE)
    return sizes


def shape_hint(value: Value, given: Sequence[int]) -> str | None:
    """What would make an array of a shape, its batch in front, fit an input."""
    return shape_advice(value.name, given, value.shape)


def fitting(demands: Iterable[Demand], names: Iterable[str], start: int) -> dict[str, int]:
    """For each name a number from `start` up that meets all that is asked of it alone; `start` where none is found.

    Demands are met one after another: each leaves numbers a step apart, of which one is taken that meets the next.
    """
    single, _ = _by_name(demands)
    return {name: _fitting(name, single.get(name, []), start) for name in names}


def _fitting(name: str, demands: Sequence[Demand], start: int) -> int:
    equal = [d for d in demands if d.kind == "equal"]
    least = max((_least(d, 1, frozenset({0})) for d in demands if d.kind == "at_least"), default=1)
    number, step = max(start, least), 1
    for demand in equal:
        period = _period(demand.left - demand.right)
        number = next((n for n in range(number, number + step * period, step) if holds(demand, {name: n})), 0)
        if not number:
            return start
        step = lcm(step, period)
    return number


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


def holds(demand: Demand, sizes: Mapping[str, int]) -> bool:
    """Whether a demand is met by these sizes."""
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


@lru_cache(4096)
def _quotient_period(quotient: Quotient) -> int:
    return _period(quotient.numerator) * quotient.divisor


def _values(dim: Dim, start: int, count: int) -> Array:
    """What a size of one name is at `count` numbers from `start` up, as whole numbers of any length."""
    at = np.arange(start, start + count)
    if isinstance(dim, int):
        return np.full(count, dim, object)
    if _bound(dim, start + count) >= 2**62:
        at = at.astype(object)
    values = _evaluate(dim, at)
    return values.astype(object) if values.dtype != object else values


def _bound(dim: Dim, most: int) -> int:
    """What no step of working a size out exceeds, its names up to `most`."""
    if isinstance(dim, int):
        return abs(dim)
    inner = (_bound(atom.numerator, most) if isinstance(atom, Quotient) else most for atom, _ in dim.terms)
    return abs(dim.constant) + sum(abs(factor) * bound for (_, factor), bound in zip(dim.terms, inner, strict=True))


def _evaluate(size: Size, at: Array) -> Array:
    total = np.full(at.shape, size.constant, at.dtype)
    for atom, factor in size.terms:
        total = total + factor * (at if isinstance(atom, str) else _evaluate(atom.numerator, at) // atom.divisor)
    return total


def _lines(gap: Dim, period: int) -> tuple[Array, Array]:
    """(values, steps): the gap at the numbers from 1 to a period, and how it grows a period on from each."""
    values = _values(gap, 1, 2 * period)
    return values[:period], values[period:] - values[:period]


@lru_cache(1024)
def _solve_equal(gap: Size) -> Solution:
    """Where a size is 0."""
    period = _period(gap)
    values, steps = _lines(gap, period)
    still = steps == 0
    always = np.flatnonzero(still & (values == 0))
    moving = np.flatnonzero(~still)
    rounds, rest = -values[moving] // steps[moving], -values[moving] % steps[moving]
    once = (rest == 0) & (rounds >= 0)
    single = frozenset(int(at) + 1 + period * int(n) for at, n in zip(moving[once], rounds[once], strict=True))
    return Solution(period, frozenset((int(at) + 1) % period for at in always), single)


def _mask(solution: Solution, period: int) -> Array:
    """Which remainders by a multiple of its period a solution takes in."""
    own = np.zeros(solution.period, bool)
    own[list(solution.remainders)] = True
    return np.tile(own, period // solution.period)


def _solve(demands: tuple[Demand, ...]) -> Solution:
    """The numbers that meet all demands on one name."""
    whole, single = Solution(1, frozenset({0}), frozenset()), None
    for demand in demands:
        gap = demand.left - demand.right
        if demand.kind == "equal" and isinstance(gap, Size):
            found = _solve_equal(gap)
            joint = lcm(whole.period, found.period)
            if joint > _LONGEST_PERIOD:
                continue
            points = {n for n in found.single if n % whole.period in whole.remainders}
            if single is not None:
                points = {
                    n for n in points | single if (n in single or n % whole.period in whole.remainders) and n in found
                }
            single = points
            both = _mask(whole, joint) & _mask(found, joint)
            whole = Solution(joint, frozenset(map(int, np.flatnonzero(both))), frozenset())
    period, remainders = _reduced(whole)
    limits = [d for d in demands if d.kind == "at_least"]
    (name,) = _names(demands[0])
    kept = frozenset(n for n in single or () if all(holds(d, {name: n}) for d in demands))
    return Solution(period, remainders, kept, max((_least(d, period, remainders) for d in limits), default=1))


def _reduced(whole: Solution) -> tuple[int, frozenset[int]]:
    """The same numbers by the smallest period that tells them."""
    for shorter in range(1, whole.period):
        if whole.period % shorter == 0:
            folded = frozenset(n % shorter for n in whole.remainders)
            if len(folded) * (whole.period // shorter) == len(whole.remainders):
                return shorter, folded
    return whole.period, whole.remainders


def _least(demand: Demand, period: int, remainders: frozenset[int]) -> int:
    """The number from which on a demand of a least size holds for all that leave such remainders."""
    if not remainders:
        return 1
    gap = demand.left - demand.right
    if isinstance(gap, int) or _grows(gap) or lcm(period, _period(gap)) > _LONGEST_PERIOD:
        last = _last_below(gap)
        return next((n for n in range(last + 1, last + period + 1) if n % period in remainders), last + 1)
    joint = lcm(period, _period(gap))
    values, steps = _lines(gap, joint)
    wanted = np.roll(_mask(Solution(period, remainders, frozenset()), joint), -1)  # from the remainder of 1 on
    late = np.flatnonzero(wanted & (values < 0) & (steps > 0))
    lasts = late + 1 + joint * (-(values[late] // steps[late]) - 1)
    last = int(max(lasts, default=0))
    return next((n for n in range(last + 1, last + period + 1) if n % period in remainders), last + 1)


def _last_below(gap: Dim) -> int:
    """The last number at which a size that grows with its name is below 0; 0 where it may also shrink."""
    if isinstance(gap, int) or not _grows(gap):
        return 0
    if len(gap.terms) == 1 and isinstance(gap.terms[0][0], str):
        return max(0, (-gap.constant - 1) // gap.terms[0][1])
    (name,) = gap.names()
    low, high = 0, 1
    while evaluate(gap, {name: high}) < 0 and high < 2**63:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if evaluate(gap, {name: middle}) < 0 else (low, middle)
    return low


def _grows(size: Size) -> bool:
    """Whether every factor in it is positive."""
    return all(factor > 0 and (isinstance(atom, str) or _grows(atom.numerator)) for atom, factor in size.terms)


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
