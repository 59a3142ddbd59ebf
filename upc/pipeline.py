"""The stages from text to code, in a straight line, each of which can be printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from upc import build, limits, parse, syntax
from upc.diagnostics import EXIT_USAGE, error
from upc.ir import Array, Graph, Literal
from upc.source import Source
from upc.units import Read, Report, folder_reader, read_source

if TYPE_CHECKING:
    from upc.plan.plan import Algorithm, Plan
    from upc.targets import Files

STDIN = "-"


def find(file: str | os.PathLike[str] | None) -> str:
    """The file meant: the one named, or the only .upc file of the current directory."""
    if file is not None:
        return os.fspath(file)
    candidates = sorted(path.name for path in Path().glob("*.upc") if path.is_file())
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise error("E0801", "there is no .upc file in the current directory", hint="name one", exit_code=EXIT_USAGE)
    message = f"the current directory has {len(candidates)} .upc files: {', '.join(candidates[:5])}"
    message += ", ..." if len(candidates) > 5 else ""
    raise error("E0801", message, hint=f"say which: {candidates[0]}", exit_code=EXIT_USAGE)


def read(file: str) -> Source:
    """Stage 1: a file, or standard input for `-`, to its text."""
    if file != STDIN:
        if (kind := _OTHER_FILES.get(Path(file).suffix.lower())) and os.path.isfile(file):
            raise error("E0800", f"{file} is {kind}, not a .upc file", hint=_hint(file), exit_code=EXIT_USAGE)
        try:
            return read_source(file, file)
        except OSError as problem:
            raise error("E0802", f"cannot read {file}: {problem.strerror}", exit_code=EXIT_USAGE) from None
    if sys.stdin is None:
        raise error("E0802", "cannot read standard input: it is closed", exit_code=EXIT_USAGE)
    most = limits.current().file_bytes
    data = sys.stdin.buffer.read(most + 1)
    if len(data) > most:
        message = f"standard input has more than {most:,} bytes, the limit"
        raise error("E0601", message, hint=limits.hint("file_bytes"))
    try:
        return Source("<stdin>", data.decode())
    except UnicodeDecodeError as problem:
        raise error("E0501", f"standard input is not UTF-8 text: byte {problem.start}") from None


_OTHER_FILES = {
    ".py": "a Python module",
    ".ipynb": "a notebook",
    ".json": "JSON",
    **dict.fromkeys((".keras", ".h5", ".hdf5"), "a file of Keras"),
    **dict.fromkeys((".pt", ".pth"), "a file of PyTorch"),
    ".onnx": "an ONNX model",
    ".safetensors": "a file of weights",
}
"""What people give in place of a source."""


def _hint(file: str) -> str | None:
    imported = Path(file).suffix.lower() in (".keras", ".h5", ".hdf5", ".pt", ".pth")
    return f"`upc weights import net.upc {file}` brings weights to a net" if imported else None


def tree(source: Source) -> syntax.File:
    """Stage 2: text to tree."""
    return parse.parse(source)


def graph(
    file: syntax.File, net: str | None = None, defines: Mapping[str, Literal] | None = None, warn: Report = build.ignore
) -> Graph:
    """Stage 3: tree to Graph, of one net."""
    return build.build(file, net, defines, folder_of(file.source), warn)


def graphs(
    file: syntax.File, names: Sequence[str], defines: Mapping[str, Literal], warn: Report = build.ignore
) -> list[Graph]:
    """Stage 3 of several nets, which together are held to the limits of one."""
    return build.build_all(file, names, defines, folder_of(file.source), warn)


def plan(built: Graph, algorithm: Algorithm = "auto", batch: int = 1) -> Plan:
    """Stage 4, for Numba only: Graph, rewritten to be quick, to the steps that the module will take.

    `algorithm` says where minimal filtering may do a convolution: "exact" nowhere, "fast" wherever it can,
    "auto" where it pays in calls of `batch` images: it works for any other number all the same.
    """
    from upc.passes import rewrite
    from upc.plan import make_plan

    return make_plan(rewrite(built), algorithm, batch)


def write(
    built: Graph,
    target: str,
    algorithm: Algorithm = "auto",
    batch: int = 1,
    weights: Mapping[str, Array] | None = None,
) -> Files:
    """The last stage: a Graph, for Numba its Plan, to a target's files. `algorithm` and `batch` are `plan`'s.

    `weights` are for files that hold them. Raises ValueError for a target that there is not, or that only runs.
    """
    from upc import targets

    found = targets.find(target)
    if found.write is None:
        raise ValueError(f"target {target} runs a net and writes none")
    return found.write(built, targets.Order(algorithm, batch, weights))


def emit(built: Graph, target: str, algorithm: Algorithm = "auto", batch: int = 1) -> str:
    """The source of a net for a target whose first file is text, as all that write modules have it."""
    source = next(iter(write(built, target, algorithm, batch).values()))
    if isinstance(source, bytes):
        raise ValueError(f"target {target} writes no text")
    return source


def folder_of(source: Source) -> Read:
    """Reads what a source brings in with `use`: files of its own folder, for standard input of the current one."""
    return folder_reader(Path() if source.name == "<stdin>" else Path(source.name).parent)
