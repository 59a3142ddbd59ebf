"""Text to tree: every rule, every span, every taught mistake, and files that mean harm."""

from __future__ import annotations

import time
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upc import limits, mistakes, syntax
from upc.diagnostics import UpcError
from upc.parse import parse
from upc.shift_reduce import first_error
from upc.source import Source, Span

OK = sorted((Path(__file__).parent / "corpus" / "ok").glob("*.upc"))


def tree(text: str) -> syntax.File:
    return parse(Source("test.upc", text))


def statement(text: str) -> syntax.Statement:
    (only,) = tree(f"net n {{ {text} }}").nets[0].body.statements
    return only


def value(text: str) -> syntax.Expression:
    action = statement(f"f({text})").action
    assert isinstance(action, syntax.Call)
    return action.arguments[0].value


def errors(text: str) -> list[str]:
    with pytest.raises(UpcError) as caught:
        tree(text)
    return [
        f"{d.span and d.span.line}:{d.span and d.span.column} {d.code} {d.message}" for d in caught.value.diagnostics
    ]


def nodes(node: Any) -> list[Any]:
    found = [node]
    for f in fields(node):
        below = getattr(node, f.name)
        for item in below if isinstance(below, tuple) else (below,):
            if is_dataclass(item) and not isinstance(item, (Source, Span)):
                found += nodes(item)
    return found


@pytest.mark.parametrize("path", OK, ids=lambda p: p.stem)
def test_every_node_has_the_span_of_its_words(path: Path) -> None:
    source = Source(path.name, path.read_text())
    for node in nodes(parse(source)):
        words = source.text[node.span.start : node.span.end]
        match node:
            case syntax.Name() | syntax.Word() | syntax.Comment() | syntax.Number():
                assert words == node.text
            case syntax.Call() | syntax.Input() | syntax.Net() | syntax.Block() | syntax.Binary() | syntax.Use():
                assert words == words.strip()
                assert words.count("(") == words.count(")") or isinstance(node, syntax.Binary) or "#" in words
            case syntax.Body():
                assert (words[0], words[-1]) == ("{", "}")


def test_rules() -> None:
    file = tree('use "a.upc"\nblock b(x, y=2) { as i relu() }\nnet n { input a: [H, 3] output a }')
    assert [type(item).__name__ for item in file.items] == ["Use", "Block", "Net"]
    assert file.uses[0].path.value == "a.upc"
    block = file.blocks[0]
    assert [(p.name.text, p.default and p.default.value) for p in block.parameters] == [("x", None), ("y", 2)]  # type: ignore[union-attr]
    assert block.body.naming and [n.text for n in block.body.naming.names] == ["i"]
    repeat = statement("repeat i in 1..n + 1 { f() } as z").action
    assert isinstance(repeat, syntax.Repeat) and repeat.variable and repeat.variable.text == "i"
    bare = statement("repeat 3 { f() }").action
    assert isinstance(bare, syntax.Repeat) and bare.variable is None and bare.first is None
    branch = statement("from a { f() }")
    assert isinstance(branch.action, syntax.Branch) and branch.naming is None
    output = statement("output a, b").action
    assert isinstance(output, syntax.Output) and [n.text for n in output.names] == ["a", "b"]
    call = statement("f(1, a=[2, x,],) as p, q")
    assert isinstance(call.action, syntax.Call) and call.naming and len(call.naming.names) == 2
    assert [a.name and a.name.text for a in call.action.arguments] == [None, "a"]


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("1 + 2 * 3", "(1 + (2 * 3))"),
        ("8 / 4 / 2", "((8 / 4) / 2)"),
        ("2 ** 3 ** 2", "(2 ** (3 ** 2))"),
        ("-2 ** 2", "-(2 ** 2)"),
        ("2 ** -1", "(2 ** -1)"),
        ("--a", "--a"),
        ("(1 + 2) * 3 % 4", "(((1 + 2) * 3) % 4)"),
    ],
)
def test_precedence(text: str, shape: str) -> None:
    def show(e: syntax.Expression) -> str:
        match e:
            case syntax.Binary():
                return f"({show(e.left)} {e.operator} {show(e.right)})"
            case syntax.Negative():
                return f"-{show(e.value)}"
            case syntax.Number() | syntax.Word():
                return e.text
        raise AssertionError(e)

    assert show(value(text)) == shape


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7),
        ("007", 7),
        ("0.25", 0.25),
        ("1e-3", 0.001),
        ("2.5E2", 250.0),
        ('"a\\"b\\\\\\n"', 'a"b\\\n'),
        ("true", True),
        ("none", None),
    ],
)
def test_literals(text: str, expected: object) -> None:
    got = value(text)
    assert isinstance(got, (syntax.Number, syntax.String, syntax.Constant))
    assert got.value == expected and type(got.value) is type(expected)


def test_line_ends_tabs_and_byte_order_mark() -> None:
    file = tree("\ufeffnet n {\r\n\tinput x: [3]\r\n\trelu()  # c\r\n\toutput y\r\n}\r\n")
    assert len(file.nets[0].body.statements) == 3
    assert file.comments[0].text == "# c"


def test_every_example_of_a_mistake_is_recognised_as_it() -> None:
    for mistake in mistakes.mistakes():
        for example in mistake.examples:
            source = Source("example", mistakes.example_text(example))
            tokens, at = first_error(source)
            with pytest.raises(UpcError) as caught:
                parse(source)
            shown = caught.value.diagnostics[0]
            if shown.code == "E0106" and "upc has no" not in shown.message and "neither a number" not in shown.message:
                assert mistakes.recognise(source, tokens, at) is mistake, example


def test_errors_of_several_statements_are_collected() -> None:
    assert errors(
        "net n {\n input x [3]\n dense(4 4)\n relu()\n repeat i in 3 { relu() }\n tanh()\n}\nnet m {\n output\n}"
    ) == [
        "2:9 E0106 expected `:` between the input's name and its shape",
        "3:10 E0106 expected `,` between the arguments",
        "5:15 E0106 expected a range",
    ]


def test_a_mistake_in_the_next_net_is_found_too() -> None:
    assert errors("net n {\n dense(4\n}\nnet m {\n dense(4 4)\n}\n") == [
        "2:9 E0106 expected `)` after the arguments of `dense`",
        "5:10 E0106 expected `,` between the arguments",
    ]


@pytest.mark.parametrize("character", ["\x00", "\x0b", "\x85", "\u2028", "\u202e", "\r", "\x1b"])
def test_control_characters_are_refused_in_comments_and_text(character: str) -> None:
    assert "E0102" in errors(f"# a{character}b\nnet n {{ }}")[0]
    assert any("E0102" in e for e in errors(f'net n {{ f("a{character}b") }}'))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("#" * (limits.current().file_bytes + 1), "E0601"),
        ("é" * (limits.current().file_bytes // 2 + 1), "E0601"),
        ("net n { " + "f() " * (limits.current().tokens // 3 + 1) + "}", "E0601"),
        ("net n { f(" + "[" * 500 + "]" * 500 + ") }", "E0602"),
        ("net n { f(" + "(" * 5000 + "1" + ")" * 5000 + ") }", "E0602"),
        ("net n { " + "repeat 2 { " * 300 + "}" * 300 + " }", "E0602"),
        ("net n { f(" + "1 + " * 20000 + "1) }", "E0602"),
        ("net n { f(" + "-" * 20000 + "1) }", "E0602"),
        ("net n { f([1, " + "-" * 101 + "1]) }", "E0602"),
        ("net n { f(" + "9" * 100_000 + ") }", "E0602"),
        ("net n { f(1e999) }", "E0602"),
        ("net n { f(9223372036854775808) }", "E0602"),
        ("net " + "n" * 65 + " { }", "E0602"),
        ("\x01" * 100_000, "E0102"),
        ("$" * 10_000, "E0101"),
        ('"' * 10_001, "E0103"),
        ("net n { f( " * 10_000, "E0602"),
        ("}" * 10_000, "E0106"),
    ],
    ids=lambda v: f"{v[:12]!a}".replace("[", "(") if len(v) > 5 else v,
)
def test_hostile_text_fails_quickly_and_clearly(text: str, code: str) -> None:
    began = time.process_time()
    found = errors(text)
    assert any(code in e for e in found)
    assert len(found) <= limits.DIAGNOSTICS
    assert time.process_time() - began < 5


def test_what_the_limits_allow_is_parsed() -> None:
    nested = limits.current().nesting - 2
    tree("net n { f(" + "(" * nested + "1" + ")" * nested + ") }")
    tree("net n { f(" + "1 + " * limits.current().operators + "1, " + "-" * limits.current().operators + "1) }")
    assert value(str(2**63 - 1)).value == 2**63 - 1  # type: ignore[union-attr]


_WORDS = st.sampled_from(
    [
        *(
            "net",
            "block",
            "use",
            "input",
            "output",
            "repeat",
            "from",
            "as",
            "in",
            "n",
            "relu",
            "3",
            "0.5",
            '"a"',
            "#c\n",
        ),
        *("(", ")", "[", "]", "{", "}", ",", ":", "=", "..", "+", "-", "*", "**", "\n", "'", ".", '"', "é"),
    ]
)


@given(st.lists(_WORDS, max_size=40).map(" ".join))
def test_any_text_gives_a_tree_or_errors_with_places(text: str) -> None:
    try:
        parse(Source("any", text))
    except UpcError as e:
        assert e.diagnostics
        for d in e.diagnostics:
            assert d.span is not None and 0 <= d.span.start <= len(text)
            assert "{token}" not in str(d) and "{previous}" not in str(d)


def test_the_tree_can_be_shown() -> None:
    shown = syntax.show(tree("net n(a=2) { input x: [3] f(a ** 2, k=same) as y }"))
    assert shown.splitlines()[:4] == [
        "File 1:1",
        "  items: Net 1:1",
        "    name: Name n",
        "    parameters: Parameter 1:7",
    ]
    assert "operator: **" in shown
