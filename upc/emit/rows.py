"""Rows of the tables of Keras and PyTorch that stand in no template: how a layer of a person's own reads there."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any

from upc.emit.definitions import Step
from upc.emit.layout import Code, literal
from upc.ir import Layer, Node

_GIVEN = frozenset({"x", "name", "channels"})


@dataclass(frozen=True, slots=True)
class Row:
    """How a layer reads: Python with the card's arguments in braces, as a `str.format` has them.

    Beside them there are {channels}, how many the first input has, and, of an expression, {x}, the value so far; of
    several inputs {x} is all of them with commas between. Keras's layers have a {name}. A `layer` is made once and
    called, anything else is an expression in the flow. `carried` are functions and classes that a module has if it
    needs this row, as source: of PyTorch's `math`, `torch`, `F`, `Tensor` and `nn`, of Keras's `keras`, `layers`,
    `ops` and `np`, they may use what they like.
    """

    text: str
    layer: bool
    carried: tuple[str, ...] = ()

    @property
    def fields(self) -> frozenset[str]:
        """The names in braces."""
        return frozenset(name for _, name, _, _ in Formatter().parse(self.text) if name is not None)

    @property
    def names(self) -> frozenset[str]:
        """What `carried` defines."""
        return frozenset(_name(source) for source in self.carried)

    def __call__(self, layer: Layer, node: Node) -> tuple[Step, ...]:
        """The spelling of a node: as the entry of a table."""
        values = {a.name: getattr(layer, a.name) for a in layer.arguments()} | {"channels": node.input_shapes[0][-1]}
        return (Step(self, {name: values[name] for name in sorted(self.fields - {"x", "name"})}, layer=self.layer),)

    def say(self, fields: dict[str, Any], x: Code | Sequence[Code] = ()) -> str:
        """The Python of one use."""
        given = x if isinstance(x, Code) else Code(", ".join(x))
        return self.text.format_map({name: literal(value) for name, value in {**fields, "x": given}.items()})

    def check(self, card: type[Layer]) -> None:
        """Raise ValueError for a name in braces that a card has not."""
        known = _GIVEN | {argument.name for argument in card.arguments()}
        if unknown := sorted(self.fields - known):
            raise ValueError(f"{self.text!r} names {unknown[0] or '{}'}; there is {', '.join(sorted(known))}")


def expression(text: str, *carried: Any) -> Row:
    """A row that is an expression of {x}. What it calls can be carried: functions or classes, or the source of one."""
    return Row(text, False, tuple(map(_source, carried)))


def layer(text: str, *carried: Any) -> Row:
    """A row that makes a layer of Keras or a module of PyTorch. Its class, or what it calls, can be carried."""
    return Row(text, True, tuple(map(_source, carried)))


def carried_by(spellings: Sequence[object]) -> dict[str, str]:
    """What a module has to carry for the rows among these entries of a table: sources by the names they define."""
    rows = [entry for entry in spellings if isinstance(entry, Row)]
    return {_name(source): source for row in rows for source in row.carried}


def _source(given: Any) -> str:
    """The text of a definition, that alone."""
    source = textwrap.dedent(given if isinstance(given, str) else inspect.getsource(given)).strip()
    _name(source)
    return source


def _name(source: str) -> str:
    """What a source defines. Raises ValueError where that is not one function or class."""
    try:
        (node,) = ast.parse(source).body
    except (SyntaxError, ValueError):
        node = None
    if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        raise ValueError(f"what is carried is one function or class, not {source[:60]!r}")
    return node.name
