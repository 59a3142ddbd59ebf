"""Cuts text into tokens and holds it to the limits, before any tree is grown."""

from __future__ import annotations

import re
from copy import copy
from dataclasses import dataclass
from functools import cache

from lark import Lark, Token
from lark.exceptions import UnexpectedCharacters
from lark.lexer import BasicLexer, LexerThread

from upc import limits, resources, syntax
from upc.diagnostics import Diagnostic
from upc.source import Source, Span

_BRACKETS = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
_OPERATORS = frozenset({"PLUS", "MINUS", "STAR", "SLASH", "PERCENT", "POWER"})
_SEPARATORS = frozenset({"LBRACE", "RBRACE", "COMMA", "RPAR", "RSQB"})

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
    ".": "each layer is a line of its own, not chained with dots",
    ">": "a value is named with `as`: `conv2d(8, 3) as skip`",
    "<": "upc has no comparisons",
    "!": "comments begin with `#`",
    "_": "names begin with a letter",
    "@": "a whole number is multiplied with `*`",
    "^": "powers are written `2 ** i`",
}


@cache
def grammar() -> Lark:
    """The language, ready to cut and to parse."""
    return Lark(
        resources.read("grammar/upc.lark"),
        parser="lalr",
        lexer="basic",
        maybe_placeholders=True,
    )


@cache
def _lexer() -> BasicLexer:
    """Cuts text into tokens, comments and blanks among them."""
    conf = copy(grammar().lexer_conf)
    conf.ignore = ()
    return BasicLexer(conf)


@dataclass(slots=True)
class Scan:
    """A text in tokens, and what stood in the way; `fatal` where no tree should be grown of it."""

    tokens: list[Token]
    comments: tuple[syntax.Comment, ...]
    errors: list[Diagnostic]
    fatal: bool


def scan(source: Source, before: int = 0) -> Scan:
    """Cut the text into tokens and hold it to the limits, before any tree is grown.

    `before` counts the tokens and comments of the same project that have been read already.
    """
    most = limits.current()
    size = len(source.text)
    if 4 * size > most.file_bytes:
        size = len(source.text.encode(errors="replace"))
    if size > most.file_bytes:
        message = f"the file has {size:,} bytes; the limit is {most.file_bytes:,}"
        problem = Diagnostic("E0601", message, Span(source, 0, 1), limits.hint("file_bytes", size))
        return Scan([], (), [problem], True)
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
    start = 0
    while start < len(text):
        try:
            for token in LexerThread.from_text(_lexer(), text[start:]).lex(None):  # type: ignore[no-untyped-call]
                token.start_pos, token.end_pos = start + (token.start_pos or 0), start + (token.end_pos or 0)
                if token.type == "COMMENT":
                    comments.append(syntax.Comment(str(token), span_of(source, token)))
                elif token.type != "BLANK":
                    tokens.append(token)
                if before + len(tokens) + len(comments) > most.tokens:
                    what = "the project" if before else "the file"
                    message = f"{what} has more than {most.tokens:,} words, signs and comments"
                    errors.append(Diagnostic("E0601", message, span_of(source, token), limits.hint("tokens")))
                    return Scan([], (), errors, True)
            break
        except UnexpectedCharacters as e:
            at = start + (e.pos_in_stream or 0)
            char = text[at]
            quoted = _OPEN_TEXT[char].match(text, at) if char in _OPEN_TEXT else None
            start = quoted.end() if quoted else at + 1
            message = "the text in quotes is not closed" if char == '"' else f"unexpected character `{char}`"
            hint = _hint(text, at)
            errors.append(Diagnostic("E0103" if char == '"' else "E0101", message, Span(source, at, start), hint))
            if len(errors) >= limits.DIAGNOSTICS:
                return Scan([], (), errors, True)
            if start > at + 1:  # what follows is read as it was meant: after a text
                tokens.append(Token("STRING", '""', start_pos=at, end_pos=start))
    fatal = _limit(tokens, source, errors)
    return Scan(tokens, tuple(comments), errors, fatal)


def _hint(text: str, at: int) -> str | None:
    """What a character that begins nothing was most likely meant for."""
    char = text[at]
    if char == "." and text[at - 2 : at] == "..":
        return "a range has two dots: `1..3`"
    if char == "." and (text[at + 1 : at + 2].isdigit() or text[at - 1 : at].isdigit()):
        return "decimals have digits on both sides of the point: 0.5"
    return _CHARACTER_HINTS.get(char, "names are letters a to z, digits and _" if char.isalnum() else None)


def _limit(tokens: list[Token], source: Source, errors: list[Diagnostic]) -> bool:
    """Report numbers, names and nesting beyond the limits; True where no tree should be grown."""
    before = len(errors)
    most = limits.current()
    open_brackets: list[str] = []
    operators = 0

    def refuse(message: str, token: Token, name: str = "", found: int | None = None) -> None:
        if len(errors) < limits.DIAGNOSTICS:
            hint = limits.hint(name, found) if name else None
            errors.append(Diagnostic("E0602", message, span_of(source, token), hint))

    for token in tokens:
        if token.type in _BRACKETS:
            open_brackets.append(token.type)
            if len(open_brackets) == most.nesting + 1:
                refuse(f"brackets nest deeper than {most.nesting}", token, "nesting")
                return True
        elif token.type in _BRACKETS.values() and open_brackets:
            open_brackets.pop()
        if token.type in _OPERATORS:
            operators += 1
            if operators == most.operators + 1:
                refuse(f"more than {most.operators} arithmetic signs in one value", token, "operators")
        elif token.type in _SEPARATORS and open_brackets[:-1].count("LBRACE") >= len(open_brackets) - 1:
            operators = 0  # a list within a list belongs to the same value
        if token.type == "NAME" and len(token) > most.name_characters:
            message = f"a name has at most {most.name_characters} characters, this one {len(token)}"
            refuse(message, token, "name_characters", len(token))
        if token.type == "INTEGER" and (len(token) > 19 or int(token) > limits.INTEGER):
            refuse("the number is greater than 2**63 - 1", token)
        if token.type == "DECIMAL" and (len(token) > 64 or float(token) in (float("inf"), float("-inf"))):
            refuse("the number is too long or beyond a double's range", token)
    return len(errors) > before


def span_of(source: Source, token: Token) -> Span:
    """Where a token stands."""
    start, end = token.start_pos, token.end_pos
    assert start is not None and end is not None
    return Span(source, start, end)
