"""Works out written values. Whole numbers stay exact: what does not come out even is an error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from upc import limits, syntax
from upc.diagnostics import Diagnostic, nearest
from upc.ir import Literal, Value
from upc.source import Span


class Unknown:
    """Stands for a value that an error, already reported, has left without meaning."""


UNKNOWN: Final = Unknown()

Bound = Any
"""What a name can stand for: a Literal, a Value, or UNKNOWN."""


class ValueProblem(Exception):
    """A written value that cannot be."""

    def __init__(
        self, code: str, message: str, span: Span, hint: str | None = None, notes: tuple[tuple[Span, str], ...] = ()
    ) -> None:
        super().__init__(message)
        self.diagnostic = Diagnostic(code, message, span, hint, notes)


def evaluate(value: syntax.Expression, names: Mapping[str, Bound]) -> Bound:
    """What a value stands for; a bare name that stands for nothing is a word, such as `same`.

    Raises ValueProblem. Whatever contains UNKNOWN is UNKNOWN.
    """
    match value:
        case syntax.Number() | syntax.String() | syntax.Constant():
            return value.value
        case syntax.Word():
            return names.get(value.text, value.text)
        case syntax.List():
            return _list(value, names)
        case syntax.Negative():
            operand = _operand(value.value, names)
            return operand if operand is UNKNOWN else _bounded(-operand, value.span)
        case syntax.Binary():
            left, right = _operand(value.left, names), _operand(value.right, names)
            if left is UNKNOWN or right is UNKNOWN:
                return UNKNOWN
            return _bounded(_calculate(value, left, right), value.span)


def words(value: syntax.Expression) -> Iterable[syntax.Word]:
    """Every bare name in a value."""
    match value:
        case syntax.Word():
            yield value
        case syntax.List():
            for item in value.items:
                yield from words(item)
        case syntax.Negative():
            yield from words(value.value)
        case syntax.Binary():
            yield from words(value.left)
            yield from words(value.right)


def unknown_name(
    word: syntax.Word | syntax.Name, names: Iterable[str], what: str = "value or parameter"
) -> ValueProblem:
    """The error for a name that stands for nothing."""
    if word.text[0].isupper() and isinstance(word, syntax.Word):
        hint = "capital names are free sizes, known when the net runs; arguments need numbers or parameters"
        return ValueProblem("E0204", f"`{word.text}` cannot be used as a number here", word.span, hint)
    near = nearest(word.text, names)
    guess = f"did you mean `{near}`?" if near else None
    return ValueProblem("E0202", f"no {what} is called `{word.text}`", word.span, guess)


def _list(value: syntax.List, names: Mapping[str, Bound]) -> Bound:
    count, most = len(value.items), limits.current().items
    if count > most:
        message = f"the list has {count:,} items; the limit is {most:,}"
        raise ValueProblem("E0602", message, value.span, limits.hint("items", count))
    items = tuple(evaluate(item, names) for item in value.items)
    if any(item is UNKNOWN for item in items):
        return UNKNOWN
    for item, written in zip(items, value.items, strict=True):
        if isinstance(item, Value):
            raise ValueProblem("E0303", "a list holds numbers and words, not the results of layers", written.span)
    return items


def _operand(value: syntax.Expression, names: Mapping[str, Bound]) -> Bound:
    operand = evaluate(value, names)
    if operand is UNKNOWN or (isinstance(operand, (int, float)) and not isinstance(operand, bool)):
        return operand
    if isinstance(value, syntax.Word) and value.text not in names:
        numbers = (name for name, bound in names.items() if isinstance(bound, (int, float)))
        raise unknown_name(value, numbers, "parameter")
    if isinstance(operand, Value):
        raise ValueProblem(
            "E0301",
            "arithmetic needs numbers, not the result of a layer",
            value.span,
            "add, subtract and multiply are layers: `add(skip)`",
        )
    raise ValueProblem("E0301", f"arithmetic needs numbers, not {show(operand)}", value.span)


def _calculate(value: syntax.Binary, left: int | float, right: int | float) -> int | float:
    whole = isinstance(left, int) and isinstance(right, int)
    try:
        match value.operator:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case "%":
                return left % right
            case "/" if not whole:
                return left / right
            case "/":
                quotient, rest = divmod(left, right)
                if rest == 0:
                    return quotient
                raise ValueProblem(
                    "E0302",
                    f"{left} / {right} is not a whole number",
                    value.span,
                    f"sizes are exact; for a decimal write {left} / {right}.0",
                )
            case _:
                return _power(value, left, right)
    except ZeroDivisionError:
        raise ValueProblem(
            "E0301", f"{show(left)} {value.operator} {show(right)} divides by zero", value.span
        ) from None
    except OverflowError:
        raise ValueProblem("E0602", "the result is beyond a double's range", value.span) from None


def _power(value: syntax.Binary, base: int | float, exponent: int | float) -> int | float:
    if isinstance(base, int) and isinstance(exponent, int):
        if exponent < 0 and abs(base) > 1:
            message = f"{show(base)} ** {show(exponent)} is not a whole number"
            raise ValueProblem("E0302", message, value.span, "divide instead: `width / 2 ** i`")
        # Said before it is computed: no base but -1, 0 and 1 stays in range with a greater exponent.
        if abs(base) > 1 and exponent > 63:
            raise ValueProblem("E0602", "the result is greater than 2**63 - 1", value.span)
        if abs(base) > 1:
            return int(base**exponent)
        if base == 0 and exponent < 0:
            raise ZeroDivisionError
        return 1 if exponent == 0 or base == 1 else 0 if base == 0 else 1 - 2 * (exponent % 2)
    result = base**exponent
    if isinstance(result, complex):
        raise ValueProblem("E0301", f"{show(base)} ** {show(exponent)} is not a real number", value.span)
    return float(result)


def _bounded(result: int | float, span: Span) -> int | float:
    if isinstance(result, int) and abs(result) > limits.INTEGER:
        raise ValueProblem("E0602", "the result is greater than 2**63 - 1", span)
    if isinstance(result, float) and not math.isfinite(result):
        raise ValueProblem("E0602", "the result is beyond a double's range", span)
    return result


def show(value: Literal) -> str:
    """A value as the language writes it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(map(show, value))}]"
    return str(value)
