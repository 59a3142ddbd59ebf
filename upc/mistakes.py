"""What common syntax mistakes look like, taught by examples, and what to say about each.

Every example is read once; where the parser stops, the words around that place become the mistake's
signature. A real mistake is then recognised by its own surroundings, the nearest signature winning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from lark import Token

from upc.diagnostics import Diagnostic
from upc.source import Source, Span

KEYWORDS = frozenset({"net", "block", "use", "input", "output", "repeat", "from", "in", "as", "true", "false", "none"})


@dataclass(frozen=True, slots=True)
class Mistake:
    """`message` and `hint` may use {token}, {previous} and {opener}; `after` puts the caret behind the previous word."""

    message: str
    hint: str
    examples: tuple[str, ...]
    after: bool = False


# Examples that do not begin with `net`, `block` or `use` are read inside the body of a net;
# one that begins with `^` is read as it stands.
MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "expected `)` after the arguments of `{opener}`",
        "close the parenthesis: `{opener}(...)`",
        (
            "conv2d(8, 3\nrelu()",
            "conv2d(8, 3\n}",
            "conv2d(8, 3 }",
            "conv2d(8, 3\noutput y",
            "conv2d(8, 3 as y",
            "conv2d(8,\nrelu()",
            "conv2d(8,\noutput y",
            "conv2d(8,\n}",
            "conv2d(8, }",
            "conv2d(k=8\nrelu()",
            "conv2d(\nrelu()",
            "conv2d(\n}",
            "conv2d(\noutput y",
            "conv2d(k=\nrelu()",
        ),
        after=True,
    ),
    Mistake(
        "expected `,` between the arguments",
        "write `{previous}, {token}`",
        ("conv2d(8 3)", "conv2d(8 k=3)", "conv2d(8 [1])", "conv2d(8 x)", "conv2d(2 * 8 3)"),
    ),
    Mistake(
        "a layer cannot be an argument",
        "put `{previous}(...)` on its own line, name its result with `as`, and use that name here",
        ("add(conv2d(8, 3))", "add(1, conv2d(8, 3))"),
    ),
    Mistake(
        "an argument is given with `=`, not `:`",
        "write `{previous}=...`",
        ("conv2d(8, padding: same)", "conv2d(padding: same)"),
    ),
    Mistake(
        "an argument is given with one `=`",
        "`name=value` is all that is needed",
        ("conv2d(8, padding==same)",),
    ),
    Mistake(
        "only a name can stand before `=`", "write `name=value`", ("conv2d(3=4)", "conv2d(8, a=b=3)", "dense(a + b=3)")
    ),
    Mistake(
        "expected a value before `{token}`",
        "give the value, or take the `{previous}` away",
        (
            "conv2d(8, k=)",
            "conv2d(8,, 3)",
            "conv2d(, 3)",
            "conv2d(k=, 3)",
            "dense(4 *)",
            "dense(4 *, 3)",
            "dense((4 *) 2)",
        ),
    ),
    Mistake(
        "expected a value before `{token}`",
        "numbers need no `+` in front",
        ("dense(+4)", "dense(* 4)", "dense(3, / 4)"),
    ),
    Mistake(
        "`..` belongs to `repeat`",
        "write `repeat i in 1..3 { }`, or a list: `[1, 2, 3]`",
        ("dense(1..3)", "repeat i in (1..3) { }"),
    ),
    Mistake("expected `)`", "close the parenthesis", ("dense((4 + 2, 3)", "dense((4 + 2\nrelu()"), after=True),
    Mistake(
        "a list stands in square brackets",
        "write `[4, 5]`",
        ("conv2d(8, (4, 5))", "conv2d(8, k=(4, 5))", "reshape((4, 5))"),
    ),
    Mistake(
        "expected `,` between the items of the list",
        "write `{previous}, {token}`",
        ("input x: [4 4]", "input x: [H W]", "input x: [4 W]"),
    ),
    Mistake(
        "expected `]` at the end of the list",
        "close the bracket: `[4, 4, 3]`",
        (
            "input x: [4, 4\nrelu()",
            "input x: [4, 4,\nrelu()",
            "input x: [4\n}",
            "input x: [4)",
            "input x: [4\noutput y",
            "dense([4)",
            "input x: [\nrelu()",
        ),
        after=True,
    ),
    Mistake(
        "expected `:` between the input's name and its shape",
        "write `input {previous}: [...]`",
        ("input x [4]", "input x = [4]", "input x (4)", "input x(4)", "input x\nrelu()", "input x 4"),
        after=True,
    ),
    Mistake(
        "an input needs a name",
        "write `input image: [H, W, 3]`",
        ("input [4]", "input: [4]", "input\nrelu()", "input(4)", "input(shape=[4])"),
    ),
    Mistake(
        "an input's shape stands in square brackets",
        "write `[4, 4, 3]`",
        ("input x: 4", "input x: (4)", "input x: H", "input x:\nrelu()", "input x:\n}"),
    ),
    Mistake(
        "an output needs a name",
        "write `output picture`",
        ("relu() output\n}", "output (x)", "output\nrelu()", "output 3", "output [x]", "output x,\n}"),
    ),
    Mistake(
        "a layer needs parentheses",
        "write `{previous}()`",
        (
            "relu\n}",
            "relu\ntanh()",
            "relu as x",
            "relu\noutput y",
            "relu\nrepeat 3 { }",
            "relu }",
            "relu 3",
            "relu [3]",
            "relu {",
        ),
    ),
    Mistake(
        "a value is named with `as`, after the layer",
        "write `conv2d(8, 3) as {previous}`",
        ("x = conv2d(8, 3)", "x: conv2d(8, 3)"),
    ),
    Mistake(
        "`as` needs a name",
        "write `as skip`",
        ("relu() as\n}", "relu() as 3", "relu() as\nrelu() as x }", "relu() as (x)", "relu() as x,\n}"),
    ),
    Mistake(
        "several names are separated by commas", "write `{previous}, {token}`", ("split(2) as a b\n}", "output a b\n}")
    ),
    Mistake(
        "expected a range",
        "write `repeat i in 1..3 { }`: both ends count",
        (
            "repeat i in 3 { }",
            "repeat i in 1.3 { }",
            "repeat i in 1, 3 { }",
            "repeat i in n { }",
            "repeat i in range(3) { }",
            "repeat i in 1:3 { }",
        ),
    ),
    Mistake(
        "expected `in` after the variable of `repeat`",
        "write `repeat i in 1..3 { }`",
        (
            "repeat i 1..3 { }",
            "repeat i = 1..3 { }",
            "repeat i from 1 { }",
            "repeat i: 3 { }",
            "repeat i, j in 1..3 { }",
        ),
    ),
    Mistake(
        "a range needs a variable",
        "write `repeat i in 1..3 { }`, or `repeat 3 { }`",
        ("repeat 1..3 { }", "repeat n..3 { }"),
    ),
    Mistake(
        "`repeat` needs to know how often",
        "write `repeat 3 { }` or `repeat i in 1..3 { }`",
        (
            "repeat { }",
            "repeat\nrelu()",
            "repeat in 1..3 { }",
            "repeat i in { }",
            "repeat i in 1.. { }",
            "repeat i in ..3 { }",
        ),
    ),
    Mistake(
        "`repeat` takes no parentheses around its range", "write `repeat i in 1..3 { }`", ("repeat (i in 1..3) { }",)
    ),
    Mistake(
        "expected `{{`",
        "what is repeated or branched stands in braces: `{{ relu() }}`",
        (
            "repeat i in 1..3 relu()",
            "repeat i in 1..3\nrelu()",
            "repeat 3 relu()",
            "repeat 3\nrelu()",
            "from x relu()",
            "from x\nrelu()",
            "repeat i in 1..3\n}",
            "from x: relu()",
            "repeat i in 1..3: relu()",
        ),
        after=True,
    ),
    Mistake(
        "`from` needs the name of a value",
        "write `from skip {{ ... }}`",
        ("from { }", "from\nrelu()", "from 3 { }", "from (x) { }"),
    ),
    Mistake(
        "a branch starts at one value",
        "join the values in the branch: `from a {{ concatenate(b) }}`",
        ("from x, y { }",),
    ),
    Mistake(
        "a net or a block needs a name",
        "write `{previous} generator {{ ... }}`",
        ("net { }", "block { }", "net (a) { }", "net\ninput x: [3]", "net 3 { }", 'net "a" { }'),
    ),
    Mistake(
        "expected `{{` to begin the body",
        "write `{{` at the end of the line",
        (
            "net n\ninput x: [3]",
            "net n()\ninput x: [3]",
            "net n(a)\nrelu()",
            "net n\nrelu()",
            "block b\nrelu()",
            "net n: input x: [3]",
            "net n(): relu()",
            "net n() relu()",
            "net n = 3",
            "net n relu()",
        ),
        after=True,
    ),
    Mistake(
        "parameters stand in parentheses",
        "write `block up(filters) {{ ... }}`",
        ("block up filters { }", "block up [a] { }", "block up 3 { }"),
    ),
    Mistake(
        "a parameter is a name, with `=` and its default where it has one",
        "write `(filters, size=2)`",
        (
            "net n(3) { }",
            "net n(a: 3) { }",
            'net n("a") { }',
            "net n(a=3, 4) { }",
            "net n([a]) { }",
            "net n(a + 1) { }",
            "net n(, a) { }",
        ),
    ),
    Mistake("expected a default after `=`", "write `(size=2)`", ("net n(a=) { }", "net n(a=, b) { }")),
    Mistake(
        "expected `,` between the parameters", "write `{previous}, {token}`", ("net n(a b) { }", "net n(a=1 b) { }")
    ),
    Mistake(
        "expected `)` after the parameters of `{opener}`",
        "close the parenthesis: `{opener}(...)`",
        (
            "net n(a {\n relu() }",
            "net n(a=1 {\n relu() }",
            "net n(a\n{ }",
            "net n(a, { }",
            "net n(a\nrelu()",
            "net n(a\ninput x: [3]",
        ),
        after=True,
    ),
    Mistake(
        "nothing is open that `{token}` could close",
        "take it away",
        ("relu())", "relu()]", "^net n { relu() } }", "^}", "^net n { relu() } )"),
    ),
    Mistake(
        "layers stand in the body of a net or a block",
        "write `net name {{ ... }}` around them",
        (
            "^relu()",
            "^input x: [3]",
            "^output y",
            "^repeat 3 { }",
            "^from x { }",
            "^x = 3",
            "^net n { relu() }\nrelu()",
            "^net n { relu() }\ninput x: [3]",
            "^x",
            "^relu\nrelu()",
        ),
    ),
    Mistake(
        "`{token}` cannot stand inside a body",
        "is the `}}` before it missing?",
        (
            "relu()\nnet n { }",
            "relu()\nblock n { }",
            'relu() as y\nuse "a"',
            "output y\nnet n { }",
            "net n {\nnet m { }",
            "repeat 3 { relu() }\nblock n { }",
        ),
    ),
    Mistake(
        "`use` needs the file's name in quotes",
        'write `use "blocks.upc"`',
        ("use blocks", "use\nnet n { }", "use 3", "use (blocks)", "^use"),
    ),
    Mistake(
        "this begins no statement",
        "a statement is a layer `name(...)`, `input`, `output`, `repeat` or `from`",
        (
            "3",
            '"a"',
            "(relu())",
            "[3]",
            "relu() 3",
            "relu() = 3",
            "relu(), tanh()",
            "in x",
            "= 3",
            "+ 3",
            "relu() { }",
            "relu() [3]",
            "relu() (3)",
            "relu() + relu()",
            "relu() * 3",
            "relu() : 3",
            "relu() in 3",
            "{ relu() }",
            "true",
        ),
    ),
)

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
_STATEMENTS = frozenset({"INPUT", "OUTPUT", "REPEAT", "FROM"})
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
        if previous.type == "NAME" and str(previous) in _FOREIGN and opener_is_body(tokens, opener):
            return Diagnostic("E0106", f"upc has no `{previous}`", _span(source, previous), _FOREIGN[str(previous)])
        if str(token) in KEYWORDS and "NAME" in expected and previous.type != "RPAR":
            return Diagnostic(
                "E0105", f"`{token}` is a keyword and cannot be a name", here, f"choose another, such as `{token}_`"
            )
    mistake = _recognise(source, tokens, at)
    if mistake is not None:
        words = {"token": str(token), "previous": str(previous), "opener": _opener_name(tokens, opener)}
        place = behind if mistake.after else here
        return Diagnostic(
            "E0106", mistake.message.format(**words), place, mistake.hint.format(**words), note * mistake.after
        )
    return Diagnostic("E0106", f"expected {_names(expected)}, got {_name(token)}", here)


def _recognise(source: Source, tokens: Sequence[Token], at: int) -> Mistake | None:
    lessons = _lessons()
    return next((lessons[s] for s in _signatures(source, tokens, at) if s in lessons), None)


@cache
def _lessons() -> dict[Signature, Mistake]:
    from upc.parse import first_error  # the parser explains its errors by this table, which the parser has to fill

    lessons: dict[Signature, Mistake] = {}
    for mistake in MISTAKES:
        for example in mistake.examples:
            if example.startswith("^"):
                text = example[1:]
            else:
                text = (
                    example if example.split()[0] in ("net", "block", "use") else f"net n {{\nrelu()\n{example}\n}}\n"
                )
            source = Source("example", text)
            tokens, at = first_error(source)
            for signature in _signatures(source, tokens, at):
                lessons.setdefault(signature, mistake)
    return lessons


def _signatures(source: Source, tokens: Sequence[Token], at: int) -> tuple[Signature, ...]:
    """The surroundings of a place, from the most to the least particular."""
    context = _context(tokens, _opener(tokens, at))
    before = _class(tokens[at - 1], context) if at > 0 else ""
    further = _class(tokens[at - 2], context) if at > 1 else ""
    token = _class(tokens[at], context)
    # A layer's name that begins a line counts as the line's start when the parser stumbles over its parenthesis.
    named = tokens[at].type == "LPAR" and at > 0 and tokens[at - 1].type == "NAME"
    begins = starts_line(source, tokens, at - 1 if named else at)
    return (
        (context, further, before, token, begins),
        (context, further, before, token),
        (context, before, token, begins, None),
        (context, before, token),
    )


def _class(token: Token, context: str) -> str:
    kind = token.type
    for names, common in ((_VALUES, "VALUE"), (_OPERATORS, "OPERATOR"), (_STATEMENTS, kind), (_ITEMS, kind)):
        if kind in names:
            return common
    return kind


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


def opener_is_body(tokens: Sequence[Token], opener: int | None) -> bool:
    """Whether a place stands where statements or items do, not inside parentheses or a list."""
    return opener is None or tokens[opener].type == "LBRACE"


def _opener_name(tokens: Sequence[Token], opener: int | None) -> str:
    return str(tokens[opener - 1]) if opener and tokens[opener - 1].type == "NAME" else ""


def _name(token: Token) -> str:
    return "the end of the file" if token.type == "$END" else f"`{token}`"


def _names(expected: frozenset[str]) -> str:
    plain = {"NAME": "a name", "INTEGER": "a number", "STRING": "text in quotes", "$END": "the end of the file"}
    hidden = {"DECIMAL", "TRUE", "FALSE", "NONE"} if "INTEGER" in expected else set()
    shown = [plain.get(k) or f"`{_SIGNS.get(k) or k.lower()}`" for k in sorted(expected - hidden)]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def _span(source: Source, token: Token) -> Span:
    return Span(source, token.start_pos or 0, token.end_pos or 0)
