"""Tree to Graph: names, arguments and shapes are checked, blocks and repeats written out, dead values removed.

All errors of a net are collected. What an error leaves without meaning is UNKNOWN and says nothing more,
so that one mistake gives one message.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from upc import limits, syntax
from upc.build.evaluate import show
from upc.build.expand import Effort, Expansion
from upc.build.names import check_names, words_of
from upc.diagnostics import EXIT_USAGE, Diagnostic, UpcError, error, nearest
from upc.ir import Graph, Literal
from upc.parse import parse
from upc.source import Source
from upc.units import Read, Report, Unit, folder_reader, load_units, read_source


def ignore(warning: Diagnostic) -> None:
    """Drop a warning."""


def nets(file: syntax.File) -> tuple[str, ...]:
    """The names of a file's nets, in order."""
    return tuple(net.name.text for net in file.nets)


def build(
    file: syntax.File,
    net: str | None = None,
    defines: Mapping[str, Literal] | None = None,
    read: Read | None = None,
    warn: Report = ignore,
) -> Graph:
    """The graph of one net of a file; `net` may be left out where there is only one.

    `defines` set parameters, `read` gives the files that `use` names, `warn` takes each warning.
    Raises UpcError with all that is wrong.
    """
    (graph,) = build_all(file, [choose(file, net).name.text], defines, read, warn)
    return graph


def build_all(
    file: syntax.File,
    names: Sequence[str],
    defines: Mapping[str, Literal] | None = None,
    read: Read | None = None,
    warn: Report = ignore,
) -> list[Graph]:
    """The graphs of several nets of a file, in the order of `names`; the rest as `build`.

    Together they may have as many layers as a single net may.
    """
    found = _Findings()
    graphs: list[Graph] = []
    warnings: list[Diagnostic] = []
    try:
        unit = load_units(file, read, found.report)
        check_names(unit, found.report)
        chosen = {net.name.text: net for net in reversed(file.nets)}
        effort = Effort()
        for name in names:
            net = chosen.get(name) or choose(file, name)
            expansion = Expansion(net, unit, found.report, effort)
            graph = expansion.run(_parameters(net, defines or {}, found))
            warnings += expansion.warnings
            if graph is not None:
                graphs.append(graph)
        _warn_unused_parameters(unit, [chosen[name] for name in names if name in chosen], found.report)
    except _Enough:
        pass
    if found.errors:
        raise UpcError(sorted(found.errors, key=_place)[: limits.DIAGNOSTICS])
    for warning in sorted((*found.warnings, *warnings), key=_place):
        warn(warning)
    return graphs


def _warn_unused_parameters(unit: Unit, nets: Sequence[syntax.Net], report: Report) -> None:
    owners: tuple[syntax.Net | syntax.Block, ...] = (*nets, *unit.file.blocks)
    for owner in owners:
        what = "net" if isinstance(owner, syntax.Net) else "block"
        used = set(words_of(owner))
        for parameter in owner.parameters:
            if parameter.name.text not in used:
                message = f"parameter `{parameter.name.text}` of {what} `{owner.name.text}` is not used"
                report(Diagnostic("W0703", message, parameter.name.span, severity="warning"))


def compile_source(
    source: Source,
    net: str | None = None,
    defines: Mapping[str, Literal] | None = None,
    *,
    read: Read | None = None,
    warn: Report = ignore,
) -> Graph:
    """Parse and build."""
    return build(parse(source), net, defines, read, warn)


def load_graph(
    path: str | os.PathLike[str],
    net: str | None = None,
    defines: Mapping[str, Literal] | None = None,
    *,
    warn: Report = ignore,
) -> Graph:
    """Read, parse and build a `.upc` file; what it uses is looked for in its folder."""
    source = read_source(Path(path), os.fspath(path))
    return compile_source(source, net, defines, read=folder_reader(Path(path).parent), warn=warn)


def read_define(text: str) -> tuple[str, Literal]:
    """`width=256` to a name and a value: a number, true, false, none, or text."""
    name, sign, written = text.partition("=")
    name, written = name.strip(), written.strip()
    if not sign or not name.isidentifier():
        raise error("E0206", f"expected name=value, got `{text}`", hint="-D width=256", exit_code=EXIT_USAGE)
    words: dict[str, Literal] = {"true": True, "false": False, "none": None}
    if written in words:
        return name, words[written]
    for kind in (int, float):
        try:
            if len(written) <= limits.current().name_characters:
                return name, kind(written)
        except ValueError:
            continue
    return name, written


def choose(file: syntax.File, net: str | None = None) -> syntax.Net:
    """The net of that name, or the only one there is."""
    names = nets(file)
    if not names:
        raise error("E0205", f"{file.source.name} holds no net", hint="write `net name { ... }`")
    if net is None:
        if len(names) > 1:
            message = f"{file.source.name} holds {len(names)} nets: {_listed(names)}"
            raise error("E0205", message, hint=f"choose one: `--net {names[0]}`", exit_code=EXIT_USAGE)
        return file.nets[0]
    for candidate in file.nets:
        if candidate.name.text == net:
            return candidate
    near = nearest(net, names)
    hint = f"did you mean `{near}`?" if near else f"it holds {_listed(names)}"
    raise error("E0205", f"{file.source.name} holds no net called `{net}`", hint=hint, exit_code=EXIT_USAGE)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


class _Enough(Exception):
    """So much is wrong that nobody reads on."""


class _Findings:
    """Collects diagnostics, each place and code once. Raises _Enough where there are far more errors than are shown."""

    def __init__(self) -> None:
        self.errors: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []
        self._seen: set[tuple[object, ...]] = set()

    def report(self, diagnostic: Diagnostic) -> None:
        span = diagnostic.span
        key = (
            (diagnostic.code, span and (id(span.source), span.start)) if span else (diagnostic.code, diagnostic.message)
        )
        if key not in self._seen:
            self._seen.add(key)
            (self.errors if diagnostic.severity == "error" else self.warnings).append(diagnostic)
            if len(self.errors) >= 4 * limits.DIAGNOSTICS:
                raise _Enough


def _place(diagnostic: Diagnostic) -> tuple[str, int]:
    return (diagnostic.span.source.name, diagnostic.span.start) if diagnostic.span else ("", 0)


def _parameters(net: syntax.Net, defines: Mapping[str, Literal], found: _Findings) -> dict[str, Literal]:
    """The defines, held against the net's parameters."""
    names = [p.name.text for p in net.parameters]
    problems: list[Diagnostic] = []
    for name, value in defines.items():
        if name not in names:
            near = nearest(name, names)
            takes = f"it takes {', '.join(names)}" if names else "it takes none"
            hint = f"did you mean `{near}`?" if near else takes
            message = f"net `{net.name.text}` has no parameter `{name}`"
            problems.append(Diagnostic("E0206", message, net.name.span, hint))
        elif not _is_literal(value):
            message = f"parameter `{name}` takes a number, text, true, false or none, not {type(value).__name__}"
            problems.append(Diagnostic("E0206", message, net.name.span))
        elif isinstance(value, int) and abs(value) > limits.INTEGER:
            problems.append(Diagnostic("E0602", f"parameter `{name}` is greater than 2**63 - 1", net.name.span))
    for parameter in net.parameters:
        name = parameter.name.text
        value = defines.get(name)
        default = parameter.default
        if name in defines and default is not None and not problems and _is_literal(value):
            expected = _kind_of_default(default)
            if expected and _kind(value) not in (expected, "none"):
                message = f"parameter `{name}` takes {expected}, got {show(value)}"
                problems.append(Diagnostic("E0206", message, parameter.span))
        if default is None and name not in defines:
            hint = f"give it a default, `{name}=...`, or set it from outside: -D {name}=..."
            found.report(Diagnostic("E0206", f"parameter `{name}` has no value", parameter.span, hint))
    if problems:
        raise UpcError(problems, EXIT_USAGE)
    return dict(defines)


def _is_literal(value: object) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


def _kind(value: Literal) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "a number" if isinstance(value, (int, float)) else "none" if value is None else "a word"


def _kind_of_default(default: syntax.Expression) -> str | None:
    match default:
        case syntax.Number() | syntax.Negative():
            return "a number"
        case syntax.String():
            return "a word"
        case syntax.Constant():
            return "true or false" if default.value is not None else None
    return None
