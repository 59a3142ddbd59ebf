"""Text to tree. Syntax errors are collected: after one, reading goes on with the next statement."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lark import Token, Tree
from lark.exceptions import UnexpectedToken
from lark.parsers.lalr_interactive_parser import InteractiveParser
from lark.tree import Meta
from lark.visitors import Transformer_NonRecursive, v_args

from upc import limits, mistakes, syntax
from upc.diagnostics import Diagnostic, UpcError
from upc.scan import grammar, scan, span_of
from upc.source import Source, Span

_STATEMENTS = frozenset({"NAME", "INPUT", "OUTPUT", "REPEAT", "FROM"})
_ITEMS = frozenset({"NET", "BLOCK", "USE"})


def parse(source: Source) -> syntax.File:
    """The tree of a source. Raises UpcError with every syntax error found."""
    scanned = scan(source)
    tree, errors = _drive(scanned.tokens, source) if not scanned.fatal else (None, [])
    # What was cut out of a line would be missed by the parser, too.
    lines = {d.span.line for d in scanned.errors if d.span}
    errors = [d for d in errors if d.span and d.span.line not in lines]
    errors = sorted(scanned.errors + errors, key=lambda d: d.span.start if d.span else 0)
    if errors or tree is None:
        raise UpcError(errors[: limits.DIAGNOSTICS])
    file: syntax.File = _Plant(source, scanned.comments).transform(tree)
    return file


def _drive(tokens: list[Token], source: Source) -> tuple[Tree[Token] | None, list[Diagnostic]]:
    """Feed the tokens to the parser; at an error, note it, drop the broken statement and go on."""
    at_end = Token("$END", "", len(source.text), end_pos=len(source.text))
    ends = [*tokens, at_end]
    parser = grammar().parse_interactive("")
    errors: list[Diagnostic] = []
    at = 0
    while at < len(ends):
        try:
            result = parser.feed_token(ends[at])
            at += 1
            if at == len(ends):
                return (result if not errors else None), errors
        except UnexpectedToken as e:
            token = ends[at]
            if errors and token.type in ("$END", "RBRACE"):
                break  # most likely what an earlier mistake left over
            errors.append(mistakes.explain(source, ends, at, frozenset(e.accepts or e.expected)))
            at = _resume(parser, ends, at + (errors[-1].code == "E0105"), source)
            if len(errors) >= limits.DIAGNOSTICS:
                break
    return None, errors


def first_error(source: Source) -> tuple[list[Token], int]:
    """The tokens of a faulty source, its end among them, and the place of the one the parser stops at."""
    tokens = [*scan(source).tokens, Token("$END", "", len(source.text), end_pos=len(source.text))]
    parser = grammar().parse_interactive("")
    for at, token in enumerate(tokens):
        try:
            parser.feed_token(token)
        except UnexpectedToken:
            return tokens, at
    raise ValueError(f"no mistake in {source.text!r}")


def _resume(parser: InteractiveParser, tokens: list[Token], at: int, source: Source) -> int:
    """Skip to where a statement or an item begins, and put the parser where it expects one."""
    states = parser.parser_state.parse_conf.parse_table.states
    state_stack, value_stack = parser.parser_state.state_stack, parser.parser_state.value_stack

    def unwind(landmark: str) -> bool:
        depth = next((i for i in range(len(state_stack), 0, -1) if landmark in states[state_stack[i - 1]]), 0)
        if depth:
            del state_stack[depth:], value_stack[depth - 1 :]
        return depth > 0

    braces = 0
    at -= mistakes.starts_call(source, tokens, at)
    for here in range(at, len(tokens) - 1):
        kind = tokens[here].type
        if kind == "LBRACE":
            braces += 1
        elif kind == "RBRACE" and braces:
            braces -= 1
        elif (kind == "RBRACE" and unwind("RBRACE")) or (kind in _ITEMS and not braces and unwind("NET")):
            return here
        elif kind in _STATEMENTS and not braces and mistakes.starts_line(source, tokens, here):
            called = kind != "NAME" or tokens[here + 1].type == "LPAR"
            if called and unwind("REPEAT"):
                return here
    return len(tokens)


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), text[1:-1])


_Children = list[Any]


@v_args(meta=True)
class _Plant(Transformer_NonRecursive):  # type: ignore[type-arg]
    """Lark's tree to ours: one method a rule."""

    def __init__(self, source: Source, comments: tuple[syntax.Comment, ...]) -> None:
        super().__init__(visit_tokens=False)
        self.source, self.comments = source, comments

    def _at(self, meta: Meta) -> Span:
        return Span(self.source, 0, 0) if meta.empty else span_of(self.source, meta)

    def _name(self, token: Token) -> syntax.Name:
        return syntax.Name(str(token), span_of(self.source, token))

    def start(self, meta: Meta, items: _Children) -> syntax.File:
        return syntax.File(self.source, tuple(items), self.comments, Span(self.source, 0, len(self.source.text)))

    def use(self, meta: Meta, children: _Children) -> syntax.Use:
        token = children[0]
        return syntax.Use(syntax.String(_unescape(token), span_of(self.source, token)), self._at(meta))

    def net(self, meta: Meta, children: _Children) -> syntax.Net:
        name, parameters, body = children
        return syntax.Net(self._name(name), parameters, body, self._at(meta))

    def block(self, meta: Meta, children: _Children) -> syntax.Block:
        name, parameters, body = children
        return syntax.Block(self._name(name), parameters, body, self._at(meta))

    def parameters(self, meta: Meta, items: _Children) -> tuple[syntax.Parameter, ...]:
        return tuple(item for item in items if item is not None)

    def parameter(self, meta: Meta, children: _Children) -> syntax.Parameter:
        name, default = children
        return syntax.Parameter(self._name(name), default, self._at(meta))

    def body(self, meta: Meta, children: _Children) -> syntax.Body:
        return syntax.Body(children[0], tuple(children[1:]), self._at(meta))

    def statement(self, meta: Meta, children: _Children) -> syntax.Statement:
        return syntax.Statement(children[0], children[1], self._at(meta))

    def naming(self, meta: Meta, names: _Children) -> syntax.Naming:
        return syntax.Naming(tuple(map(self._name, names)), self._at(meta))

    def input(self, meta: Meta, children: _Children) -> syntax.Input:
        return syntax.Input(self._name(children[0]), children[1], self._at(meta))

    def output(self, meta: Meta, names: _Children) -> syntax.Output:
        return syntax.Output(tuple(map(self._name, names)), self._at(meta))

    def repeat(self, meta: Meta, children: _Children) -> syntax.Repeat:
        variable, first, _, last, body = children
        return syntax.Repeat(variable and self._name(variable), first, last, body, self._at(meta))

    def branch(self, meta: Meta, children: _Children) -> syntax.Branch:
        return syntax.Branch(self._name(children[0]), children[1], self._at(meta))

    def call(self, meta: Meta, children: _Children) -> syntax.Call:
        arguments = tuple(child for child in children[1:] if child is not None)
        return syntax.Call(self._name(children[0]), arguments, self._at(meta))

    def argument(self, meta: Meta, children: _Children) -> syntax.Argument:
        name, value = children
        return syntax.Argument(name and self._name(name), value, self._at(meta))

    def binary(self, meta: Meta, children: _Children) -> syntax.Binary:
        left, operator, right = children
        return syntax.Binary(str(operator), left, right, self._at(meta))

    def negative(self, meta: Meta, children: _Children) -> syntax.Negative:
        return syntax.Negative(children[1], self._at(meta))

    def list(self, meta: Meta, items: _Children) -> syntax.List:
        return syntax.List(tuple(item for item in items if item is not None), self._at(meta))

    def _number(kind: Callable[[str], int | float]) -> Any:  # type: ignore[misc]
        def number(self: _Plant, meta: Meta, children: _Children) -> syntax.Number:
            text = str(children[0])
            return syntax.Number(kind(text), text, self._at(meta))

        return number

    integer = _number(int)
    decimal = _number(float)

    def string(self, meta: Meta, children: _Children) -> syntax.String:
        return syntax.String(_unescape(children[0]), self._at(meta))

    def word(self, meta: Meta, children: _Children) -> syntax.Word:
        return syntax.Word(str(children[0]), self._at(meta))

    def constant(self, meta: Meta, children: _Children) -> syntax.Constant:
        return syntax.Constant({"true": True, "false": False, "none": None}[str(children[0])], self._at(meta))
