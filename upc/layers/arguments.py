"""Converters: a written argument, checked and brought to the form a card keeps.

Each takes (value, rank), raises LayerError with a sentence that says what was expected, and leaves a
stored form as it is, so that converting twice changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from upc.diagnostics import nearest
from upc.initializers import INITIALIZERS
from upc.ir import Convert, LayerError, Literal

LARGEST = 2**31 - 1
"""No whole-number argument lies beyond it: what every framework can hold, and what can still be printed."""

Pairs = tuple[tuple[int, int], ...]
Padding = str | Pairs


def shown(value: Literal) -> str:
    """A value as the language writes it, cut short where it is long."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value) if abs(value) <= LARGEST else "a number beyond 2**31 - 1"
    if isinstance(value, Sequence) and not isinstance(value, str):
        inner = ", ".join(shown(v) for v in value[:6]) + (", ..." if len(value) > 6 else "")
        return f"[{inner}]"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else text[:36] + "..."


def _expected(what: str, value: Literal, hint: str | None = None) -> LayerError:
    return LayerError(f"expected {what}, got {shown(value)}", hint=hint)


def whole(value: Literal, rank: int = 0) -> int:
    """Any whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST:
        raise _expected("a whole number", value)
    return value


def at_least(least: int) -> Convert:
    """A whole number, none below `least`."""
    what = {0: "a whole number from 0 up", 1: "a whole number from 1 up"}.get(least, f"a whole number >= {least}")

    def convert(value: Literal, rank: int = 0) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST:
            raise _expected(what, value)
        return value

    return convert


positive = at_least(1)


def optional(convert: Convert) -> Convert:
    """That, or none."""
    return lambda value, rank: None if value is None else convert(value, rank)


def flag(value: Literal, rank: int = 0) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise _expected("true or false", value)
    return value


def number(value: Literal, rank: int = 0) -> float:
    """A finite number; whole ones are welcome."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _expected("a number", value)
    if (isinstance(value, int) and abs(value) > LARGEST) or not math.isfinite(value):
        raise _expected("a finite number of ordinary size", value)
    return float(value)


def number_in(low: float, high: float = math.inf, *, low_open: bool = False, high_open: bool = False) -> Convert:
    """A number between two bounds, which belong to the range unless said to be open."""

    def convert(value: Literal, rank: int = 0) -> float:
        x = number(value)
        if x < low or x > high or (low_open and x == low) or (high_open and x == high):
            above = f"{'above' if low_open else 'from'} {low:g}"
            below = "" if math.isinf(high) else f" and {'below' if high_open else 'at most'} {high:g}"
            raise _expected(f"a number {above}{below}", value)
        return x

    return convert


def word(*choices: str) -> Convert:
    """One of a few words."""

    def convert(value: Literal, rank: int = 0) -> str:
        if isinstance(value, str) and value in choices:
            return value
        near = nearest(value, choices) if isinstance(value, str) else None
        listed = choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"
        raise _expected(listed, value, f"did you mean `{near}`?" if near else None)

    return convert


def _is_list(value: Literal) -> bool:
    return isinstance(value, (tuple, list))


def per_axis(convert: Convert) -> Convert:
    """One value for all spatial axes, or a list with one for each."""

    def convert_all(value: Literal, rank: int) -> tuple[Any, ...]:
        if not _is_list(value):
            return (convert(value, rank),) * rank
        if len(value) != rank:
            raise _expected(f"one value, or a list of {rank} (one for each spatial axis)", value)
        return tuple(convert(v, rank) for v in value)

    return convert_all


sizes = per_axis(positive)


def _pair(value: Literal) -> tuple[int, int]:
    if not _is_list(value):
        value = (value, value)
    if len(value) != 2:
        raise _expected("one amount for both sides of an axis, or [before, after]", value)
    before, after = value
    amount = at_least(0)
    return amount(before, 0), amount(after, 0)


def pairs(value: Literal, rank: int) -> Pairs:
    """Amounts before and after each axis: p, [p, q] or [[before, after], [before, after]]."""
    if not _is_list(value):
        return (_pair(value),) * rank
    if len(value) != rank:
        raise _expected(f"one amount, or a list of {rank} (amounts or [before, after] pairs)", value)
    return tuple(_pair(v) for v in value)


def padding(value: Literal, rank: int) -> Padding:
    """`same`, `valid`, or zeros before and after each axis as in `pairs`."""
    if value in ("same", "valid"):
        return str(value)
    if isinstance(value, str):
        near = nearest(value, ("same", "valid"))
        raise _expected("same, valid or amounts", value, f"did you mean `{near}`?" if near else None)
    return pairs(value, rank)


def listed(convert: Convert, *, least: int = 0) -> Convert:
    """A list of values of any length from `least` up."""

    def convert_all(value: Literal, rank: int) -> tuple[Any, ...]:
        values = value if _is_list(value) else (value,)
        if len(values) < least:
            raise _expected(f"at least {least} value{'s' if least > 1 else ''}", value)
        return tuple(convert(v, rank) for v in values)

    return convert_all


initializer = word(*INITIALIZERS)
