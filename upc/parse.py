"""Text to tree. Syntax errors are collected: after one, reading goes on with the next statement."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lark import Token

from upc import limits, mistakes, syntax
from upc.diagnostics import Diagnostic, UpcError
from upc.scan import scan, span_of
from upc.shift_reduce import Make, ShiftReduce, Unexpected
from upc.source import Source, Span

_STATEMENTS = frozenset({"NAME", "INPUT", "OUTPUT", "REPEAT", "FROM"})
_ITEMS = frozenset({"NET", "BLOCK", "USE"})


def parse(source: Source, before: int = 0) -> syntax.File:
    """The tree of a source. Raises UpcError with every syntax error found.

    `before` counts the tokens of the same project that have been read already.
    """
    scanned = scan(source, before)
    plant = _Plant(source, scanned.comments, len(scanned.tokens) + len(scanned.comments))
    file, errors = _drive(scanned.tokens, plant, source) if not scanned.fatal else (None, [])
    # What was cut out of a line would be missed by the parser, too.
    lines = {d.span.line for d in scanned.errors if d.span}
    errors = [d for d in errors if d.span and d.span.line not in lines]
    errors = sorted(scanned.errors + errors, key=lambda d: d.span.start if d.span else 0)
    if errors or file is None:
        raise UpcError(errors[: limits.DIAGNOSTICS])
    return file


def _drive(tokens: list[Token], plant: _Plant, source: Source) -> tuple[syntax.File | None, list[Diagnostic]]:
    """Feed the tokens to the parser; at an error, note it, drop the broken statement and go on."""
    at_end = Token("$END", "", len(source.text), end_pos=len(source.text))
    ends = [*tokens, at_end]
    parser = ShiftReduce(plant.makers())
    errors: list[Diagnostic] = []
    at = 0
    while at < len(ends):
        try:
            result = parser.feed(ends[at])
            at += 1
            if at == len(ends):
                return (result if not errors else None), errors
        except Unexpected as e:
            token = ends[at]
            if errors and token.type in ("$END", "RBRACE"):
                break  # most likely what an earlier mistake left over
            errors.append(mistakes.explain(source, ends, at, e.expected))
            at = _resume(parser, ends, at + (errors[-1].code == "E0105"), source)
            if len(errors) >= limits.DIAGNOSTICS:
                break
    return None, errors


def _resume(parser: ShiftReduce, tokens: list[Token], at: int, source: Source) -> int:
    """Skip to where a statement or an item begins, and put the parser where it expects one."""
    braces = 0
    at -= mistakes.starts_call(source, tokens, at)
    for here in range(at, len(tokens) - 1):
        kind = tokens[here].type
        if kind == "LBRACE":
            braces += 1
        elif kind == "RBRACE" and braces:
            braces -= 1
        elif (kind == "RBRACE" and parser.unwind("RBRACE")) or (kind in _ITEMS and not braces and parser.unwind("NET")):
            return here
        elif kind in _STATEMENTS and not braces and mistakes.starts_line(source, tokens, here):
            called = kind != "NAME" or tokens[here + 1].type == "LPAR"
            if called and parser.unwind("REPEAT"):
                return here
    return len(tokens)


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), text[1:-1])


_Children = list[Any]


class _Plant:
    """Makes our nodes of what the grammar finds: one method a rule, by the rule's name."""

    RULES = (
        "start", "use", "net", "block", "parameters", "parameter", "body", "statement", "naming", "input", "output",
        "repeat", "branch", "call", "argument", "binary", "negative", "list", "integer", "decimal", "string", "word",
        "constant",
    )  # fmt: skip

    def __init__(self, source: Source, comments: tuple[syntax.Comment, ...], tokens: int) -> None:
        self.source, self.comments, self.tokens = source, comments, tokens

    def makers(self) -> dict[str, Make]:
        """Each rule's method, given where the rule's text begins and ends."""

        def maker(method: Callable[[Span, _Children], Any]) -> Make:
            return lambda start, end, children: method(Span(self.source, start, end), children)

        return {rule: maker(getattr(self, rule)) for rule in self.RULES}

    def _name(self, token: Token) -> syntax.Name:
        return syntax.Name(str(token), span_of(self.source, token))

    def start(self, span: Span, items: _Children) -> syntax.File:
        whole = Span(self.source, 0, len(self.source.text))
        return syntax.File(self.source, tuple(items), self.comments, whole, self.tokens)

    def use(self, span: Span, children: _Children) -> syntax.Use:
        token = children[0]
        return syntax.Use(syntax.String(_unescape(token), span_of(self.source, token)), span)

    def net(self, span: Span, children: _Children) -> syntax.Net:
        name, parameters, body = children
        return syntax.Net(self._name(name), parameters, body, span)

    def block(self, span: Span, children: _Children) -> syntax.Block:
        name, parameters, body = children
        return syntax.Block(self._name(name), parameters, body, span)

    def parameters(self, span: Span, items: _Children) -> tuple[syntax.Parameter, ...]:
        return tuple(item for item in items if item is not None)

    def parameter(self, span: Span, children: _Children) -> syntax.Parameter:
        name, default = children
        return syntax.Parameter(self._name(name), default, span)

    def body(self, span: Span, children: _Children) -> syntax.Body:
        return syntax.Body(children[0], tuple(children[1:]), span)

    def statement(self, span: Span, children: _Children) -> syntax.Statement:
        return syntax.Statement(children[0], children[1], span)

    def naming(self, span: Span, names: _Children) -> syntax.Naming:
        return syntax.Naming(tuple(map(self._name, names)), span)

    def input(self, span: Span, children: _Children) -> syntax.Input:
        return syntax.Input(self._name(children[0]), children[1], span)

    def output(self, span: Span, names: _Children) -> syntax.Output:
        return syntax.Output(tuple(map(self._name, names)), span)

    def repeat(self, span: Span, children: _Children) -> syntax.Repeat:
        variable, first, _, last, body = children
        return syntax.Repeat(variable and self._name(variable), first, last, body, span)

    def branch(self, span: Span, children: _Children) -> syntax.Branch:
        return syntax.Branch(self._name(children[0]), children[1], span)

    def call(self, span: Span, children: _Children) -> syntax.Call:
        arguments = tuple(child for child in children[1:] if child is not None)
        return syntax.Call(self._name(children[0]), arguments, span)

    def argument(self, span: Span, children: _Children) -> syntax.Argument:
        name, value = children
        return syntax.Argument(name and self._name(name), value, span)

    def binary(self, span: Span, children: _Children) -> syntax.Binary:
        left, operator, right = children
        return syntax.Binary(str(operator), left, right, span)

    def negative(self, span: Span, children: _Children) -> syntax.Negative:
        return syntax.Negative(children[1], span)

    def list(self, span: Span, items: _Children) -> syntax.List:
        return syntax.List(tuple(item for item in items if item is not None), span)

    def _number(kind: Callable[[str], int | float]) -> Any:  # type: ignore[misc]
        def number(self: _Plant, span: Span, children: _Children) -> syntax.Number:
            text = str(children[0])
            return syntax.Number(kind(text), text, span)

        return number

    integer = _number(int)
    decimal = _number(float)

    def string(self, span: Span, children: _Children) -> syntax.String:
        return syntax.String(_unescape(children[0]), span)

    def word(self, span: Span, children: _Children) -> syntax.Word:
        return syntax.Word(str(children[0]), span)

    def constant(self, span: Span, children: _Children) -> syntax.Constant:
        return syntax.Constant({"true": True, "false": False, "none": None}[str(children[0])], span)
