"""The files of a project: what `use` brings in, and which names a file's blocks can see."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from upc import limits, syntax
from upc.diagnostics import Diagnostic, UpcError, error
from upc.files import open_regular
from upc.parse import parse
from upc.source import Source, Span

Read = Callable[[str], Source]
"""Gives the text of a file by its path within the project folder (`parts/blocks.upc`); raises OSError or ValueError."""

Report = Callable[[Diagnostic], None]


@dataclass(slots=True)
class Unit:
    """One file, its own blocks, and the blocks that its nets and blocks can call: its own and those it uses."""

    file: syntax.File
    own: dict[str, tuple[syntax.Block, Unit]] = field(default_factory=dict)
    blocks: dict[str, tuple[syntax.Block, Unit]] = field(default_factory=dict)


def read_source(path: str | Path, name: str | None = None) -> Source:
    """The text of a file, held to the size limit before it is read. Raises UpcError or OSError."""
    name = str(path) if name is None else name
    most = limits.current().file_bytes
    with open_regular(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise error("E0601", f"{name} has more than {most:,} bytes, the limit", hint=limits.hint("file_bytes"))
    try:
        return Source(name, data.decode("utf-8"))
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        raise error("E0501", f"{name} is not UTF-8 text: byte {e.start} on line {line}") from None


def folder_reader(folder: str | Path) -> Read:
    """Reads files of one project folder, and none that a link leads out of it."""
    base = Path(folder)
    root = Path(os.path.realpath(base))

    def read(relative: str) -> Source:
        place = base / relative
        if not Path(os.path.realpath(place)).is_relative_to(root):
            raise ValueError("it leads out of the project folder")
        return read_source(place)

    return read


def load_units(file: syntax.File, read: Read | None, report: Report) -> Unit:
    """A file with everything it uses, directly or not. What cannot be used is reported and left out."""
    name = file.source.name
    return _Loader(read, report).unit(file, PurePosixPath(name).name if name.endswith(".upc") else "", ())


class _Loader:
    def __init__(self, read: Read | None, report: Report) -> None:
        self.read, self.report = read, report
        self.units: dict[str, Unit | None] = {}
        self.bytes = self.tokens = 0

    def unit(self, file: syntax.File, path: str, chain: tuple[str, ...]) -> Unit:
        unit = Unit(file)
        self._count(file)
        taken: dict[int, Span] = {}  # where it says that it uses a file
        for use in file.uses:
            used = self._used(use, path, chain)
            if used is not None and id(used) not in taken:
                for name in unit.blocks.keys() & used.own.keys():
                    self._clash(name, use.span, unit.blocks[name], taken)
                # What the other file itself uses stays its own affair.
                unit.blocks |= used.own
                taken[id(used)] = use.span
        for block in file.blocks:
            known = unit.blocks.get(block.name.text)
            if known is None:
                unit.own[block.name.text] = unit.blocks[block.name.text] = (block, unit)
            else:
                self._clash(block.name.text, block.name.span, known, taken)
        return unit

    def _clash(self, name: str, place: Span, known: tuple[syntax.Block, Unit], taken: dict[int, Span]) -> None:
        block, home = known
        other = taken.get(id(home), block.name.span)
        notes = ((other, "the other one comes from here"),)
        self.report(Diagnostic("E0203", f"there are two blocks called `{name}`", place, "rename one", notes))

    def _count(self, file: syntax.File) -> None:
        """Hold the project to the size that it may have in all."""
        self.bytes += len(file.source.text.encode())
        self.tokens += file.tokens
        most = limits.current().source_bytes
        if self.bytes > most:
            message = f"the files used have {self.bytes:,} bytes up to this one; the limit is {most:,}"
            raise error("E0601", message, Span(file.source, 0, 0), limits.hint("source_bytes"))

    def _used(self, use: syntax.Use, path: str, chain: tuple[str, ...]) -> Unit | None:
        def refuse(message: str, hint: str | None = None) -> None:
            self.report(Diagnostic("E0501", message, use.path.span, hint))

        written = use.path.value
        target = resolve(path, written)
        if target is None:
            hint = "paths are relative to this file, with `/`, and end in `.upc`"
            refuse(f"cannot use `{_printable(written)}`: it is not a file of the project folder", hint)
            return None
        if target in chain or target == path:
            loop = [*chain[chain.index(target) :], path, target] if target in chain else [path, target]
            refuse(f"files use each other in a circle: {' -> '.join(p or use.span.source.name for p in loop)}")
            return None
        if target not in self.units:
            self.units[target] = None
            if len(self.units) > limits.current().files:
                refuse(f"more than {limits.current().files} files are used", limits.hint("files"))
                return None
            file = self._parse(target, refuse)
            if file:
                self.units[target] = self.unit(file, target, (*chain, path))
        return self.units[target]

    def _parse(self, target: str, refuse: Callable[[str], None]) -> syntax.File | None:
        if self.read is None:
            refuse(f"cannot use `{target}`: this text does not come from a folder")
            return None
        try:
            return parse(self.read(target), self.tokens)
        except FileNotFoundError:
            refuse(f"there is no file `{target}` in the project folder")
        except OSError as e:
            refuse(f"cannot read `{target}`: {e.strerror or 'it cannot be opened'}")
        except ValueError as e:
            refuse(f"cannot use `{target}`: {e}")
        except UpcError as e:
            if any(diagnostic.code == "E0601" for diagnostic in e.diagnostics):
                raise  # the project is too large, whatever else it uses
            for diagnostic in e.diagnostics:
                self.report(diagnostic)
        return None


def resolve(using: str, written: str) -> str | None:
    """The path within the project folder that `use` in the file `using` means; None where it leads outside."""
    plain = written.isprintable() and not set(written) & set('\\:*?"<>|') and written.endswith(".upc")
    if not plain or written.startswith("/") or len(written) > 1024:
        return None
    parts: list[str] = list(PurePosixPath(using).parts[:-1])
    for part in written.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
