"""The canonical layout of a `.upc` file. Comments are kept, and laying out twice changes nothing.

Two spaces a level, one statement a line, one blank line between nets and blocks. Single blank lines
between statements stay. A repeat or branch of one short layer stands on one line. A call too wide for
the line has one argument a line.
"""

from __future__ import annotations

from upc import syntax
from upc.parse import parse
from upc.source import Source

WIDTH = 120
_INDENT = "  "
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "%": 2, "**": 4}
_NEGATIVE = 3


def format_source(source: Source) -> str:
    """The text of a source in canonical layout. Raises UpcError where it does not parse."""
    return format_file(parse(source))


def format_file(file: syntax.File) -> str:
    """A tree as text in canonical layout, its comments in their places."""
    return _Writer(file).write()


def show(value: syntax.Expression) -> str:
    """A written value on one line, with the parentheses it needs."""
    return _value(value, 0)


def _value(value: syntax.Expression, binding: int) -> str:
    match value:
        case syntax.Number():
            return str(value.value) if isinstance(value.value, int) else value.text.lower()
        case syntax.String():
            return _quoted(value.value)
        case syntax.Word():
            return value.text
        case syntax.Constant():
            return str(value.value).lower()
        case syntax.List():
            return f"[{', '.join(_value(item, 0) for item in value.items)}]"
        case syntax.Negative():
            text = f"-{_value(value.value, _NEGATIVE)}"
            return f"({text})" if binding > _NEGATIVE else text
        case syntax.Binary():
            own = _PRECEDENCE[value.operator]
            # Powers group to the right (and take any exponent), all others to the left.
            left, right = (own + 1, _NEGATIVE) if value.operator == "**" else (own, own + 1)
            text = f"{_value(value.left, left)} {value.operator} {_value(value.right, right)}"
            return f"({text})" if binding > own else text


def _quoted(text: str) -> str:
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}
    return '"' + "".join(escapes.get(c, c) for c in text) + '"'


class _Writer:
    """Walks the tree, taking each comment from the list when its place is passed."""

    def __init__(self, file: syntax.File) -> None:
        self.file, self.text = file, file.source.text
        self.comments = list(reversed(file.comments))
        self.lines: list[str] = []
        self.passed = 0  # where the source has been dealt with up to

    def write(self) -> str:
        previous: object = None
        for item in self.file.items:
            self._leading(item.span.start, 0, apart=previous is not None and not self._together(previous, item))
            self._item(item)
            self._trailing(item.span.end)
            previous = item
        self._leading(len(self.text), 0, apart=False, at_end=True)
        while self.lines and not self.lines[0]:
            del self.lines[0]
        return "\n".join(self.lines) + "\n" if self.lines else ""

    @staticmethod
    def _together(previous: object, item: object) -> bool:
        return isinstance(previous, syntax.Use) and isinstance(item, syntax.Use)

    # Comments and blank lines

    def _blank_before(self, start: int) -> bool:
        return self.text.count("\n", self.passed, start) > 1

    def _leading(self, start: int, level: int, *, apart: bool, at_end: bool = False, first: bool = False) -> None:
        """Comments on lines of their own before a place, with one blank line where there was one or more."""
        while self.comments and self.comments[-1].span.start < start:
            comment = self.comments.pop()
            if (apart or self._blank_before(comment.span.start)) and not first:
                self._blank()
            self._line(level, comment.text.rstrip())
            self.passed, apart, first = comment.span.end, False, False
        if not at_end and not first and (apart or self._blank_before(start)):
            self._blank()
        self.passed = start

    def _trailing(self, end: int) -> None:
        """A comment on the same line, after what has just been written."""
        self.passed = end
        if self.comments:
            comment = self.comments[-1]
            between = self.text[end : comment.span.start]
            if comment.span.start >= end and not between.strip() and "\n" not in between:
                self.comments.pop()
                self.lines[-1] += f"  {comment.text.rstrip()}"
                self.passed = comment.span.end

    def _hoist(self, end: int, level: int) -> None:
        """Comments amid words that have no place for them move to the line before."""
        while self.comments and self.comments[-1].span.start < end:
            self._line(level, self.comments.pop().text.rstrip())

    def _blank(self) -> None:
        if self.lines and self.lines[-1]:
            self.lines.append("")

    def _line(self, level: int, text: str) -> None:
        self.lines.append(_INDENT * level + text)

    # Items and statements

    def _item(self, item: syntax.Use | syntax.Net | syntax.Block) -> None:
        if isinstance(item, syntax.Use):
            self._hoist(item.span.end, 0)
            self._line(0, f"use {_quoted(item.path.value)}")
            return
        self._hoist(item.body.span.start, 0)
        keyword = "net" if isinstance(item, syntax.Net) else "block"
        parts = [p.name.text + (f"={show(p.default)}" if p.default else "") for p in item.parameters]
        self._list(0, f"{keyword} {item.name.text}", parts, " {", bare=not parts and isinstance(item, syntax.Net))
        self._body(item.body, 1)
        self._line(0, "}")

    def _list(self, level: int, head: str, parts: list[str], tail: str, bare: bool = False) -> None:
        """`head(parts)tail`, on one line where it fits."""
        line = f"{head}{tail}" if bare else f"{head}({', '.join(parts)}){tail}"
        if len(line) + len(_INDENT) * level <= WIDTH or not parts:
            self._line(level, line)
            return
        self._line(level, f"{head}(")
        for part in parts:
            self._line(level + 1, f"{part},")
        self._line(level, f"){tail}")

    def _body(self, body: syntax.Body, level: int) -> None:
        """What stands between braces; the opening one has been written."""
        self._trailing(body.span.start + 1)
        first = True
        if body.naming:
            self._leading(body.naming.span.start, level, apart=False, first=True)
            self._hoist(body.naming.span.end, level)
            self._line(level, _naming(body.naming).lstrip())
            self._trailing(body.naming.span.end)
            first = False
        for statement in body.statements:
            self._leading(statement.span.start, level, apart=False, first=first)
            self._statement(statement, level)
            self._trailing(statement.span.end)
            first = False
        self._leading(body.span.end, level, apart=False, at_end=True, first=first)
        self.passed = body.span.end

    def _statement(self, statement: syntax.Statement, level: int) -> None:
        naming = _naming(statement.naming)
        match statement.action:
            case syntax.Call() as call:
                self._call(call, naming, level, statement.span.end)
            case syntax.Input() as action:
                self._hoist(statement.span.end, level)
                self._line(level, f"input {action.name.text}: {show(action.shape)}{naming}")
            case syntax.Output() as action:
                self._hoist(statement.span.end, level)
                self._line(level, f"output {', '.join(name.text for name in action.names)}{naming}")
            case syntax.Repeat() as action:
                variable = f"{action.variable.text} in " if action.variable else ""
                first = f"{show(action.first)}.." if action.first else ""
                self._braced(f"repeat {variable}{first}{show(action.last)}", action.body, naming, statement, level)
            case syntax.Branch() as action:
                self._braced(f"from {action.origin.text}", action.body, naming, statement, level)

    def _call(self, call: syntax.Call, naming: str, level: int, end: int) -> None:
        arguments = [_argument(argument) for argument in call.arguments]
        if not any(comment.span.start < call.span.end for comment in self.comments[-1:]):
            self._hoist(end, level)
            self._list(level, call.name.text, arguments, naming)
            return
        # A comment among the arguments: one argument a line, each with its comments.
        self._line(level, f"{call.name.text}(")
        self._trailing(self.text.index("(", call.name.span.end) + 1)
        for argument, text in zip(call.arguments, arguments, strict=True):
            self._leading(argument.span.start, level + 1, apart=False, first=True)
            self._hoist(argument.span.end, level + 1)
            self._line(level + 1, f"{text},")
            comma = self.text[argument.span.end : call.span.end].lstrip().startswith(",")
            self._trailing(self.text.index(",", argument.span.end) + 1 if comma else argument.span.end)
        self._leading(call.span.end, level + 1, apart=False, at_end=True, first=True)
        self._hoist(end, level + 1)
        self._line(level, f"){naming}")

    def _braced(self, head: str, body: syntax.Body, naming: str, statement: syntax.Statement, level: int) -> None:
        self._hoist(body.span.start, level)
        quiet = not self.comments or self.comments[-1].span.start >= body.span.end
        if quiet and not body.naming and not body.statements:
            self._line(level, f"{head} {{ }}{naming}")
            return
        if quiet and len(body.statements) == 1 and not body.naming:
            (only,) = body.statements
            if isinstance(only.action, syntax.Call):
                inside = (
                    f"{only.action.name.text}({', '.join(map(_argument, only.action.arguments))}){_naming(only.naming)}"
                )
                line = f"{head} {{ {inside} }}{naming}"
                if len(line) + len(_INDENT) * level <= WIDTH:
                    self._hoist(statement.span.end, level)
                    self._line(level, line)
                    return
        self._line(level, f"{head} {{")
        self._body(body, level + 1)
        self._hoist(statement.span.end, level + 1)
        self._line(level, f"}}{naming}")


def _naming(naming: syntax.Naming | None) -> str:
    return f" as {', '.join(name.text for name in naming.names)}" if naming else ""


def _argument(argument: syntax.Argument) -> str:
    return (f"{argument.name.text}=" if argument.name else "") + show(argument.value)
