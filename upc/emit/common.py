"""What the back ends share: what they cannot say, templates, and names for the values of a scope."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from typing import Any

import jinja2

from upc.emit.definitions import LoopItem, Resolved
from upc.emit.layout import INDENT, WIDTH, Code, Names, literal
from upc.emit.rows import Row
from upc.emit.structure import Scope
from upc.gaps import CannotSay as CannotSay
from upc.gaps import Unsupported as Unsupported
from upc.gaps import unsupported as unsupported
from upc.ir import Graph, Value
from upc.resources import directory
from upc.shape import Dim, Shape, Size, show
from upc.source import Span


@cache
def environment(target: str) -> jinja2.Environment:
    """The templates of a target; `{{ value }}` writes a Python literal, and undefined names are errors."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(directory("templates") / target),
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    env.filters["arg"] = _arg
    env.filters["first_arg"] = _first_arg
    env.filters["plus"] = _plus
    env.filters["code"] = Code
    env.filters["nested"] = _nested
    return env


def _finalize(value: Any) -> Any:
    return value if isinstance(value, (jinja2.Undefined, Code)) else literal(value)


def _arg(value: Any, name: str) -> Code:
    """`, name=value`, or nothing for None: the argument keeps the framework's default."""
    return Code("" if value is None else f", {name}={literal(value)}")


def _first_arg(value: Any, name: str, end: str = "") -> Code:
    """As `arg`, with what parts it from the next one behind it instead of a comma in front."""
    return Code("" if value is None else f"{name}={literal(value)}{end}")


def _plus(value: Any) -> Code:
    """` + 0.5` or ` - 0.5`, and nothing for None."""
    if isinstance(value, float) and value < 0:
        return Code(f" - {literal(-value)}")
    return Code("" if value is None else f" + {literal(value)}")


def _nested(values: Sequence[str], function: str) -> Code:
    """`f(f(a, b), c)`: a function of two applied to any number."""
    return Code(reduce(lambda a, b: f"{function}({a}, {b})", values))


def macro(target: str, table: str, name: Any) -> Any:
    """A macro of `<table>.j2`, or a row that stands in none, as a function that gives Code."""
    if isinstance(name, Row):
        return lambda *args: Code(name.say(*args))
    found = getattr(environment(target).get_template(f"{table}.j2").module, name)
    return lambda *args: Code(found(*args).strip())


def signature(graph: Graph, shown: Any = show) -> str:
    """`z (100,) -> face (64, 64, 3)`"""
    inputs = ", ".join(f"{v.name} {shown(v.shape)}" for v in graph.inputs)
    outputs = ", ".join(f"{o.name} {shown(o.value.shape)}" for o in graph.outputs)
    return f"{inputs} -> {outputs}"


def header(source_name: str, source_sha256: str, version: str) -> str:
    """Where a module comes from."""
    name = base_name(source_name)
    return f"Emitted by upc {version} from {name}, whose lines the comments name.\nsha256 {source_sha256}"


def place(span: Span, source_name: str) -> str:
    """The line a comment points at: `line 12`, with the file's name where it is another file."""
    own = span.source.name == source_name
    return f"line {span.line}" if own else f"{base_name(span.source.name)} line {span.line}"


def document(text: str, depth: int = 0) -> str:
    """A docstring's text, broken where it is too long for a line; then its closing quotes stand alone."""
    lines = textwrap.wrap(text, WIDTH - 4 * depth - 6, break_long_words=False, break_on_hyphens=False)
    return f"\n{INDENT * depth}".join(lines if len(lines) < 2 else [*lines, ""])


def base_name(source_name: str) -> str:
    """The file's own name, with nothing in it that could end a comment or a docstring."""
    name = source_name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c if c.isprintable() and c not in "\"'\\" else "_" for c in name)


def free_axes(shape: Shape) -> bool:
    """Whether a spatial axis is free."""
    return any(isinstance(dim, Size) for dim in shape[:-1])


def difference(a: Dim, b: Dim) -> int:
    """a - b, for sizes that differ by a number whatever their names stand for."""
    left = a - b
    assert isinstance(left, int), f"{a} - {b} depends on a free size"
    return left


def compact(values: Sequence[Any]) -> Any:
    """One value where all axes agree: `4` for (4, 4)."""
    return values[0] if len(set(values)) == 1 else tuple(values)


@dataclass(slots=True)
class Flow:
    """The variable names of one function: the chain's own name, and names for values that live longer."""

    chain: str
    names: dict[Value, str]

    def __getitem__(self, value: Value) -> str:
        return self.names[value]


def flow(
    scope: Scope,
    items: Sequence[Resolved],
    given: Mapping[Value, str],
    aliases: Mapping[str, str],
    names: Names,
    outer: Flow | None = None,
    inputs_last: bool = False,
) -> Flow:
    """Name the values of a scope whose inputs have their names already.

    A value that only the next statement reads is called `x`, as people write it. Where an input called
    `x` is read again later, or must last to the end, the chain is called `y`. All others get the user's
    word or their layer's kind. The body of a loop goes on with the `outer` chain's name where it can.
    """
    uses: dict[Value, set[int]] = {}
    for i, item in enumerate(items):
        for value in item.inputs:
            uses.setdefault(value, set()).add(i)
    for value in scope.outputs:
        uses.setdefault(value, set()).add(len(items))
    kept = {v for item in items if isinstance(item, LoopItem) for v in item.inputs[1:]}
    lasting = {name for value, name in given.items() if inputs_last or uses.get(value, set()) - {0}}
    names.reserve("x", "y", "z")
    usual = ["x", "y", "z"]
    if outer is not None:
        usual = [outer.chain, *(name for name in usual if name not in outer.names.values())]
    chain = next((name for name in usual if name not in lasting), None) or names.new("x")
    found = dict(given)
    for i, item in enumerate(items):
        for value in item.outputs:
            if value not in uses:
                found[value] = "_"
            elif uses[value] == {i + 1} and len(item.outputs) == 1 and value not in kept:
                found[value] = chain
            else:
                found[value] = names.new(aliases.get(value.name) or _kind(item))
    return Flow(chain, found)


def _kind(item: Resolved) -> str:
    return item.definition.scope.name if not hasattr(item, "node") else item.node.layer.name


def aliases(graph: Graph) -> dict[str, str]:
    """The user's word for each value that has one."""
    named = {value: name for name, value in reversed(graph.values_named)}
    return {**{o.value.name: o.name for o in graph.outputs}, **named}
