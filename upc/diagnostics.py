"""What upc says when something is wrong, and how that is drawn."""

from __future__ import annotations

import difflib
import heapq
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from upc.source import Span

Severity = Literal["error", "warning"]

EXIT_OK = 0
EXIT_MISMATCH = 1  # a check or a lint found something
EXIT_USAGE = 2
EXIT_SOURCE = 3  # the source or its shapes are wrong
EXIT_MISSING = 4  # an optional dependency is not installed


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: a stable code, what is wrong, where, and what would mend it.

    `notes` are further places with a few words each (the other half of a conflict).
    """

    code: str
    message: str
    span: Span | None = None
    hint: str | None = None
    notes: tuple[tuple[Span, str], ...] = ()
    severity: Severity = "error"

    def __str__(self) -> str:
        return draw(self)


class UpcError(Exception):
    """Wrong source, wrong weights or wrong use: one or more diagnostics, all found at once.

    `exit_code` is what the command line returns for it.
    """

    def __init__(self, diagnostics: Iterable[Diagnostic] | Diagnostic, exit_code: int = EXIT_SOURCE) -> None:
        self.diagnostics = (diagnostics,) if isinstance(diagnostics, Diagnostic) else tuple(diagnostics)
        self.exit_code = exit_code
        super().__init__("\n".join(draw(d) for d in self.diagnostics))


def error(
    code: str,
    message: str,
    span: Span | None = None,
    hint: str | None = None,
    notes: tuple[tuple[Span, str], ...] = (),
    exit_code: int = EXIT_SOURCE,
) -> UpcError:
    """An UpcError of a single diagnostic."""
    return UpcError(Diagnostic(code, message, span, hint, notes), exit_code)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like a misspelt one, if any is like it at all."""
    candidates = sorted(known)
    if len(candidates) > _COMPARED or len(name) > _LONGEST_COMPARED:
        # Comparing letter by letter takes its time: only those that share the most letters are.
        letters = set(name[:_LONGEST_COMPARED])
        longest = 2 * min(len(name), _LONGEST_COMPARED)
        near = (other for other in candidates if len(other) <= longest)
        candidates = sorted(
            heapq.nsmallest(_COMPARED, near, key=lambda other: len(letters.symmetric_difference(other)))
        )
    matches = difflib.get_close_matches(name[:_LONGEST_COMPARED], candidates, n=1, cutoff=0.6)
    return next(iter(matches), None)


_COMPARED = 60
_LONGEST_COMPARED = 100


# What moves a cursor, changes colours, turns text around or hides in it.
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def plain(text: str) -> str:
    """A text as a terminal may show it: characters that would steer it stand as escapes, `\\x1b`.

    Line ends and tabs stay. Whatever upc prints that others may have named goes through here.
    """
    return _STEERING.sub(lambda found: ascii(found[0])[1:-1], text)


def _place(span: Span) -> str:
    """`file:line:column` on one line, whatever the file is called."""
    return plain(str(span)).replace("\n", "\\n").replace("\t", "\\t")


_WIDEST = 240
"""Characters of a line that are shown; of a longer one, those around the place."""

_COLORS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "note": "\x1b[1;36m", "hint": "\x1b[1;32m"}


def draw(diagnostic: Diagnostic, color: bool = False) -> str:
    """`file:line:col: error[E0123]: message`, the line with carets, notes and hint."""

    def paint(kind: str, text: str) -> str:
        return f"{_COLORS[kind]}{text}\x1b[0m" if color else text

    label = paint(diagnostic.severity, f"{diagnostic.severity}[{diagnostic.code}]")
    place = f"{_place(diagnostic.span)}: " if diagnostic.span else ""
    lines = [f"{place}{label}: {plain(diagnostic.message)}"]
    if diagnostic.span:
        lines += _excerpt(diagnostic.span)
    for span, words in diagnostic.notes:
        lines.append(f"{_place(span)}: {paint('note', 'note')}: {plain(words)}")
        lines += _excerpt(span)
    if diagnostic.hint:
        lines.append(f"  {paint('hint', 'hint')}: {plain(diagnostic.hint)}")
    return "\n".join(lines)


def _excerpt(span: Span) -> list[str]:
    number, column = span.source.position(span.start)
    text = span.source.line(number)
    width = max(1, min(span.end - span.start, len(text) - column + 1))
    before = after = ""
    if len(text) > _WIDEST:
        start = max(0, min(column - 1 - _WIDEST // 3, len(text) - _WIDEST))
        before, after = "... " * (start > 0), " ..." * (start + _WIDEST < len(text))
        text, column = text[start : start + _WIDEST], column - start + len(before)
        width = max(1, min(width, _WIDEST + len(before) - column + 1))
    shown = before + "".join(c if c.isprintable() else " " for c in text) + after
    margin = f"{number:5d} | "
    return [margin + shown, " " * (len(margin) - 2) + "| " + " " * (column - 1) + "^" * width]
