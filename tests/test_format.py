"""The canonical layout: reached from anywhere, kept once reached, comments and meaning untouched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upc.diagnostics import UpcError
from upc.format import WIDTH, format_source
from upc.parse import parse
from upc.source import Source, Span

TESTS = Path(__file__).parent
SOURCES = sorted([*(TESTS / "corpus" / "ok").rglob("*.upc"), *(TESTS.parent / "examples").glob("*.upc")])


def laid_out(text: str) -> str:
    return format_source(Source("test.upc", text))


def meaning(text: str) -> Any:
    """The tree without its places."""

    def strip(node: Any) -> Any:
        if isinstance(node, tuple):
            return [strip(item) for item in node]
        if is_dataclass(node) and not isinstance(node, (Source, Span)):
            kept = [f.name for f in fields(node) if f.name not in ("span", "source", "comments", "text")]
            return [type(node).__name__, getattr(node, "text", ""), *(strip(getattr(node, name)) for name in kept)]
        return node

    return strip(parse(Source("test.upc", text)).items)


def comments(text: str) -> list[str]:
    return [comment.text.rstrip() for comment in parse(Source("test.upc", text)).comments]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_layout_keeps_meaning_and_comments(path: Path) -> None:
    text = path.read_text()
    result = laid_out(text)
    assert laid_out(result) == result
    assert sorted(comments(result)) == sorted(comments(text))
    assert max(map(len, result.splitlines())) <= WIDTH or max(map(len, text.splitlines())) > WIDTH
    if path.stem != "loose":
        assert meaning(result) == meaning(text)


def test_loose_layout(golden: Callable[[Path, str], None]) -> None:
    text = (TESTS / "corpus" / "ok" / "loose.upc").read_text()
    golden(TESTS / "golden" / "format" / "loose.upc", laid_out(text))


@pytest.mark.parametrize("name", ["dcgan_faces", "branches", "blocks", "several_inputs", "values", "repeats"])
def test_canonical_files_stay_as_they_are(name: str) -> None:
    text = (TESTS / "corpus" / "ok" / f"{name}.upc").read_text()
    assert laid_out(text) == text


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        ("((1)) + (2 * 3)", "1 + 2 * 3"),
        ("(1 + 2) * 3", "(1 + 2) * 3"),
        ("1 - (2 - 3)", "1 - (2 - 3)"),
        ("(1 - 2) - 3", "1 - 2 - 3"),
        ("8 / (4 * 2)", "8 / (4 * 2)"),
        ("(2 ** 3) ** 2", "(2 ** 3) ** 2"),
        ("2 ** (3 ** 2)", "2 ** 3 ** 2"),
        ("(-2) ** 2", "(-2) ** 2"),
        ("-(2 ** 2)", "-2 ** 2"),
        ("2 ** (-1)", "2 ** -1"),
        ("-(-a)", "--a"),
        ("-(a + b)", "-(a + b)"),
        ("-(a * b)", "-(a * b)"),
        ("(-a) * b", "-a * b"),
        ("a - (-b)", "a - -b"),
        ("007", "7"),
        ("1E-3", "1e-3"),
        ('"a\\"\\\\\\n"', '"a\\"\\\\\\n"'),
        ("[ 1,[2 , 3,],]", "[1, [2, 3]]"),
        ("[]", "[]"),
    ],
)
def test_values(value: str, canonical: str) -> None:
    result = laid_out(f"net n {{ f({value}) }}")
    assert result == f"net n {{\n  f({canonical})\n}}\n"


_LEAVES = st.sampled_from(["1", "2", "a", "0.5", "b"])
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "%", "**"]), inner).map(
            lambda t: f"({t[0]}) {t[1]} ({t[2]})"
        ),
        inner.map(lambda v: f"-({v})"),
        st.lists(inner, max_size=3).map(lambda v: f"[{', '.join(v)}]"),
    ),
    max_leaves=12,
)


@given(_VALUES)
def test_parentheses_that_matter_stay(value: str) -> None:
    text = f"net n {{ f({value}) }}"
    assert meaning(laid_out(text)) == meaning(text)


_COMMENTED = """# 1
use "a.upc" # 2
# 3
block b # 4
( # 5
x # 6
= 2 # 7
) # 8
{ # 9
as i # 10
f( # 11
x # 12
, # 13
y = [ # 14
1 ] # 15
) # 16
as # 17
z # 18
repeat # 19
i in 1 # 20
..2 # 21
{ # 22
g() # 23
} # 24
as w # 25
from z # 26
{ } # 27
} # 28
# 29
net n { # 30
input # 31
x # 32
: [ # 33
3 ] # 34
output # 35
a # 36
} # 37
# 38"""


def test_no_comment_is_lost_wherever_it_stands() -> None:
    result = laid_out(_COMMENTED)
    assert sorted(comments(result)) == sorted(comments(_COMMENTED))
    assert meaning(result) == meaning(_COMMENTED)
    assert laid_out(result) == result


@given(st.sets(st.integers(0, len(_COMMENTED.split("\n")) - 1)), st.booleans())
def test_any_of_the_comments(kept: set[int], blank: bool) -> None:
    lines = [line if i in kept else line.split("#")[0] for i, line in enumerate(_COMMENTED.split("\n"))]
    text = ("\n\n" if blank else "\n").join(lines)
    result = laid_out(text)
    assert sorted(comments(result)) == sorted(comments(text))
    assert laid_out(result) == result


def test_long_calls_have_one_argument_a_line() -> None:
    arguments = ", ".join(f"argument_number_{i}={i}" for i in range(8))
    result = laid_out(f"net n {{ f({arguments}) as y }}")
    assert result.splitlines()[1:4] == ["  f(", "    argument_number_0=0,", "    argument_number_1=1,"]
    assert result.splitlines()[-2] == "  ) as y"
    assert laid_out(result) == result


def test_an_empty_file_stays_empty() -> None:
    assert laid_out("") == laid_out("\n\n\t\n") == ""
    assert laid_out("# only this  ") == "# only this\n"


def test_what_does_not_parse_is_not_laid_out() -> None:
    with pytest.raises(UpcError):
        laid_out("net n { relu }")
