"""Canonical weights: float32 arrays by `layer.path.name`, Keras's layouts, in safetensors files.

A file is not trusted: `upc.runtime.stored`, which written modules carry, checks and reads it here too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from upc.diagnostics import EXIT_USAGE, Diagnostic, UpcError, error, nearest
from upc.files import open_regular, write_atomic
from upc.initializers import initialize as initialize
from upc.ir import Array, Graph
from upc.runtime.stored import (
    FLOAT_TYPES,
    DamagedFile,
    Difference,
    StoredTensor,
    UnfitWeights,
    WeightsFile,
    few_of_each,
    identity,
    read_entries,
    read_floats,
    take_weights,
    uncounted,
)
from upc.runtime.stored import printable as printable
from upc.shape import show

ALLOW_NONFINITE = "--allow-nonfinite, in Python allow_nonfinite=True, takes them as they are"


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor of a file: its shape, and the way to its values as float32."""

    shape: tuple[int, ...]
    read: Callable[[], Array]


def save(path: str | os.PathLike[str], weights: Mapping[str, Array]) -> None:
    """Write weights as a safetensors file, whole or not at all."""
    write_atomic(path, to_bytes(weights))


def to_bytes(weights: Mapping[str, Array]) -> bytes:
    """A safetensors file of weights."""
    from safetensors.numpy import save as pack

    return pack({key: np.ascontiguousarray(array, np.float32) for key, array in weights.items()})


def load(path: str | os.PathLike[str], graph: Graph, *, allow_nonfinite: bool = False) -> dict[str, Array]:
    """Read a graph's weights, converted to float32.

    Errors: a file that is not safetensors; names that are missing or not the graph's; wrong shapes or
    types; without `allow_nonfinite`, values that are NaN or infinite. All of a kind at once.
    """
    name, expected = os.fspath(path), _expected(graph)
    with _reported(name, graph, expected):
        file = WeightsFile(path, expected, allow_nonfinite)
        arrays: dict[str, Array] = {}
        wrong: list[Difference] = []
        for key in expected:
            try:
                arrays[key] = file[key]
            except UnfitWeights as problem:
                wrong += problem.differences
        if wrong:
            raise UnfitWeights(name, wrong)
        return arrays


def tensors(path: str | os.PathLike[str]) -> dict[str, Stored]:
    """What any safetensors file holds, nothing read yet.

    Errors: a file that is not safetensors, or of types that are no floating-point numbers.
    """
    name = os.fspath(path)
    with _reported(name), open_regular(path, buffering=0) as file:
        entries, state = read_entries(file, name), identity(file)
    for key, entry in entries.items():
        if entry.dtype not in FLOAT_TYPES and entry.shape:
            known = ", ".join(FLOAT_TYPES)
            message = f"{printable(key)} has elements of type {printable(entry.dtype)}, expected one of {known}"
            raise UpcError(_problem(message), EXIT_USAGE)

    def reader(entry: StoredTensor) -> Callable[[], Array]:
        def read() -> Array:
            with _reported(name), open_regular(path, buffering=0) as file:
                array = read_floats(file, name, entry)
                if identity(file) != state:
                    raise DamagedFile(name, "has changed since it was opened")
                return array

        return read

    return {key: Stored(entry.shape, reader(entry)) for key, entry in entries.items()}


def check(weights: Mapping[str, Any], graph: Graph, *, allow_nonfinite: bool = False) -> dict[str, Array]:
    """A graph's weights from a mapping, compared with the graph and converted to float32.

    Errors: names that are missing or not the graph's, wrong shapes, elements that are not numbers; all at once.
    """
    expected = _expected(graph)
    with _reported("the weights given", graph, expected):
        return take_weights(weights, expected, "the weights given", allow_nonfinite)


def _expected(graph: Graph) -> dict[str, tuple[int, ...]]:
    return {key: weight.shape for key, weight, _ in graph.weights()}


@contextmanager
def _reported(
    where: str, graph: Graph | None = None, expected: Mapping[str, tuple[int, ...]] | None = None
) -> Iterator[None]:
    """Turn what the reader says into errors of upc's, with hints."""
    try:
        yield
    except UnfitWeights as problem:
        assert graph is not None and expected is not None
        raise UpcError(_diagnostics(problem.differences, where, graph.name, expected)) from None
    except DamagedFile as problem:
        if problem.starts is not None and (found := what_it_is(where, problem.starts)) is not None:
            reason, hint = found
            raise error("E0611", f"{where} is not a safetensors file: {reason}", hint=hint) from None
        raise error("E0611", str(problem)) from None
    except OSError as problem:
        words = (
            f"{where} {problem.strerror}" if "regular" in (problem.strerror or "") else f"{where}: {problem.strerror}"
        )
        raise error("E0610", f"cannot read weights: {words}", exit_code=EXIT_USAGE) from None


def what_it_is(name: str, starts: bytes) -> tuple[str, str] | None:
    """What a file that was given as safetensors is instead, by its first bytes, and a hint; None if nobody can tell."""
    convert = f"`upc weights import NET.upc {printable(name)}` makes safetensors of it"
    if starts.startswith(b"PK"):
        return "it is a zip archive, as .keras and .pt files are", convert
    if starts.startswith(b"\x89HDF"):
        return "it is an HDF5 file", convert
    if starts.startswith(b"\x80"):
        return "it is a pickle, as older .pt files are", convert
    return not_weights(starts)


def not_weights(starts: bytes) -> tuple[str, str] | None:
    """What a file that came in place of one of weights is, by its first bytes, and a hint."""
    text = starts.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!", b"<html", b"<head", b"<?xml")):
        return "it is a web page", "the download went wrong, or its address is that of a page about the file"
    if text.startswith(b"version "):
        return "it is a pointer of Git LFS, not the file itself", "`git lfs pull` fetches the file"
    if not starts:
        return "it is empty", "the download went wrong"
    return None


def _problem(message: str, hint: str | None = None) -> Diagnostic:
    return Diagnostic("E0612", message, hint=hint)


def _diagnostics(
    differences: list[Difference], where: str, net: str, expected: Mapping[str, tuple[int, ...]]
) -> list[Diagnostic]:
    """The differences between arrays at hand and a net's, a few of each kind, each with the nearest name."""
    missing = [d.name for d in differences if d.kind == "missing"]
    unexpected = {d.name: d.shape for d in differences if d.kind == "unexpected"}
    problems = []
    for difference in few_of_each(differences):
        name, hint, words = difference.name, None, difference.words
        if difference.kind == "missing":
            near = _nearest(name, unexpected)
            hint = f"{where} has `{printable(near)}` {show(unexpected[near])}" if near else None
            words = f"{name} {show(expected[name])} is missing from {where}"
        elif difference.kind == "unexpected":
            near = _nearest(name, missing) or _nearest(name, expected)
            hint = f"nearest is `{near}`" if near else None
            words = f"{where} has `{printable(name)}`, which {net} does not"
        elif difference.kind == "shape":
            words = f"{name}: expected shape {show(expected[name])}, got {show(difference.shape)}"
        elif difference.kind == "values":
            hint = ALLOW_NONFINITE
        problems.append(_problem(words, hint))
    for kind, count, words in uncounted(differences):
        more = f"{where} has {count} more that {net} does not" if kind == "unexpected" else f"{count} more {words}"
        problems.append(_problem(more))
    return problems


def _nearest(name: str, known: Sequence[str] | Mapping[str, object]) -> str | None:
    """The nearest name, where comparing is cheap: a file may hold any number of names of any length."""
    if len(name) > 200 or len(known) > 2000:
        return None
    return nearest(name, [k for k in known if len(k) <= 200])
