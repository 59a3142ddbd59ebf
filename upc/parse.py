"""Text to tree. Syntax errors are collected: after one, reading goes on with the next statement."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedToken
from lark.parsers.lalr_interactive_parser import InteractiveParser
from lark.tree import Meta
from lark.visitors import Transformer_NonRecursive, v_args

from upc import limits, mistakes, resources, syntax
from upc.diagnostics import Diagnostic, UpcError
from upc.source import Source, Span

_BRACKETS = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
_OPERATORS = frozenset({"PLUS", "MINUS", "STAR", "SLASH", "PERCENT", "POWER"})
_SEPARATORS = frozenset({"LBRACE", "RBRACE", "COMMA", "RPAR", "RSQB"})
_STATEMENTS = frozenset({"NAME", "INPUT", "OUTPUT", "REPEAT", "FROM"})
_ITEMS = frozenset({"NET", "BLOCK", "USE"})

# What could end a line or turn text around in an editor has no place in a file whose comments reach other files.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]|\r(?!\n)"
)

# What a quote that begins no proper string most likely meant to enclose.
_OPEN_TEXT = {'"': re.compile(r'"[^,)\]}\n]*'), "'": re.compile(r"'([^'\n]*')?")}

_CHARACTER_HINTS = {
    "'": 'text stands in double quotes: "same"',
    '"': 'text in double quotes ends on the line it began: "same"',
    ";": "a statement needs no `;`: the next one begins a new line",
    ".": "each layer is a line of its own, not chained with dots; decimals have digits on both sides: 0.5",
    ">": "a value is named with `as`: `conv2d(8, 3) as skip`",
    "<": "upc has no comparisons",
    "!": "comments begin with `#`",
    "_": "names begin with a letter",
    "@": "a whole number is multiplied with `*`",
    "^": "powers are written `2 ** i`",
}


@cache
def _parser() -> Lark:
    return Lark(
        resources.read("grammar/upc.lark"),
        parser="lalr",
        lexer="basic",
        propagate_positions=True,
        maybe_placeholders=True,
    )


def parse(source: Source) -> syntax.File:
    """The tree of a source. Raises UpcError with every syntax error found."""
    scan = _scan(source)
    tree, errors = _drive(scan.tokens, source) if not scan.fatal else (None, [])
    # What was cut out of a line would be missed by the parser, too.
    lines = {d.span.line for d in scan.errors if d.span}
    errors = [d for d in errors if d.span and d.span.line not in lines]
    errors = sorted(scan.errors + errors, key=lambda d: d.span.start if d.span else 0)
    if errors or tree is None:
        raise UpcError(errors[: limits.DIAGNOSTICS])
    file: syntax.File = _Plant(source, scan.comments).transform(tree)
    return file


@dataclass(slots=True)
class _Scan:
    tokens: list[Token]
    comments: tuple[syntax.Comment, ...]
    errors: list[Diagnostic]
    fatal: bool


def _scan(source: Source) -> _Scan:
    """Cut the text into tokens and hold it to the limits, before any tree is grown."""
    if len(source.text) > limits.FILE_BYTES or len(source.text.encode(errors="replace")) > limits.FILE_BYTES:
        message = f"the file is larger than {limits.FILE_BYTES // 1024} KiB"
        return _Scan([], (), [Diagnostic("E0601", message, Span(source, 0, 1))], True)
    errors: list[Diagnostic] = []
    text = source.text.replace("\ufeff", " ", 1) if source.text.startswith("\ufeff") else source.text

    def blank(match: re.Match[str]) -> str:
        if len(errors) < limits.DIAGNOSTICS:
            message = f"control character U+{ord(match[0]):04X} is not allowed, not even in comments"
            errors.append(Diagnostic("E0102", message, Span(source, match.start(), match.end())))
        return " "

    text = _CONTROLS.sub(blank, text)
    tokens: list[Token] = []
    comments: list[syntax.Comment] = []
    while True:
        tokens.clear()
        comments.clear()
        try:
            for token in _parser().lex(text, dont_ignore=True):
                span = _span(source, token)
                if token.type == "COMMENT":
                    comments.append(syntax.Comment(str(token), span))
                elif token.type != "BLANK":
                    tokens.append(token)
                    if len(tokens) > limits.FILE_TOKENS:
                        errors.append(Diagnostic("E0601", f"more than {limits.FILE_TOKENS} words and signs", span))
                        return _Scan([], (), errors, True)
            break
        except UnexpectedCharacters as e:
            at = e.pos_in_stream or 0
            char = text[at]
            end = _OPEN_TEXT[char].match(text, at).end() if char in _OPEN_TEXT else at + 1  # type: ignore[union-attr]
            message = "the text in quotes is not closed" if char == '"' else f"unexpected character `{char}`"
            hint = _CHARACTER_HINTS.get(char, "names are letters a to z, digits and _" if char.isalnum() else None)
            errors.append(Diagnostic("E0103" if char == '"' else "E0101", message, Span(source, at, end), hint))
            if len(errors) >= limits.DIAGNOSTICS:
                return _Scan([], (), errors, True)
            # A string stands in for an open one, so that what follows is read as it was meant.
            filler = '""'.ljust(end - at) if end - at > 1 else " "
            text = text[:at] + filler + text[end:]
    fatal = _limit(tokens, source, errors)
    return _Scan(tokens, tuple(comments), errors, fatal)


def _limit(tokens: list[Token], source: Source, errors: list[Diagnostic]) -> bool:
    """Report numbers, names and nesting beyond the limits; True where no tree should be grown."""
    before = len(errors)
    open_brackets: list[str] = []
    operators = 0

    def refuse(message: str, token: Token, hint: str | None = None) -> None:
        if len(errors) < limits.DIAGNOSTICS:
            errors.append(Diagnostic("E0602", message, _span(source, token), hint))

    for token in tokens:
        if token.type in _BRACKETS:
            open_brackets.append(token.type)
            if len(open_brackets) == limits.NESTING + 1:
                refuse(f"brackets nest deeper than {limits.NESTING}", token)
        elif token.type in _BRACKETS.values() and open_brackets:
            open_brackets.pop()
        if token.type in _OPERATORS:
            operators += 1
            if operators == limits.OPERATORS + 1:
                refuse(f"more than {limits.OPERATORS} arithmetic signs in one value", token)
        elif token.type in _SEPARATORS and open_brackets[:-1].count("LBRACE") >= len(open_brackets) - 1:
            operators = 0  # a list within a list belongs to the same value
        if token.type == "NAME" and len(token) > limits.NAME_CHARACTERS:
            refuse(f"a name has at most {limits.NAME_CHARACTERS} characters, this one {len(token)}", token)
        if token.type == "INTEGER" and (len(token) > 19 or int(token) > limits.INTEGER):
            refuse("the number is greater than 2**63 - 1", token)
        if token.type == "DECIMAL" and (len(token) > 64 or float(token) in (float("inf"), float("-inf"))):
            refuse("the number is too long or beyond a double's range", token)
    return len(errors) > before


def _drive(tokens: list[Token], source: Source) -> tuple[Tree[Token] | None, list[Diagnostic]]:
    """Feed the tokens to the parser; at an error, note it, drop the broken statement and go on."""
    at_end = Token("$END", "", len(source.text), end_pos=len(source.text))
    ends = [*tokens, at_end]
    parser = _parser().parse_interactive("")
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
            at = _resume(parser, ends, at, source)
            if len(errors) >= limits.DIAGNOSTICS:
                break
    return None, errors


def first_error(source: Source) -> tuple[list[Token], int]:
    """The tokens of a faulty source, its end among them, and the place of the one the parser stops at."""
    tokens = [*_scan(source).tokens, Token("$END", "", len(source.text), end_pos=len(source.text))]
    parser = _parser().parse_interactive("")
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


def _span(source: Source, token: Token | Meta) -> Span:
    start, end = token.start_pos, token.end_pos
    assert start is not None and end is not None
    return Span(source, start, end)


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
        return Span(self.source, 0, 0) if meta.empty else _span(self.source, meta)

    def _name(self, token: Token) -> syntax.Name:
        return syntax.Name(str(token), _span(self.source, token))

    def start(self, meta: Meta, items: _Children) -> syntax.File:
        return syntax.File(self.source, tuple(items), self.comments, Span(self.source, 0, len(self.source.text)))

    def use(self, meta: Meta, children: _Children) -> syntax.Use:
        token = children[0]
        return syntax.Use(syntax.String(_unescape(token), _span(self.source, token)), self._at(meta))

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
