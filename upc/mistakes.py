"""Syntax errors in words, taught by the examples of `grammar/mistakes.toml`.

Every example is read once; where the parser stops, the words around that place become the mistake's
signature. A real mistake is then recognised by its own surroundings, the most particular signature first.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from lark import Token

from upc import resources
from upc.diagnostics import Diagnostic
from upc.shift_reduce import first_error
from upc.source import Source, Span

KEYWORDS = frozenset({"net", "block", "use", "input", "output", "repeat", "from", "in", "as", "true", "false", "none"})


@dataclass(frozen=True, slots=True)
class Mistake:
    """What to say where the parser stops as it does in the examples."""

    message: str
    hint: str
    examples: tuple[str, ...]
    caret: str = "token"


@cache
def mistakes() -> tuple[Mistake, ...]:
    """The table of `grammar/mistakes.toml`."""
    table = tomllib.loads(resources.read("grammar/mistakes.toml"))
    return tuple(Mistake(m["say"], m["hint"], tuple(m["examples"]), m.get("caret", "token")) for m in table["mistake"])


_FOREIGN = {
    "for": "repetition is `repeat i in 1..3 { }`",
    "while": "repetition is `repeat i in 1..3 { }`",
    "def": "a stack of layers with a name is a `block`",
    "fn": "a stack of layers with a name is a `block`",
    "class": "a network is a `net`",
    "model": "a network is a `net`",
    "module": "a network is a `net`",
    "return": "a result is returned with `output name`",
    "import": 'blocks of another file are brought in with `use "blocks.upc"`',
    "include": 'blocks of another file are brought in with `use "blocks.upc"`',
    "let": "a value is named with `as`: `conv2d(8, 3) as skip`",
    "var": "a value is named with `as`: `conv2d(8, 3) as skip`",
    "const": "a constant is a parameter with a default: `net n(width=64)`",
    "if": "upc has no conditions; parameters choose sizes",
}

_VALUES = frozenset({"INTEGER", "DECIMAL", "STRING", "TRUE", "FALSE", "NONE"})
_OPERATORS = frozenset({"PLUS", "MINUS", "STAR", "SLASH", "PERCENT", "POWER"})
_ENDS = frozenset({"VALUE", "NAME", "RPAR", "RSQB"})
_ITEMS = frozenset({"NET", "BLOCK", "USE"})
_CLOSE = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
_SIGNS = {
    "LPAR": "(", "RPAR": ")", "LSQB": "[", "RSQB": "]", "LBRACE": "{", "RBRACE": "}", "COMMA": ",", "COLON": ":",
    "EQUAL": "=", "RANGE": "..", "PLUS": "+", "MINUS": "-", "STAR": "*", "SLASH": "/", "PERCENT": "%", "POWER": "**",
}  # fmt: skip

Signature = tuple[object, ...]


def starts_line(source: Source, tokens: Sequence[Token], at: int) -> bool:
    """Whether a token is the first on its line."""
    if at == 0:
        return True
    return "\n" in source.text[tokens[at - 1].end_pos : tokens[at].start_pos]


def starts_call(source: Source, tokens: Sequence[Token], at: int) -> bool:
    """Whether a token is the parenthesis after a name that begins a line."""
    named = tokens[at].type == "LPAR" and at > 0 and tokens[at - 1].type == "NAME"
    return named and starts_line(source, tokens, at - 1)


def explain(source: Source, tokens: Sequence[Token], at: int, expected: frozenset[str]) -> Diagnostic:
    """What to say where the parser stopped: at token `at`, when it could have gone on with `expected`."""
    token, previous = tokens[at], tokens[at - 1] if at else None
    here = _span(source, token)
    behind = Span(source, previous.end_pos or 0, previous.end_pos or 0) if previous else here
    opener = _opener(tokens, at)
    note = ((_span(source, tokens[opener]), "opened here"),) if opener is not None else ()
    if token.type == "$END" and opener is not None:
        sign = _SIGNS[tokens[opener].type]
        closing = _SIGNS[_CLOSE[tokens[opener].type]]
        return Diagnostic(
            "E0104", f"the file ends, but `{sign}` is not closed", _span(source, tokens[opener]), f"write `{closing}`"
        )
    same_line = previous is not None and not starts_line(source, tokens, at)
    if previous is not None and same_line:
        if previous.type == token.type == "SLASH":
            return Diagnostic(
                "E0106", "upc has no `//`", here, "division is exact: `width / 2`; comments begin with `#`"
            )
        if previous.type in ("INTEGER", "DECIMAL") and token.type == "NAME" and previous.end_pos == token.start_pos:
            hint = f"a product is written `{previous} * {token}`; names begin with a letter"
            return Diagnostic("E0106", f"`{previous}{token}` is neither a number nor a name", here, hint)
        if previous.type == "NAME" and str(previous) in _FOREIGN and _is_body(tokens, opener):
            return Diagnostic("E0106", f"upc has no `{previous}`", _span(source, previous), _FOREIGN[str(previous)])
        if str(token) in KEYWORDS and "NAME" in expected and previous.type != "RPAR":
            return Diagnostic(
                "E0105", f"`{token}` is a keyword and cannot be a name", here, f"choose another, such as `{token}_`"
            )
    if token.type == "NAME" and str(token) in _FOREIGN and _is_body(tokens, opener):
        return Diagnostic("E0106", f"upc has no `{token}`", here, _FOREIGN[str(token)])
    if token.type == "SLASH" and tokens[at + 1].type == "SLASH":
        return Diagnostic("E0106", "upc has no `//`", here.to(_span(source, tokens[at + 1])), "comments begin with `#`")
    mistake = recognise(source, tokens, at)
    if mistake is not None:
        words = {"token": str(token), "previous": str(previous), "opener": _opener_name(tokens, opener)}
        words["list"] = _as_list(source, tokens, at if token.type == "LPAR" else opener) or "[4, 4, 3]"
        if mistake.caret == "behind" and at > 1 and starts_call(source, tokens, at):
            end = tokens[at - 2].end_pos or 0
            behind = Span(source, end, end)
        before = _span(source, previous) if previous else here
        place = {"token": here, "behind": behind, "previous": before}[mistake.caret]
        bracketed = mistake.caret == "behind" and opener is not None and tokens[opener].type != "LBRACE"
        message, hint = _filled(mistake.message, words), _filled(mistake.hint, words)
        return Diagnostic("E0106", message, place, hint, note if bracketed else ())
    return Diagnostic("E0106", f"expected {_names(expected)}, got {_name(token)}", here)


def _filled(text: str, words: Mapping[str, str]) -> str:
    """Only these are replaced: hints are full of the language's own braces."""
    for word, value in words.items():
        text = text.replace(f"{{{word}}}", value)
    return text


def _as_list(source: Source, tokens: Sequence[Token], opener: int | None) -> str | None:
    """What the user wrote in parentheses, as the list that it stands for; None where it is none, or long."""
    if opener is None or tokens[opener].type != "LPAR":
        return None
    depth = 0
    for token in tokens[opener : opener + 24]:
        depth += (token.type == "LPAR") - (token.type == "RPAR")
        if token.type not in ("LPAR", "RPAR", "COMMA", "NAME", "INTEGER", "MINUS"):
            return None
        if not depth:
            inside = source.text[tokens[opener].end_pos : token.start_pos]
            listed = ", ".join(part.strip() for part in inside.split(",") if part.strip())
            return f"[{listed}]" if listed and len(listed) <= 40 and not set("(\n#") & set(listed) else None
    return None


def recognise(source: Source, tokens: Sequence[Token], at: int) -> Mistake | None:
    """The taught mistake that looks like this place, if any does."""
    lessons = _lessons()
    return next((lessons[s] for s in _signatures(source, tokens, at) if s in lessons), None)


def example_text(example: str) -> str:
    """A file with an example in it."""
    if example.startswith("^"):
        return example[1:]
    if example.split()[0] in ("net", "block", "use"):
        return example
    return f"net n {{\nrelu()\n{example}\n}}\n"


@cache
def _lessons() -> dict[Signature, Mistake]:
    lessons: dict[Signature, Mistake] = {}
    for mistake in mistakes():
        for example in mistake.examples:
            source = Source("example", example_text(example))
            for signature in _signatures(source, *first_error(source)):
                lessons.setdefault(signature, mistake)
    return lessons


def _signatures(source: Source, tokens: Sequence[Token], at: int) -> tuple[Signature, ...]:
    """The surroundings of a place, from the most to the least particular."""
    context = _context(tokens, _opener(tokens, at))
    before = _class(tokens[at - 1]) if at > 0 else ""
    further = _class(tokens[at - 2]) if at > 1 else ""
    token = _class(tokens[at])
    begins = starts_line(source, tokens, at) or starts_call(source, tokens, at)
    return (
        (context, further, before, token, begins),
        (context, further, before, token),
        (context, before, token, begins, None),
        (context, before, token),
        (context, _coarse(before, context), _coarse(token, "")),
    )


def _class(token: Token) -> str:
    return "VALUE" if token.type in _VALUES else "OPERATOR" if token.type in _OPERATORS else str(token.type)


def _coarse(kind: str, context: str) -> str:
    """Statements are alike, so are their ends in a body, and inside other brackets all ends of a value."""
    if kind in ("INPUT", "OUTPUT", "REPEAT", "FROM"):
        return "STATEMENT"
    if context == "LBRACE" and kind in ("RPAR", "RSQB", "RBRACE", "LBRACE"):
        return "END OF STATEMENT"
    return "END OF VALUE" if context in ("call", "LSQB", "group") and kind in _ENDS else kind


def _opener(tokens: Sequence[Token], at: int) -> int | None:
    """The innermost bracket still open before a place."""
    depth = 0
    for here in range(at - 1, -1, -1):
        if tokens[here].type in _CLOSE:
            if not depth:
                return here
            depth -= 1
        elif tokens[here].type in _CLOSE.values():
            depth += 1
    return None


def _context(tokens: Sequence[Token], opener: int | None) -> str:
    if opener is None:
        return "file"
    if tokens[opener].type != "LPAR":
        return tokens[opener].type
    if opener and tokens[opener - 1].type == "NAME":
        return "parameters" if opener > 1 and tokens[opener - 2].type in _ITEMS else "call"
    return "group"


def _is_body(tokens: Sequence[Token], opener: int | None) -> bool:
    """Whether a place stands where statements or items do, not inside parentheses or a list."""
    return opener is None or tokens[opener].type == "LBRACE"


def _opener_name(tokens: Sequence[Token], opener: int | None) -> str:
    return str(tokens[opener - 1]) if opener and tokens[opener - 1].type == "NAME" else ""


def _name(token: Token) -> str:
    return "the end of the file" if token.type == "$END" else f"`{token}`"


def _names(expected: frozenset[str]) -> str:
    plain = {"NAME": "a name", "INTEGER": "a number", "STRING": "text in quotes", "$END": "the end of the file"}
    hidden = {"DECIMAL", "TRUE", "FALSE", "NONE"} if "INTEGER" in expected else set()
    if "REPEAT" in expected:
        hidden |= {"NAME", "INPUT", "OUTPUT", "FROM"}
        plain["REPEAT"] = "a statement"
    if "POWER" in expected:
        hidden |= _OPERATORS - {"PLUS"}
        plain["PLUS"] = "an arithmetic sign"
    shown = [plain.get(k) or f"`{_SIGNS.get(k) or k.lower()}`" for k in sorted(expected - hidden)]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def _span(source: Source, token: Token) -> Span:
    return Span(source, token.start_pos or 0, token.end_pos or 0)
