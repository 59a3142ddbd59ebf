"""The grammar's table, driven by hand: every rule's node is made the moment its last token is read.

Lark makes the table and knows which children of a rule count. Growing its trees first, with positions on each, and
ours from them afterwards takes three times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from lark import Token, Tree
from lark.parsers.lalr_analysis import Shift

from upc.scan import grammar, scan
from upc.source import Source

Make = Callable[[int, int, list[Any]], Any]
"""Makes a rule's node of its children and where its text begins and ends."""


class Unexpected(Exception):
    """A token that cannot stand where it does; `expected` are the kinds that could."""

    def __init__(self, expected: frozenset[str]) -> None:
        super().__init__()
        self.expected = expected


@dataclass(frozen=True, slots=True, eq=False)
class _Reduction:
    """What a rule does: takes `size` values, makes one of them with `callback`; None hands the only one on."""

    size: int
    name: str
    callback: Callable[[list[Any]], Any] | None


@cache
def _table() -> tuple[dict[Any, dict[str, Any]], Any, Any]:
    """(what to do in each state with each kind, the first state, the last): a _Reduction, or the state to go to."""
    conf: Any = grammar().parse_interactive("").parser_state.parse_conf
    reductions: dict[Any, _Reduction] = {}
    for rule, callback in conf.callbacks.items():
        passes = rule.options.expand1 and len(rule.expansion) == 1 and not rule.alias
        reductions[rule] = _Reduction(len(rule.expansion), rule.origin.name, None if passes else callback)
    states = {
        state: {kind: target if action is Shift else reductions[target] for kind, (action, target) in row.items()}
        for state, row in conf.parse_table.states.items()
    }
    return states, conf.start_state, conf.end_state


class ShiftReduce:
    """One text on its way to a tree. Feed it tokens; the end's gives the tree."""

    def __init__(self, makers: Mapping[str, Make]) -> None:
        self._makers = makers
        self._table, start, self._end = _table()
        self._states = [start]
        self._values: list[Any] = []
        self._places: list[tuple[int, int] | None] = []  # None where no token belongs to a value

    def feed(self, token: Token) -> Any:
        """Take a token in; the tree if it was the last, None before. Raises Unexpected and stays where it is."""
        table, states, values, places = self._table, self._states, self._values, self._places
        kind = token.type
        while True:
            row = table[states[-1]]
            target = row.get(kind)
            if target is None:
                raise Unexpected(frozenset(name for name in row if name.isupper()))
            if type(target) is not _Reduction:
                states.append(target)
                values.append(token)
                places.append((token.start_pos or 0, token.end_pos or 0))
                return None
            if target.callback is None:
                states[-1] = table[states[-2]][target.name]
                continue
            size = target.size
            children: list[Any] = []
            place = None
            if size:
                children = values[-size:]
                within = [p for p in places[-size:] if p is not None]
                place = (within[0][0], within[-1][1]) if within else None
                del states[-size:], values[-size:], places[-size:]
            made = target.callback(children)
            if type(made) is Tree and made.data in self._makers:
                made = self._makers[made.data](*(place or (0, 0)), made.children)
            states.append(table[states[-1]][target.name])
            values.append(made)
            places.append(place)
            if kind == "$END" and states[-1] == self._end:
                return made

    def unwind(self, landmark: str) -> bool:
        """Go back to the last state in which a token of a kind could follow; whether there is one."""
        depth = next((i for i in range(len(self._states), 0, -1) if landmark in self._table[self._states[i - 1]]), 0)
        if depth:
            del self._states[depth:], self._values[depth - 1 :], self._places[depth - 1 :]
        return depth > 0


def first_error(source: Source) -> tuple[list[Token], int]:
    """The tokens of a faulty source, its end among them, and the place of the one the parser stops at."""
    tokens = [*scan(source).tokens, Token("$END", "", len(source.text), end_pos=len(source.text))]
    parser = ShiftReduce({})
    for at, token in enumerate(tokens):
        try:
            parser.feed(token)
        except Unexpected:
            return tokens, at
    raise ValueError(f"no mistake in {source.text!r}")
