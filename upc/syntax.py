"""The tree of one file: a dataclass for each rule of the grammar, every one with its Span. Nothing is checked yet."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Union

from upc.source import Source, Span


@dataclass(frozen=True, slots=True)
class Name:
    """A name where it is written."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Number:
    """A whole or decimal number; `text` is how it was written."""

    value: int | float
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class String:
    """Text in double quotes, its escapes resolved."""

    value: str
    span: Span


@dataclass(frozen=True, slots=True)
class Word:
    """A bare name as a value: a parameter, a named value or a word such as `same`."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Constant:
    """`true`, `false` or `none`."""

    value: bool | None
    span: Span


@dataclass(frozen=True, slots=True)
class List:
    """`[1, 2]`"""

    items: tuple[Expression, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Negative:
    """`-value`"""

    value: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class Binary:
    """`left operator right`, the operator one of + - * / % **."""

    operator: str
    left: Expression
    right: Expression
    span: Span


Expression = Union[Number, String, Word, Constant, List, Negative, Binary]


@dataclass(frozen=True, slots=True)
class Argument:
    """`value` or `name=value`"""

    name: Name | None
    value: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class Call:
    """`name(arguments)`: a layer or a block applied to the current value."""

    name: Name
    arguments: tuple[Argument, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Input:
    """`input name: [dims]`"""

    name: Name
    shape: List
    span: Span


@dataclass(frozen=True, slots=True)
class Output:
    """`output a, b`"""

    names: tuple[Name, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Repeat:
    """`repeat variable in first..last { }`; `repeat last { }` has neither variable nor first."""

    variable: Name | None
    first: Expression | None
    last: Expression
    body: Body
    span: Span


@dataclass(frozen=True, slots=True)
class Branch:
    """`from origin { }`"""

    origin: Name
    body: Body
    span: Span


Action = Union[Call, Input, Output, Repeat, Branch]


@dataclass(frozen=True, slots=True)
class Naming:
    """`as a, b`"""

    names: tuple[Name, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Statement:
    """An action and, where its result is named, the naming."""

    action: Action
    naming: Naming | None
    span: Span


@dataclass(frozen=True, slots=True)
class Body:
    """`{ statements }`; a naming in front of them names the value that comes in."""

    naming: Naming | None
    statements: tuple[Statement, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Parameter:
    """`name` or `name=default`"""

    name: Name
    default: Expression | None
    span: Span


@dataclass(frozen=True, slots=True)
class Use:
    """`use "blocks.upc"`"""

    path: String
    span: Span


@dataclass(frozen=True, slots=True)
class Net:
    """`net name(parameters) { }`"""

    name: Name
    parameters: tuple[Parameter, ...]
    body: Body
    span: Span


@dataclass(frozen=True, slots=True)
class Block:
    """`block name(parameters) { }`"""

    name: Name
    parameters: tuple[Parameter, ...]
    body: Body
    span: Span


@dataclass(frozen=True, slots=True)
class Comment:
    """`# text`, with its sign and without the line's end."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class File:
    """A whole file, its items in the order written; comments stand apart, found again by their spans.

    `tokens` counts its words, signs and comments.
    """

    source: Source
    items: tuple[Use | Net | Block, ...]
    comments: tuple[Comment, ...]
    span: Span
    tokens: int = 0

    @property
    def uses(self) -> tuple[Use, ...]:
        return tuple(item for item in self.items if isinstance(item, Use))

    @property
    def nets(self) -> tuple[Net, ...]:
        return tuple(item for item in self.items if isinstance(item, Net))

    @property
    def blocks(self) -> tuple[Block, ...]:
        return tuple(item for item in self.items if isinstance(item, Block))


def show(node: object, indent: int = 0) -> str:
    """The tree as indented text, one node a line: what `--emit tree` prints."""
    lines: list[str] = []
    _show(node, "", indent, lines)
    return "\n".join(lines)


def _show(node: object, label: str, indent: int, lines: list[str]) -> None:
    margin = "  " * indent + label
    if isinstance(node, tuple):
        for item in node:
            _show(item, label, indent, lines)
    elif isinstance(node, (Name, Word)):
        lines.append(f"{margin}{type(node).__name__} {node.text}")
    elif isinstance(node, Number):
        lines.append(f"{margin}Number {node.text}")
    elif isinstance(node, (String, Constant)):
        lines.append(f"{margin}{type(node).__name__} {node.value!r}")
    elif isinstance(node, str):
        lines.append(f"{margin}{node}")
    elif node is not None:
        span: Span = node.span  # type: ignore[attr-defined]
        lines.append(f"{margin}{type(node).__name__} {span.line}:{span.column}")
        for f in fields(node):  # type: ignore[arg-type]
            if f.name not in ("span", "source", "comments", "tokens"):
                _show(getattr(node, f.name), f"{f.name}: ", indent + 1, lines)
