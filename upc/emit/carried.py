"""What a module takes from `upc.carried`: the functions and classes that it uses, and what those rest on."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import upc

FILES = {
    "keras": ("axes", "windows", "pixels", "weights"),
    "torch": ("functions", "modules", "initializers", "weights"),
}
"""The files of `upc.carried.<target>`, in the order in which a module carries what it takes from them."""

_WORDS = re.compile(r'"(?:[^"\\\n]|\\.)*"|#.*|(?<![\w.])([A-Za-z_]\w*)')


@dataclass(frozen=True, slots=True)
class Part:
    """A function or class of such a file: its text as it stands, and every name that it reads."""

    text: str
    reads: frozenset[str]


@cache
def parts(target: str) -> dict[str, Part]:
    """By name and in their order, what a module of a target may carry."""
    folder = Path(upc.__file__).parent / "carried" / target
    texts = [(folder / f"{name}.py").read_text(encoding="utf-8") for name in FILES[target]]
    return {name: part for text in texts for name, part in _parts(text)}


def _parts(text: str) -> Iterator[tuple[str, Part]]:
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            first = min(each.lineno for each in [node, *node.decorator_list])
            own = "\n".join(lines[first - 1 : node.end_lineno])
            yield node.name, Part(own, reads(own))


def reads(text: str) -> frozenset[str]:
    """The names that whole statements of Python read."""
    return frozenset(each.id for each in ast.walk(ast.parse(text)) if isinstance(each, ast.Name))


def words(text: str) -> frozenset[str]:
    """The names in any piece of Python: nothing in quotes, in a comment or behind a dot is one."""
    return frozenset(_WORDS.findall(text)) - {""}


def take(target: str, names: Iterable[str]) -> list[Part]:
    """What a module of a target carries if it uses such names: in the order of the files, each part once."""
    table = parts(target)
    found = table.keys() & names
    new = found
    while new:
        read = set[str]().union(*(table[name].reads for name in new))
        new = read & table.keys() - found
        found |= new
    return [part for name, part in table.items() if name in found]
