"""Canonical weights: float32 arrays by `layer.path.name`, Keras's layouts, in safetensors files.

A file is not trusted: names, shapes and types are read from its header and compared with the graph
before anything is allocated, and a tensor is only as large as the graph says.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeGuard

import numpy as np

from upc.diagnostics import EXIT_USAGE, Diagnostic, UpcError, error, nearest
from upc.files import write_atomic
from upc.initializers import initialize as initialize
from upc.ir import Array, Graph
from upc.shape import show

MAX_HEADER_BYTES = 2**24
"""A longer header is refused: at a hundred bytes a tensor this is room for 160,000 of them."""


def _from_bfloat16(raw: Array) -> Array:
    """bfloat16 is the upper half of a float32."""
    return (raw.astype(np.uint32) << 16).view(np.float32)


def _to_float32(raw: Array) -> Array:
    with np.errstate(over="ignore"):  # a double beyond float32 becomes an infinity, as anywhere else
        return raw.astype(np.float32)


MAX_STRAYS = 20
"""Names in a file that are not the graph's, and are still listed one by one."""

_TYPES: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "F32": ("<f4", _to_float32),
    "F16": ("<f2", _to_float32),
    "F64": ("<f8", _to_float32),
    "BF16": ("<u2", _from_bfloat16),
}
"""Element types that can be read: how they lie in the file, and the way to float32."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One tensor as a file's header describes it."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor of a file: its shape, and the way to its values as float32."""

    shape: tuple[int, ...]
    read: Callable[[], Array]


def save(path: str | os.PathLike[str], weights: Mapping[str, Array]) -> None:
    """Write weights as a safetensors file, whole or not at all."""
    from safetensors.numpy import save as to_bytes

    write_atomic(path, to_bytes({key: np.ascontiguousarray(array, np.float32) for key, array in weights.items()}))


def load(path: str | os.PathLike[str], graph: Graph) -> dict[str, Array]:
    """Read a graph's weights, converted to float32.

    Errors: a file that is not safetensors; names that are missing or not the graph's; wrong shapes or
    types. All of them at once.
    """
    with _open(path) as file:
        entries, data_start = _read_header(file, os.fspath(path))
        problems = _compare({key: entry.shape for key, entry in entries.items()}, graph, os.fspath(path))
        for key, _, _ in graph.weights():
            if key in entries and entries[key].dtype not in _TYPES:
                known = ", ".join(_TYPES)
                problems.append(_problem(f"{key} has elements of type {entries[key].dtype}, expected one of {known}"))
        if problems:
            raise UpcError(problems)
        return {key: _read(file, data_start, entries[key]) for key, _, _ in graph.weights()}


def tensors(path: str | os.PathLike[str]) -> dict[str, Stored]:
    """What any safetensors file holds, nothing read yet.

    Errors: a file that is not safetensors, or of types that are no floating-point numbers.
    """
    with _open(path) as file:
        entries, data_start = _read_header(file, os.fspath(path))
    for key, entry in entries.items():
        if entry.dtype not in _TYPES and entry.shape:
            known = ", ".join(_TYPES)
            message = f"{printable(key)} has elements of type {entry.dtype}, expected one of {known}"
            raise UpcError(_problem(message), EXIT_USAGE)

    def reader(entry: _Entry) -> Callable[[], Array]:
        def read() -> Array:
            with _open(path) as file:
                return _read(file, data_start, entry)

        return read

    return {key: Stored(entry.shape, reader(entry)) for key, entry in entries.items()}


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise error("E0610", f"cannot read weights: {os.fspath(path)} is not a regular file")
        return open(path, "rb")
    except OSError as e:
        raise error("E0610", f"cannot read weights: {os.fspath(path)}: {e.strerror}") from None


def check(weights: Mapping[str, Any], graph: Graph) -> dict[str, Array]:
    """A graph's weights from a mapping, compared with the graph and converted to float32.

    Errors: names that are missing or not the graph's, wrong shapes, elements that are not numbers; all at once.
    """
    arrays = {key: np.asarray(value) for key, value in weights.items()}
    problems = _compare({key: array.shape for key, array in arrays.items()}, graph, "the weights given")
    for key, array in arrays.items():
        if array.dtype.kind not in "fiu":
            problems.append(_problem(f"{key} has elements of type {array.dtype}, expected numbers"))
    if problems:
        raise UpcError(problems)
    return {key: np.ascontiguousarray(_to_float32(arrays[key])) for key, _, _ in graph.weights()}


def _problem(message: str, hint: str | None = None, code: str = "E0612") -> Diagnostic:
    return Diagnostic(code, message, hint=hint)


def _compare(found: Mapping[str, tuple[int, ...]], graph: Graph, where: str) -> list[Diagnostic]:
    """Every difference between the arrays at hand and those a graph has."""
    wanted = {key: weight.shape for key, weight, _ in graph.weights()}
    missing = [key for key in wanted if key not in found]
    unexpected = [key for key in found if key not in wanted]
    problems = []
    for key in missing:
        near = _nearest(key, unexpected)
        hint = f"{where} has `{near}` {show(found[near])}" if near else None
        problems.append(_problem(f"{key} {show(wanted[key])} is missing from {where}", hint))
    for key in unexpected[:MAX_STRAYS]:
        near = _nearest(key, missing) or _nearest(key, wanted)
        problems.append(
            _problem(
                f"{where} has `{printable(key)}`, which {graph.name} does not",
                f"nearest is `{near}`" if near else None,
            )
        )
    if len(unexpected) > MAX_STRAYS:
        problems.append(_problem(f"{where} has {len(unexpected) - MAX_STRAYS} more that {graph.name} does not"))
    for key in wanted:
        if key in found and found[key] != wanted[key]:
            problems.append(_problem(f"{key}: expected shape {show(wanted[key])}, got {show(found[key])}"))
    return problems


def _nearest(name: str, known: Sequence[str] | Mapping[str, object]) -> str | None:
    """The nearest name, where comparing is cheap: a file may hold any number of names of any length."""
    if len(name) > 200 or len(known) > 2000:
        return None
    return nearest(name, [k for k in known if len(k) <= 200])


def printable(text: str) -> str:
    """A name from a file, safe to print and not too long."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown if len(shown) <= 120 else shown[:117] + "..."


def _read_header(file: BinaryIO, name: str) -> tuple[dict[str, _Entry], int]:
    """The tensors a safetensors file says it holds, and where its data starts."""

    def refuse(reason: str, hint: str | None = None) -> UpcError:
        return error("E0611", f"{name} is not a safetensors file: {reason}", hint=hint)

    size = os.fstat(file.fileno()).st_size
    prefix = file.read(8)
    if prefix[:2] == b"PK":
        raise refuse("it is a zip archive", "a .keras or .pt file must be converted to safetensors first")
    if prefix == b"\x89HDF\r\n\x1a\n":
        raise refuse("it is an HDF5 file", "it must be converted to safetensors first")
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or length > size - 8:
        raise refuse("its header is longer than the file")
    if length > MAX_HEADER_BYTES:
        raise refuse(f"its header has {length} bytes, more than {MAX_HEADER_BYTES}")
    try:
        header = json.loads(file.read(length).decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise refuse("its header is not JSON with every name once") from None
    if not isinstance(header, dict):
        raise refuse("its header is not a JSON object")
    header.pop("__metadata__", None)
    data_bytes = size - 8 - length
    entries = {}
    for key, fields in header.items():
        entry = _entry(fields, data_bytes)
        if entry is None:
            raise refuse(f"its header describes `{printable(key)}` wrongly")
        entries[key] = entry
    end = 0
    for entry in sorted(entries.values(), key=lambda e: (e.start, e.end)):
        if entry.start != end:
            raise refuse("its tensors overlap or leave gaps")
        end = entry.end
    if end != data_bytes:
        raise refuse(f"its tensors take {end} bytes of {data_bytes}")
    return entries, 8 + length


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(key)
        found[key] = value
    return found


_ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
}  # fmt: skip


def _entry(fields: Any, data_bytes: int) -> _Entry | None:
    """A header's words about one tensor, or None where they contradict themselves or the file."""
    if not isinstance(fields, dict):
        return None
    dtype, shape, offsets = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    if (
        not isinstance(dtype, str)
        or dtype not in _ITEM_BYTES
        or not _naturals(shape)
        or not _naturals(offsets)
        or len(offsets) != 2
    ):
        return None
    start, end = offsets
    # Every size is bounded before they are multiplied: a header can hold numbers of any length.
    if not start <= end <= data_bytes or any(n > max(data_bytes, 1) for n in shape) or len(shape) > 32:
        return None
    return _Entry(dtype, tuple(shape), start, end) if math.prod(shape) * _ITEM_BYTES[dtype] == end - start else None


def _naturals(values: Any) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(v) is int and v >= 0 for v in values)


def _read(file: BinaryIO, data_start: int, entry: _Entry) -> Array:
    """One tensor as float32."""
    layout, convert = _TYPES[entry.dtype]
    file.seek(data_start + entry.start)
    content = file.read(entry.end - entry.start)
    if len(content) != entry.end - entry.start:
        raise error("E0611", f"{file.name} became shorter while it was read")
    return convert(np.frombuffer(content, layout)).reshape(entry.shape)
