"""How emitted Python looks: literals, names, and lines broken the way `ruff format` leaves them."""

from __future__ import annotations

import builtins
import keyword
import math
import re
from collections.abc import Iterable, Iterator

WIDTH = 100
"""Longest emitted line."""

INDENT = "    "


class Code(str):
    """Text that already is Python: written as it stands, where a plain `str` is written as a literal."""

    __slots__ = ()


def literal(value: object) -> str:
    """A value as Python source: strings in double quotes, tuples with their items, Code as it stands."""
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, float) and math.isinf(value):
        return f'float("{value}")'
    return repr(value)


_PYTHONS = frozenset({*keyword.kwlist, *keyword.softkwlist, *dir(builtins)})


class Names:
    """Identifiers of one scope: legal, unlike any other in it, and as close to the wanted name as that allows."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._taken = {*_PYTHONS, *reserved}
        self._next: dict[str, int] = {}  # all lower numbers behind a name are taken

    def new(self, wanted: str) -> str:
        """The wanted name, with `_` or a number behind it where it is taken."""
        name = base = re.sub(r"\W|^(?=\d)", "_", wanted)
        if name in self._taken and not name.endswith("_"):
            name = f"{base}_"
        if name in self._taken:
            name = self._first_free(f"{base}_")
        self._taken.add(name)
        return name

    def _first_free(self, stem: str) -> str:
        number = self._next.get(stem, 2)
        while f"{stem}{number}" in self._taken:
            number += 1
        self._next[stem] = number
        return f"{stem}{number}"

    def numbered(self, wanted: str, between: str = "_") -> str:
        """The wanted name, or `wanted_2`, `wanted_3` where it is taken."""
        if wanted not in self._taken:
            return self.new(wanted)
        return self.new(self._first_free(f"{wanted}{between}"))

    def reserve(self, *names: str) -> None:
        """Keep these from being given out."""
        self._taken.update(names)


def camel(name: str) -> str:
    """`dcgan_faces` -> `DcganFaces`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_")) or "_"


_OPEN, _CLOSE = "([{", ")]}"


_SIGNS = re.compile(r"""\\.|[][(){}"',]""", re.DOTALL)


def _signs(text: str) -> Iterator[tuple[int, str]]:
    """The brackets and commas outside of quotes, each with its place."""
    quote = ""
    for found in _SIGNS.finditer(text):
        sign = found[0]
        if sign in "\"'":
            quote = "" if sign == quote else quote or sign
        elif not quote and len(sign) == 1:
            yield found.start(), sign


def _groups(text: str) -> list[tuple[int, int]]:
    """(start, end) of the outermost brackets, quotes respected."""
    found, depth, start = [], 0, 0
    for i, sign in _signs(text):
        if sign in _OPEN:
            start = start if depth else i
            depth += 1
        elif sign in _CLOSE:
            depth -= 1
            if not depth:
                found.append((start, i))
    return found


def _items(text: str) -> list[str]:
    """What commas part at the outermost level."""
    items, last, depth = [], 0, 0
    for i, sign in _signs(text):
        depth += (sign in _OPEN) - (sign in _CLOSE)
        if sign == "," and not depth:
            items.append(text[last:i].strip())
            last = i + 1
    return [*items, text[last:].strip()] if text[last:].strip() else items


def fit(text: str, depth: int = 0, comment: str = "") -> str:
    """One logical line, indented, broken inside its longest brackets until every piece fits.

    Arguments of a call stay together on a line of their own if they fit there; otherwise one item a
    line and a comma behind the last. The comment goes behind the line, or behind the opened bracket.
    """
    indent = INDENT * depth
    note = f"  # {comment}" if comment else ""
    if len(indent + text + note) <= WIDTH:
        return indent + text + note
    groups = [(a, b) for a, b in _groups(text) if b > a + 1]
    if not groups:
        return indent + text + note
    start, end = max(groups, key=lambda g: g[1] - g[0])
    items = _items(text[start + 1 : end])
    lines = [indent + text[: start + 1] + note]
    is_call = text[start] == "(" and start > 0 and (text[start - 1].isalnum() or text[start - 1] in "_)]")
    if is_call and len(together := INDENT * (depth + 1) + ", ".join(items)) <= WIDTH and not _lone(items):
        return "\n".join([*lines, together, indent + text[end:]])
    lines += [fit(item + ("" if _lone(items) else ","), depth + 1) for item in items]
    return "\n".join([*lines, indent + text[end:]])


def _lone(items: list[str]) -> bool:
    """A generator expression stands alone in its brackets and takes no comma."""
    return len(items) == 1 and " for " in items[0]
