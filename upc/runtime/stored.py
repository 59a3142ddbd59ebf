"""Weights from safetensors files and from dicts: what a file says is checked before anything is allocated for it, and
its values are read, never mapped, so that a file that shrinks meanwhile is an error and not a signal."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

import numpy as np

from upc.runtime.files import open_regular

HEADER_BYTES = 1 << 24  # of a file's list of tensors; at a hundred bytes each it is room for 160,000
STORED_TENSORS = 100_000  # in one file: ten times what the largest net could use
KEPT_FLOATS = 1 << 18  # of an array of weights; larger ones, once packed, are left in their file
LISTED = 20  # differences of one kind that are put in words; the others are counted
BLOCK_FLOATS = 1 << 18  # looked at together for numbers that are not finite

FLOAT_TYPES = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "BF16": "<u2"}
"""Types of elements that are weights, and how they lie in a file. All become float32; what is too large for it is
infinite then, and refused as such."""

OTHER_TYPES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2,
    "I32": 4, "U32": 4, "I64": 8, "U64": 8,
}  # fmt: skip
"""Types that a file may hold and that are no weights, with their sizes in bytes."""


class DamagedFile(ValueError):
    """A file that is not what a safetensors file must be, or that changed while it was in use.

    `reason` is said after the file's name; `starts` are its first bytes where these may say what it is instead.
    """

    def __init__(self, name: str, reason: str, starts: bytes | None = None) -> None:
        super().__init__(f"{name} {reason}")
        self.reason, self.starts = reason, starts


@dataclass(frozen=True)
class Difference:
    """One thing that is wrong with an array: `kind` is missing, shape, type, values or unexpected.

    `shape` is that of the array, where there is one.
    """

    kind: str
    name: str
    words: str
    shape: tuple[int, ...] = ()


class UnfitWeights(ValueError):
    """Arrays that are not those of a network; `differences` says everything that is wrong."""

    def __init__(self, where: str, differences: list[Difference]) -> None:
        lines = [difference.words for difference in few_of_each(differences)]
        lines += [f"{count} more {words}" for _, count, words in uncounted(differences)]
        super().__init__(f"{where} does not fit this network:\n  " + "\n  ".join(lines))
        self.differences = differences


@dataclass(frozen=True)
class StoredTensor:
    """One tensor as a file's header describes it; `start` and `end` count from the start of the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def printable(text: str) -> str:
    """A name from a file, safe to print and not too long."""
    shown = "".join(c if c.isprintable() else "?" for c in text[:121])
    return shown if len(shown) <= 120 else shown[:117] + "..."


def identity(file: BinaryIO) -> tuple[int, ...]:
    """What changes when an open file is written to, or another takes its place."""
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read_into(file: BinaryIO, start: int, room: memoryview) -> int:
    """Fill `room` with a file's bytes from `start` on; how many there were."""
    file.seek(start)
    count = 0
    while count < len(room) and (got := file.readinto(room[count:])):  # type: ignore[attr-defined]
        count += got
    return count


def read_entries(file: BinaryIO, name: str) -> dict[str, StoredTensor]:
    """The tensors that a safetensors file says it holds, by name. Raises DamagedFile where its header does not hold.

    What the header says of a file's every byte must be so: each belongs to one tensor, and to one alone.
    """
    size = os.fstat(file.fileno()).st_size
    prefix = bytearray(8)
    found = read_into(file, 0, memoryview(prefix))

    def refuse(reason: str) -> DamagedFile:
        return DamagedFile(name, f"is not a safetensors file: {reason}", bytes(prefix[:found]))

    length = int.from_bytes(prefix, "little")
    if found < 8 or length > size - 8:
        raise refuse("its header is longer than the file")
    if length > HEADER_BYTES:
        raise refuse(f"its header has {length} bytes, more than {HEADER_BYTES}")
    text = bytearray(length)
    if read_into(file, 8, memoryview(text)) < length:
        raise DamagedFile(name, "became shorter while it was read")
    # Counted before it is parsed: a byte of JSON can take a hundred bytes of memory.
    if text.count(b"{") + text.count(b"[") > 3 * STORED_TENSORS or text.count(b",") > 16 * STORED_TENSORS:
        raise refuse(f"its header describes more than {STORED_TENSORS} tensors")
    try:
        header = json.loads(text.decode(), object_pairs_hook=unique_names, parse_int=unsigned, parse_constant=no_number)
    except (ValueError, RecursionError):
        raise refuse("its header is not JSON with every name once") from None
    if not isinstance(header, dict):
        raise refuse("its header is not a JSON object")
    remarks = header.pop("__metadata__", None)
    if remarks is not None and not (isinstance(remarks, dict) and all(isinstance(r, str) for r in remarks.values())):
        raise refuse("its header has a __metadata__ that is no text")
    if len(header) > STORED_TENSORS:
        raise refuse(f"its header describes more than {STORED_TENSORS} tensors")
    data = 8 + length
    entries = {}
    for key, fields in header.items():
        entry = read_entry(fields, data, size)
        if entry is None:
            raise refuse(f"its header describes `{printable(key)}` wrongly")
        entries[key] = entry
    end = data
    for entry in sorted(entries.values(), key=lambda e: (e.start, e.end)):
        if entry.start != end:
            raise refuse("its tensors overlap or leave gaps")
        end = entry.end
    if end != size:
        raise refuse(f"its tensors take {end - data} bytes of {size - data}")
    return entries


def read_entry(fields: Any, data: int, size: int) -> StoredTensor | None:
    """A header's words about one tensor, or None where they contradict themselves or the file."""
    if not isinstance(fields, dict) or not fields.keys() >= {"dtype", "shape", "data_offsets"}:
        return None
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or not naturals(shape) or not naturals(offsets) or len(offsets) != 2:
        return None
    start, end = offsets
    # Every size is bounded before they are multiplied: a header can hold numbers of any length.
    if not start <= end <= size - data or len(shape) > 32 or any(n > size for n in shape):
        return None
    entry = StoredTensor(dtype, tuple(shape), data + start, data + end)
    if dtype in FLOAT_TYPES:
        return entry if prod(shape) * np.dtype(FLOAT_TYPES[dtype]).itemsize == end - start else None
    # A type that is not known is refused by whoever wants the tensor; how long its elements are, nobody can tell.
    return entry if dtype not in OTHER_TYPES or prod(shape) * OTHER_TYPES[dtype] == end - start else None


def naturals(values: Any) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(v) is int and v >= 0 for v in values)


def unique_names(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; ValueError if one of its names stands there twice."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(name)
        found[name] = value
    return found


def unsigned(digits: str) -> int | float:
    """A whole number; one with a sign, as -0 has, or with endless digits is none that counts something."""
    return int(digits) if digits.isdigit() and len(digits) <= 20 else float(digits)


def no_number(word: str) -> None:
    """NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(word)


def read_floats(file: BinaryIO, name: str, entry: StoredTensor) -> np.ndarray:
    """The values of a tensor of an open file, as float32. Raises DamagedFile where the file has become shorter."""
    raw = np.empty(prod(entry.shape), FLOAT_TYPES[entry.dtype])
    if read_into(file, entry.start, memoryview(raw.view(np.uint8))) < raw.nbytes:  # type: ignore[arg-type]
        raise DamagedFile(name, "became shorter while it was read")
    if entry.dtype == "BF16":  # the upper half of a float32
        return (raw.astype(np.uint32) << 16).view(np.float32).reshape(entry.shape)
    with np.errstate(over="ignore"):
        return raw.astype(np.float32, copy=False).reshape(entry.shape)


def not_finite(array: np.ndarray) -> int:
    """How many elements are NaN or infinite."""
    flat = array.reshape(-1)
    blocks = (np.isfinite(flat[i : i + BLOCK_FLOATS]) for i in range(0, flat.size, BLOCK_FLOATS))
    return sum(0 if block.all() else int(np.count_nonzero(~block)) for block in blocks)


def about_values(name: str, array: np.ndarray) -> list[Difference]:
    """What is wrong with the values of a weight, if anything is."""
    count = not_finite(array)
    what = "value that is" if count == 1 else "values that are"
    return [Difference("values", name, f"{name} has {count} {what} NaN or infinite")] if count else []


def compare_weights(
    found: Mapping[str, tuple[str, tuple[int, ...]]], expected: Mapping[str, tuple[int, ...]]
) -> list[Difference]:
    """Everything in which arrays, by name the type and the shape, differ from the weights that a network has."""
    wrong = [Difference("missing", name, f"{name} is missing") for name in expected if name not in found]
    for name, shape in expected.items():
        if name not in found:
            continue
        dtype, its = found[name]
        if its != tuple(shape):
            wrong.append(Difference("shape", name, f"{name} has shape {its}, expected {tuple(shape)}", its))
        if dtype not in FLOAT_TYPES:
            words = f"{name} has elements of type {printable(dtype)}, expected one of {', '.join(FLOAT_TYPES)}"
            wrong.append(Difference("type", name, words))
    strays = [name for name in found if name not in expected]
    return wrong + [Difference("unexpected", n, f"{printable(n)} is not expected", found[n][1]) for n in strays]


def few_of_each(differences: list[Difference]) -> list[Difference]:
    """The first of each kind."""
    seen: dict[str, int] = {}
    kept = []
    for difference in differences:
        seen[difference.kind] = seen.get(difference.kind, 0) + 1
        if seen[difference.kind] <= LISTED:
            kept.append(difference)
    return kept


UNCOUNTED = {
    "missing": "are missing",
    "shape": "have another shape",
    "type": "have elements of another type",
    "values": "have values that are NaN or infinite",
    "unexpected": "are not expected",
}
"""What is said of the differences that are not listed."""


def uncounted(differences: list[Difference]) -> list[tuple[str, int, str]]:
    """(kind, how many, what is said of them) of the differences that `few_of_each` leaves out."""
    counts = ((kind, sum(d.kind == kind for d in differences) - LISTED, words) for kind, words in UNCOUNTED.items())
    return [(kind, count, words) for kind, count, words in counts if count > 0]


def take_weights(
    weights: Mapping[str, Any], expected: Mapping[str, tuple[int, ...]], where: str, allow_nonfinite: bool
) -> dict[str, np.ndarray]:
    """A network's weights from a mapping of anything like arrays of numbers, as float32 arrays.

    Raises UnfitWeights, which says everything that is wrong with them.
    """
    arrays, found, wrong = {}, {}, []
    for name, value in weights.items():
        try:
            array = np.asarray(value)
        except (TypeError, ValueError, RuntimeError):
            array = np.empty(0, object)
        numbers = array.dtype.kind in "fiu"
        if not numbers and name in expected:
            wrong.append(Difference("type", name, f"{name} has elements of type {array.dtype}, expected numbers"))
        arrays[name], found[name] = array, ("F32", array.shape)
    wrong = compare_weights(found, expected) + wrong
    if wrong:
        raise UnfitWeights(where, wrong)
    with np.errstate(over="ignore"):  # a double beyond float32 becomes an infinity, as anywhere else
        taken = {name: np.ascontiguousarray(arrays[name], np.float32).reshape(expected[name]) for name in expected}
    if not allow_nonfinite:
        wrong = [difference for name, array in taken.items() for difference in about_values(name, array)]
        if wrong:
            raise UnfitWeights(where, wrong)
    return taken


class WeightsFile(Mapping[str, np.ndarray]):
    """The arrays of a safetensors file by name: small ones kept, large ones read whenever they are asked for.

    Names, shapes and types are checked before any array is read, values as they are read. Raises UnfitWeights for a
    file of other weights, DamagedFile for one that is no safetensors file or that has changed by the time an array
    is read (both are ValueErrors), OSError where it cannot be read at all.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        expected: Mapping[str, tuple[int, ...]],
        allow_nonfinite: bool = False,
    ) -> None:
        self._name, self._place, self._allow = os.fspath(path), Path(path).absolute(), allow_nonfinite
        with open_regular(self._place, buffering=0) as file:
            self._state = identity(file)
            entries = read_entries(file, self._name)
            found = {name: (entry.dtype, entry.shape) for name, entry in entries.items()}
            if wrong := compare_weights(found, expected):
                raise UnfitWeights(self._name, wrong)
            self._entries = {name: entries[name] for name in expected}
            few = [name for name, shape in expected.items() if prod(shape) <= KEPT_FLOATS]
            self._kept = {name: read_floats(file, self._name, self._entries[name]) for name in few}
            self._same(file)
        wrong = [difference for name in few for difference in about_values(name, self._kept[name])]
        if wrong and not allow_nonfinite:
            raise UnfitWeights(self._name, wrong)

    def __getitem__(self, name: str) -> np.ndarray:
        if name in self._kept:
            return self._kept[name]
        entry = self._entries[name]
        with open_regular(self._place, buffering=0) as file:
            self._same(file)
            array = read_floats(file, self._name, entry)
            self._same(file)
        if not self._allow and (wrong := about_values(name, array)):
            raise UnfitWeights(self._name, wrong)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def _same(self, file: BinaryIO) -> None:
        """Raise DamagedFile where this is not the file, unchanged, whose header was checked."""
        if identity(file) != self._state:
            raise DamagedFile(self._name, "has changed since the network was loaded from it")
